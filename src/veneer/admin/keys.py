"""The HTTP API of keys: create, list, show, rotate, revoke and import, for admins only."""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial

import msgspec
from starlette.types import Receive, Scope, Send

from veneer import facts
from veneer.admin.documents import Answer, KeyList, document_of
from veneer.admin.inputs import read_object, read_query, shown
from veneer.auth import scopes
from veneer.auth.credentials import CHALLENGE
from veneer.client import ClientDisconnectedError
from veneer.dialects import Kind
from veneer.errors import Error
from veneer.facts import Principal, RequestId
from veneer.keys.fields import FieldError, KeyFields, is_text
from veneer.keys.issuer import OVERLAP, Issuer
from veneer.keys.store import KeyStore, StoreUnavailableError
from veneer.paths import path_of
from veneer.quotas import notation

logger = logging.getLogger("veneer.audit")

# Seconds after which a client may try again when the store did not answer.
RETRY_AFTER = 2
DEFAULT_LIMIT = 20
MAX_LIMIT = 100
MAX_SECONDS = 10**9

NO_PRINCIPAL = Error(
    Kind.KEY_MISSING, "This needs an API key with the scope 'admin'.", headers=CHALLENGE
)
NO_KEY = Error(Kind.NOT_FOUND, "There is no key with this id.")
UNAVAILABLE = Error(
    Kind.KEYS_UNAVAILABLE,
    "The keys cannot be reached at present. Try again in a moment; what you asked for may have "
    "been done.",
    headers=((b"retry-after", b"%d" % RETRY_AFTER),),
)

_digits = re.compile("[0-9]{1,3}", re.ASCII).fullmatch

Handler = Callable[[Scope, Receive], Awaitable[Answer | Error]]


class Imported(KeyFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key that was issued elsewhere, and what is decided about it."""

    key: str


class Rotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long, in seconds, both keys work."""

    overlap_seconds: int = int(OVERLAP.total_seconds())


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body that may be left out."""


class AdminKeys:
    """An ASGI app that issues keys to principals with the scope `admin`, and to nobody else.

    It goes by the `Principal` that an auth layer above has left, so without one it refuses all.
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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; WebSockets are refused, lifespans left to others."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http":
            try:
                answer = await self._answer(scope, receive)
            except ClientDisconnectedError:
                # There is nobody left to answer.
                return
            await answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer | Error:
        principal = facts.get(scope, Principal)
        refusal = NO_PRINCIPAL if principal is None else scopes.admin_refusal(principal)
        if refusal is not None:
            return refusal
        handlers = self._handlers(path_of(scope))
        if handlers is None:
            return Error(Kind.UNKNOWN_URL, "Unknown request URL.")
        handler = handlers.get("GET" if scope["method"] == "HEAD" else scope["method"])
        if handler is None:
            allowed = ", ".join(["HEAD", *handlers] if "GET" in handlers else handlers)
            return Error(
                Kind.METHOD_NOT_ALLOWED,
                f"This path answers {allowed}.",
                headers=((b"allow", allowed.encode()),),
            )
        try:
            return await handler(scope, receive)
        except FieldError as error:
            return Error(Kind.INVALID_VALUE, str(error), param=error.field)
        except StoreUnavailableError as error:
            request = f"{shown(scope['method'])} {shown(scope['path'])}"
            logger.warning("%s%s: the store did not answer: %s", request, _by(scope), error)
            return UNAVAILABLE

    def _handlers(self, path: str) -> Mapping[str, Handler] | None:
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
        logger.info("created %s%s", issued.record.id, _by(scope))
        return Answer(document_of(issued.record, issued.token), 201)

    async def _import(self, scope: Scope, receive: Receive) -> Answer | Error:
        given = await read_object(scope, receive, Imported)
        if isinstance(given, Error):
            return given
        try:
            record = await self._issuer.import_token(given.key, given)
        except FieldError as error:
            raise _renamed(error, "token", "key") from None
        logger.info("imported %s%s", record.id, _by(scope))
        return Answer(document_of(record), 201)

    async def _list(self, scope: Scope, _receive: Receive) -> Answer | Error:
        query = read_query(scope, ("team", "after", "limit"))
        if isinstance(query, Error):
            return query
        for name in ("team", "after"):
            if name in query and not is_text(query[name]):
                raise FieldError(name, f"{name} must be 1 to 200 printable characters.")
        digits = query.get("limit", str(DEFAULT_LIMIT))
        limit = int(digits) if _digits(digits) else 0
        if not 0 < limit <= MAX_LIMIT:
            raise FieldError("limit", f"limit must be 1 to {MAX_LIMIT}.")
        team, after = query.get("team"), query.get("after")
        records = await self._store.list(team=team, after=after, limit=limit + 1)
        data = [document_of(record) for record in records[:limit]]
        return Answer(KeyList(data=data, has_more=len(records) > limit))

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
        logger.info("rotated %s to %s%s", key_id, issued.record.id, _by(scope))
        return Answer(document_of(issued.record, issued.token), 201)

    async def _revoke(self, key_id: str, scope: Scope, receive: Receive) -> Answer | Error:
        body = await read_object(scope, receive, Nothing)
        if isinstance(body, Error):
            return body
        record = await self._issuer.revoke(key_id) if is_text(key_id) else None
        if record is None:
            return NO_KEY
        logger.info("revoked %s%s", record.id, _by(scope))
        return Answer(document_of(record))


def _by(scope: Scope) -> str:
    """Return who asks, for the audit log."""
    principal = facts.get(scope, Principal)
    request_id = facts.get(scope, RequestId)
    by = "" if principal is None else f" by {shown(principal.id)}"
    return by if request_id is None else f"{by} in {request_id.value}"


def _renamed(error: FieldError, field: str, member: str) -> FieldError:
    """Return an error that names the member of the request in place of the issuer's field."""
    if error.field != field:
        return error
    return FieldError(member, str(error).replace(field, member))
