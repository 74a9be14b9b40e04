"""The HTTP API of keys: create, list, show, rotate, revoke and import, for admins only."""

from collections.abc import Mapping
from datetime import timedelta
from functools import partial

import msgspec
from starlette.types import Receive, Scope

from veneer.admin.api import AdminApi, Handler, by, logger
from veneer.admin.documents import Answer, Listing, document_of
from veneer.admin.inputs import read_count, read_object, read_query
from veneer.dialects import Kind
from veneer.errors import Error
from veneer.keys.fields import FieldError, KeyFields, is_text
from veneer.keys.issuer import OVERLAP, Issuer
from veneer.keys.store import KeyStore
from veneer.quotas import notation

DEFAULT_LIMIT = 20
MAX_LIMIT = 100
MAX_SECONDS = 10**9

NO_KEY = Error(Kind.NOT_FOUND, "There is no key with this id.")


class Imported(KeyFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key that was issued elsewhere, and what is decided about it."""

    key: str


class Rotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long, in seconds, both keys work."""

    overlap_seconds: int = int(OVERLAP.total_seconds())


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body that may be left out."""


class AdminKeys(AdminApi):
    """An ASGI app that issues keys to principals with the scope `admin`, and to nobody else.

    `issuer` makes and ends keys in `store`, which whoever opened it closes. Paths are below
    `root_path`:

    `POST /keys` makes a key of `KeyFields`; `GET /keys` lists them by id (`team`, `after` an id,
    `limit` 1 to 100); `GET /keys/{id}` shows one; `POST /keys/{id}/rotate` makes its successor
    (`overlap_seconds`); `POST /keys/{id}/revoke` ends it; `POST /keys/import` takes over a `key` of
    somebody else's with the same fields. A new secret is in `key` of the answer that made it, and
    never seen again. Every change is a line of the logger `veneer.audit`.
    """

    def __init__(self, issuer: Issuer, store: KeyStore) -> None:
        self._issuer = issuer
        self._store = store
        notation.load()

    def handlers(self, path: str) -> Mapping[str, Handler] | None:
        """Return what answers each method on a path."""
        match path.split("/"):
            case ["", "keys"]:
                return {"GET": self._list, "POST": self._create}
            case ["", "keys", "import"]:
                return {"POST": self._import}
            case ["", "keys", key_id]:
                return {"GET": partial(self._show, key_id)}
            case ["", "keys", key_id, "rotate"]:
                return {"POST": partial(self._rotate, key_id)}
            case ["", "keys", key_id, "revoke"]:
                return {"POST": partial(self._revoke, key_id)}
            case _:
                return None

    async def _create(self, scope: Scope, receive: Receive) -> Answer | Error:
        fields = await read_object(scope, receive, KeyFields)
        if isinstance(fields, Error):
            return fields
        issued = await self._issuer.create(fields)
        logger.info("created %s%s", issued.record.id, by(scope))
        return Answer(document_of(issued.record, issued.token), 201)

    async def _import(self, scope: Scope, receive: Receive) -> Answer | Error:
        given = await read_object(scope, receive, Imported)
        if isinstance(given, Error):
            return given
        try:
            record = await self._issuer.import_token(given.key, given)
        except FieldError as error:
            raise _renamed(error, "token", "key") from None
        logger.info("imported %s%s", record.id, by(scope))
        return Answer(document_of(record), 201)

    async def _list(self, scope: Scope, _receive: Receive) -> Answer | Error:
        query = read_query(scope, ("team", "after", "limit"))
        if isinstance(query, Error):
            return query
        for name in ("team", "after"):
            if name in query and not is_text(query[name]):
                raise FieldError(name, f"{name} must be 1 to 200 printable characters.")
        limit = read_count(query, DEFAULT_LIMIT, MAX_LIMIT)
        team, after = query.get("team"), query.get("after")
        records = await self._store.list(team=team, after=after, limit=limit + 1)
        data = [document_of(record) for record in records[:limit]]
        return Answer(Listing(data=data, has_more=len(records) > limit))

    async def _show(self, key_id: str, _scope: Scope, _receive: Receive) -> Answer | Error:
        record = await self._store.get(key_id) if is_text(key_id) else None
        return NO_KEY if record is None else Answer(document_of(record))

    async def _rotate(self, key_id: str, scope: Scope, receive: Receive) -> Answer | Error:
        rotation = await read_object(scope, receive, Rotation)
        if isinstance(rotation, Error):
            return rotation
        # A timedelta has bounds of its own, which are no sentence for clients.
        seconds = max(-1, min(rotation.overlap_seconds, MAX_SECONDS))
        try:
            issued = (
                await self._issuer.rotate(key_id, overlap=timedelta(seconds=seconds))
                if is_text(key_id)
                else None
            )
        except FieldError as error:
            raise _renamed(error, "overlap", "overlap_seconds") from None
        if issued is None:
            return NO_KEY
        logger.info("rotated %s to %s%s", key_id, issued.record.id, by(scope))
        return Answer(document_of(issued.record, issued.token), 201)

    async def _revoke(self, key_id: str, scope: Scope, receive: Receive) -> Answer | Error:
        body = await read_object(scope, receive, Nothing)
        if isinstance(body, Error):
            return body
        record = await self._issuer.revoke(key_id) if is_text(key_id) else None
        if record is None:
            return NO_KEY
        logger.info("revoked %s%s", record.id, by(scope))
        return Answer(document_of(record))


def _renamed(error: FieldError, field: str, member: str) -> FieldError:
    """Return an error that names the member of the request in place of the issuer's field."""
    if error.field != field:
        return error
    return FieldError(member, str(error).replace(field, member))
