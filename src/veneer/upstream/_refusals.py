"""Refusals: what a client is told where no target has answered its call."""

import math
from collections.abc import Sequence

from veneer.dialects import Kind
from veneer.errors import Error
from veneer.facts import Tried
from veneer.routing.plan import Unfit
from veneer.upstream._outcome import LIMITED, REFUSALS, Failure
from veneer.upstream.failures import (
    INTERRUPTED,
    REFUSED_KEY,
    REFUSED_OWN_KEY,
    SILENT,
    UNREACHABLE,
)
from veneer.upstream.transport import Headers

RETRY = b"x-should-retry"

NO_ROOM = Error(
    Kind.UPSTREAM_NONE_LEFT,
    "No provider that could serve this call has room for it now.",
    headers=((b"retry-after", b"1"),),
)
UNAUTHORIZED = 401


def unfit(found: Unfit, *, limited: bool) -> Error:
    """Return the error of a call that nobody can be asked for.

    `limited` is whether all who could be have been asked too much.
    """
    if found.kind is Kind.UPSTREAM_NONE_LEFT and limited:
        return all_limited(found.retry_after or 0.0)
    return Error(
        found.kind,
        found.message,
        param=found.param,
        suggestion=found.suggestion,
        headers=() if found.retry_after is None else (_after(found.retry_after),),
    )


def unknown(models: Sequence[str]) -> Error:
    """Return the error of a call whose models no target has, in OpenAI's words."""
    named = " and ".join(f"`{name}`" for name in models)
    verb = "model {} does" if len(models) == 1 else "models {} do"
    return Error(
        Kind.MODEL_NOT_FOUND,
        f"The {verb.format(named)} not exist or you do not have access to it.",
        param="model",
    )


def all_limited(wait: float) -> Error:
    """Return the error where everybody was asked too much."""
    return Error(
        Kind.REQUESTS_LIMITED,
        "All providers that could serve this call are at their rate limits. Please try again.",
        headers=(_after(wait),),
    )


def final(failure: Failure, tried: Sequence[Tried], wait: float, *, own_key: bool) -> Error | None:
    """Return what is said after the last of these tries, None where its own answer is passed on."""
    if len(tried) > 1 and all(each.status == LIMITED for each in tried):
        return all_limited(wait)
    if own_key and failure.status in REFUSALS:
        return REFUSED_OWN_KEY
    # Who has shown no key of ours has refused the client's own.
    if failure.status in REFUSALS and failure.status != UNAUTHORIZED:
        return REFUSED_KEY
    if failure.whole:
        return None
    if failure.why == "timeout":
        return SILENT
    return UNREACHABLE if failure.why == "unreachable" else INTERRUPTED


def firm(headers: Headers) -> Headers:
    """Return the fields of an answer to a call that was tried often enough."""
    return [*(pair for pair in headers if pair[0] != RETRY), (RETRY, b"false")]


def _after(seconds: float) -> tuple[bytes, bytes]:
    return b"retry-after", b"%d" % max(1, math.ceil(seconds))
