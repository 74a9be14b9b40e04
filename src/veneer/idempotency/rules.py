"""How calls under a key are treated, and what of their answers is kept."""

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from math import inf
from typing import Any, Literal, get_args, get_type_hints

import msgspec

from veneer.dialects import OPENAI, Dialect
from veneer.facts import Relayed
from veneer.idempotency.recorder import Landing
from veneer.quotas.upstream_fields import is_rate_limit
from veneer.wire.fields import HOP_BY_HOP

# Never kept, whatever the rule: they say that the call was not made, or not made well.
NEVER_KEPT = frozenset(
    [HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS]
)

# How a stream of the Responses API ends whose model has failed; in a string, quotes are escaped.
_FAILED = re.compile(rb'"type"\s*:\s*"response\.failed"')

# A longer body is not read for an error: those are short.
_LONGEST_ERROR = 64 * 1024

# Fields of a response that belong to the one request, or to its connection.
OWN_FIELDS = HOP_BY_HOP | {
    b"age",
    b"date",
    b"openai-processing-ms",
    b"server-timing",
    b"set-cookie",
    b"x-request-id",
}


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How calls under a key are treated; see `IdempotencyMiddleware` for each.

    Raises ValueError for what cannot be.
    """

    in_flight: Literal["follow", "conflict"]
    keep: Literal["success", "answers"]
    ttl: float
    lease: float
    detach: float
    max_answer: int
    on_failure: Literal["open", "closed"]

    def __post_init__(self) -> None:
        check_choices(self)
        for name, seconds in (("ttl", self.ttl), ("lease", self.lease)):
            if not 0 < seconds < inf:
                raise ValueError(f"{name} is {seconds}: give a positive number of seconds.")
        if not 0 <= self.detach < inf:
            raise ValueError(f"detach is {self.detach}: give 0 or a positive number of seconds.")
        if self.max_answer < 1:
            raise ValueError(f"max_answer is {self.max_answer}: give a positive number of bytes.")

    def keeps(self, landing: Landing, known: Mapping[type, Any]) -> bool:
        """Whether an answer is to be kept; `known` are the facts of its call.

        A stream is kept only if the relay has seen all of it; where there is no relay, what the app
        ends is taken for whole.
        """
        status = landing.status
        if status in NEVER_KEPT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return False
        if self.keep == "success" and status >= HTTPStatus.MULTIPLE_CHOICES:
            return False
        if landing.body is not None:
            if landing.stream and _says_failed(landing.body):
                return False
            if self.keep == "success" and not landing.stream and _is_error(landing.body):
                return False
        relayed: Relayed | None = known.get(Relayed)
        if relayed is None:
            return True
        return relayed.complete and (relayed.observed or not landing.stream)


def check_choices(options: msgspec.Struct) -> None:
    """Raise ValueError for an option that is none of those which its type names."""
    for name, kind in get_type_hints(type(options)).items():
        given, there_are = getattr(options, name), get_args(kind)
        if there_are and given not in there_are:
            raise ValueError(f"{name} is {given!r}: give one of {', '.join(there_are)}.")


def _says_failed(stream: bytes) -> bool:
    """Whether the last event of a stream is a response of which a proper event says it failed."""
    return _FAILED.search(stream.rstrip().rpartition(b"\n\n")[2]) is not None


class _Answer(msgspec.Struct):
    """What is read of an answer: a Response has this member too, null where it has not failed."""

    error: dict[str, Any] | str | None = None


def _is_error(body: bytes) -> bool:
    """Whether an answer is an error, as some servers give it with status 200."""
    if len(body) > _LONGEST_ERROR or b'"error"' not in body:
        return False
    try:
        return bool(msgspec.json.decode(body, type=_Answer).error)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False


def lasting(
    headers: Iterable[tuple[bytes, bytes]], known: Mapping[type, Any]
) -> list[tuple[bytes, bytes]]:
    """Return the fields of an answer that are every request's which gets it."""
    ids = (known.get(Dialect) or OPENAI).request_id_headers
    return [
        (name, value)
        for name, value in headers
        if not (name in OWN_FIELDS or name in ids or is_rate_limit(name))
    ]
