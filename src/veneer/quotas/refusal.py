"""Refusals: what a caller is told whose request a limiter did not admit."""

from collections.abc import Sequence
from math import ceil, inf, isinf
from types import MappingProxyType

from veneer.dialects import Kind
from veneer.dialects.rate_limits import duration
from veneer.errors import Error
from veneer.facts import Standing
from veneer.quotas.limiter import Decision
from veneer.quotas.quota import CONCURRENT, REQUESTS, TOKENS, Charge

# Node's client ignores an advice to wait longer than this, and tries again at once.
LONGEST_WAIT = 60.0
# Nobody knows when a call ends; limiters let a client ask again after about so long.
A_CALL = 1.0

KINDS = MappingProxyType(
    {
        REQUESTS: Kind.REQUESTS_LIMITED,
        TOKENS: Kind.TOKENS_LIMITED,
        CONCURRENT: Kind.CONCURRENCY_LIMITED,
    }
)
WINDOWS = MappingProxyType({1.0: "second", 60.0: "minute", 3600.0: "hour", 86400.0: "day"})

UNAVAILABLE = Error(
    Kind.LIMITS_UNAVAILABLE,
    "Rate limits cannot be checked right now. Try again later.",
    headers=((b"retry-after", b"1"),),
)


def refusal(
    charges: Sequence[Charge], decision: Decision, model: str | None, endpoint: str = ""
) -> Error:
    """Return the error of a request that a decision refused.

    It names the quota that will be the last to admit it; a dialect may name the `endpoint`.
    `retry-after` (whole seconds, at least 1) and `retry-after-ms` are never too early; clients are
    told not to try again by themselves where they would not wait so long, or where waiting is in
    vain.
    """
    index = max(
        decision.refused, key=lambda index: _wait(charges[index], decision.standings[index])
    )
    charge, standing = charges[index], decision.standings[index]
    subject = f"for {model} on {_named(charge)}" if model else f"on {_named(charge)}"
    numbers = f"limit {charge.quota.limit}, remaining {standing.remaining}, requested {charge.cost}"
    if isinf(decision.wait):
        sentence = f"Request too large {subject}: {numbers}. Waiting does not help."
        return Error(Kind.OVER_WHOLE_LIMIT, sentence, retry=False)
    seconds = max(1, ceil(decision.wait))
    milliseconds = max(1, ceil(decision.wait * 1000))
    again = duration(milliseconds / 1000).decode()
    return Error(
        KINDS[charge.quota.unit],
        f"Rate limit reached {subject}: {numbers}. Try again in {again}.",
        headers=(
            (b"retry-after", b"%d" % seconds),
            (b"retry-after-ms", b"%d" % milliseconds),
        ),
        retry=False if decision.wait > LONGEST_WAIT else None,
        terms={"wait": str(seconds), "endpoint": endpoint},
    )


def _wait(charge: Charge, standing: Standing) -> float:
    """Return about how long one charge would have to wait, to compare it with others.

    Of what is to come back, a quota that counts evenly gives last what was not asked for.
    """
    quota = charge.quota
    if charge.cost > quota.limit:
        return inf
    if not quota.window:
        return A_CALL
    later = 0.0 if quota.strict else (quota.limit - charge.cost) / quota.rate
    return standing.reset - later


def _named(charge: Charge) -> str:
    """Name a quota without its policy, whose name is the host's own."""
    quota = charge.quota
    if not quota.window:
        return "concurrent requests"
    window = WINDOWS.get(quota.window) or f"{quota.window:.15g} seconds"
    return f"{quota.unit} per {window}"
