"""Documents: how the admin API shows what the store keeps."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from starlette.types import Receive, Scope, Send

from veneer.keys.record import KeyRecord


class KeyDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is shown; see `KeyRecord` for each member.

    Neither digest nor pepper is among them. `key`, the secret, is there only in the answer to the
    request that made it.
    """

    object: str = "key"
    id: str
    key: str | msgspec.UnsetType = msgspec.UNSET
    shown: str
    name: str
    team: str | None
    user: str | None
    scopes: Sequence[str]
    operations: Sequence[str] | None
    models: Sequence[str] | None
    limits: Mapping[str, str]
    budgets: Mapping[str, str]
    tags: Sequence[str]
    created_at: datetime
    not_before: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    rotated_from: str | None


class KeyList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of keys; the next one begins after the id of the last."""

    object: str = "list"
    data: Sequence[KeyDocument]
    has_more: bool


class Answer(msgspec.Struct, frozen=True):
    """A successful response, as an ASGI app; nobody on its way may keep it."""

    document: KeyDocument | KeyList
    status: int = 200

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Send the whole response."""
        body = msgspec.json.encode(self.document)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        if scope["method"] == "HEAD":
            body = b""
        await send({"type": "http.response.body", "body": body})


def document_of(record: KeyRecord, secret: str | None = None) -> KeyDocument:
    """Return a record as it is shown, with its secret if this is the once."""
    members = {
        name: getattr(record, name)
        for name in KeyDocument.__struct_fields__
        if name not in ("object", "key")
    }
    members["scopes"] = sorted(record.scopes)
    if record.operations is not None:
        members["operations"] = sorted(record.operations)
    return KeyDocument(**members, key=msgspec.UNSET if secret is None else secret)
