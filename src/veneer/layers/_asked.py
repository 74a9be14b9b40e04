"""What is asked under a key: read from a request, or why there is nothing to be read."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
from starlette.types import Receive, Scope

from veneer import facts
from veneer.call import read_call
from veneer.client import BodyTimeoutError, BodyTooLargeError, client_of
from veneer.dialects import OPENAI, Dialect, Kind
from veneer.errors import BODY_LATE, Error
from veneer.facts import Principal
from veneer.idempotency.fingerprint import fingerprint_of
from veneer.idempotency.key import read_key
from veneer.idempotency.rules import check_choices
from veneer.operations import Body, Operation
from veneer.wire import fields

# What shows whose call it is where no key of ours is asked for; cookies change between retries.
SHOWN = fields.CREDENTIALS - {b"cookie"}

# Why a key is left unused, as its client is told.
IGNORED = b"ignored"
IGNORED_STREAMING = b"ignored_streaming"
TOO_LARGE = b"too_large"


class Asked(msgspec.Struct, frozen=True):
    """What is asked: a key among all tenants', what it is to be answered for, and the body."""

    key: bytes
    fingerprint: bytes
    body: bytes


class Whole(msgspec.Struct, frozen=True):
    """A body that was read."""

    value: bytes


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """How requests with a key are read; see `IdempotencyMiddleware` for each.

    Raises ValueError for what cannot be.
    """

    share: Literal["team", "key", "all"]
    streams: Literal["dialect", "record", "ignore"]
    max_request: int
    oversized: Literal["refuse", "pass"]

    def __post_init__(self) -> None:
        check_choices(self)
        if self.max_request < 1:
            raise ValueError(f"max_request is {self.max_request}: give a positive number of bytes.")

    async def read(
        self, given: Sequence[bytes], operation: Operation, scope: Scope, receive: Receive
    ) -> Asked | Error | bytes:
        """Return what is asked under which key, or why not, or why the key is left unused.

        `given` are the values of the fields that may hold a key.
        """
        key, tenant = read_key(given), self._tenant(scope)
        if isinstance(key, Error):
            return key
        if tenant is None:
            return IGNORED
        body = await self._body(operation, scope, receive)
        if not isinstance(body, Whole):
            return body
        fingerprint = await fingerprint_of(scope, body.value)
        return Asked(_digest(*tenant, key), fingerprint, body.value)

    async def _body(
        self, operation: Operation, scope: Scope, receive: Receive
    ) -> Whole | Error | bytes:
        """Return the body, or why not, or why the key is left unused."""
        if operation.body is Body.JSON:
            call = await read_call(scope, receive)
            if isinstance(call, Error):
                return call
            if call.stream and not self._records_streams(scope):
                return IGNORED_STREAMING
        try:
            return Whole(await client_of(scope, receive).body(self.max_request))
        except BodyTimeoutError:
            return BODY_LATE
        except BodyTooLargeError:
            return TOO_LARGE if self.oversized == "pass" else _too_large(self.max_request)

    def _records_streams(self, scope: Scope) -> bool:
        if self.streams == "dialect":
            return (facts.get(scope, Dialect) or OPENAI).records_streams
        return self.streams == "record"

    def _tenant(self, scope: Scope) -> tuple[str, str] | None:
        """Return among whom a key is the same; None where that is not known."""
        if self.share == "all":
            # Where no key of ours is asked for, those of the upstream may go through: an answer is
            # for whoever showed the same.
            shown = ((n, v) for n, v in scope["headers"] if n in SHOWN)
            return "all", _digest(
                *(part.decode("latin-1") for pair in shown for part in pair)
            ).hex()
        principal = facts.get(scope, Principal)
        if principal is None:
            return None
        if self.share == "team" and principal.team is not None:
            return "team", principal.team
        return "key", principal.id


def fields_named(names: Iterable[str]) -> frozenset[bytes]:
    """Return the fields that may hold a key; ValueError for none, or for one that cannot be."""
    given = [names] if isinstance(names, str) else list(names)
    wrong = [name for name in given if not fields.is_token(name.encode())]
    if wrong or not given:
        raise ValueError(
            f"names has {', '.join(map(repr, wrong)) or 'no field'}: name header fields such as "
            "'Idempotency-Key'."
        )
    return frozenset(name.lower().encode() for name in given)


def _digest(*parts: str) -> bytes:
    """Return what stands for a key among those of all tenants; parts cannot be mistaken."""
    digest = hashlib.blake2b(digest_size=20)
    for part in parts:
        text = part.encode("utf-8", "surrogatepass")
        digest.update(len(text).to_bytes(8, "big") + text)
    return digest.digest()


def _too_large(limit: int) -> Error:
    return Error(
        Kind.BODY_TOO_LARGE,
        f"A request with an idempotency key may have {limit} bytes, so that it can be compared.",
        headers=((b"connection", b"close"),),
    )
