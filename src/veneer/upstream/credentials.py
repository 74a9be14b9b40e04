"""Credentials: which key a request to an upstream shows, and what its answer says of that key."""

import logging
from collections.abc import Sequence
from http import HTTPStatus

import msgspec
from starlette.types import Scope

from veneer import facts
from veneer.errors import Error
from veneer.upstream.failures import REFUSED_KEY, REFUSED_OWN_KEY
from veneer.upstream.forwarding import withheld
from veneer.upstream.keys import Field, Keys, is_key, key_field, key_header
from veneer.upstream.own_key import UpstreamKey
from veneer.upstream.transport import Response
from veneer.wire import fields

logger = logging.getLogger("veneer.upstream")

REFUSALS = frozenset([HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN])


class Shown(msgspec.Struct, frozen=True):
    """The field that shows a key, None for none of ours; whether it is one of the caller's own.

    `withheld` are the names of the fields that do not go on with it.
    """

    field: Field | None
    withheld: frozenset[bytes]
    own: bool = False


class Credentials:
    """The keys that the upstream called `name` is shown in the field `header`.

    They are those given, in turn, or the one of the caller's own that a try is made with
    (`UpstreamKey`). Without either, what the client sent goes on if it `passes`, else nothing does.
    Raises ValueError for keys and headers that cannot be.
    """

    def __init__(
        self, name: str, keys: Sequence[str] | None, header: str, *, passes: bool = True
    ) -> None:
        self._name = name
        self._header = key_header(header)
        self._keys = None if keys is None else Keys(keys, header=header)
        self._withheld = withheld(self._header)
        self._nothing = Shown(None, withheld(None) if passes else self._withheld)

    def next(self, scope: Scope) -> Shown | Error:
        """Return what is shown for a request; an error for a key of the caller's that cannot be."""
        own = facts.get(scope, UpstreamKey)
        if own is not None:
            if not is_key(own.value):
                return REFUSED_OWN_KEY
            return Shown(key_field(self._header, own.value), self._withheld, own=True)
        if self._keys is None:
            return self._nothing
        return Shown(self._keys.next(), self._withheld)

    def probe(self) -> list[Field]:
        """Return the fields of a request of our own."""
        return [] if self._keys is None else [self._keys.next()]

    def judge(self, shown: Shown, response: Response) -> Error | None:
        """Return the error where the key that was shown is refused.

        One of the operator's rests then, or for as long as it has been used too much. One of the
        caller's own is the caller's affair.
        """
        status = response.status
        if shown.own:
            return REFUSED_OWN_KEY if status in REFUSALS else None
        if shown.field is None or self._keys is None:
            return None
        if status == HTTPStatus.UNAUTHORIZED:
            logger.error("%s refused the key that is configured for it", self._name)
            self._keys.strike_out(shown.field)
            return REFUSED_KEY
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            retry_after = fields.get(response.headers, b"retry-after")
            self._keys.strike_out(shown.field, _seconds(retry_after))
        return None


def _seconds(retry_after: bytes | None) -> float | None:
    return float(retry_after) if retry_after is not None and retry_after.isdigit() else None
