"""What a call has used in truth, as far as it is known when it is over."""

from collections.abc import MutableMapping
from typing import Any

from veneer import facts
from veneer.call import Call
from veneer.facts import Relayed, Route, Unreached, Usage
from veneer.quotas.estimate import NOTHING, Estimate

# Beyond this a number is no count of tokens: no model reads or writes so many in a call.
MAX_TOKENS = 1_000_000_000

FIRST_ERROR = 400


def used(scope: MutableMapping[str, Any], estimate: Estimate, status: int | None) -> int:
    """Return the tokens that a call used; `status` is its answer's, None where it had none.

    The upstream's own word counts first, unless it makes no sense; without it, what `untold` says.
    """
    usage = scope[facts.SCOPE_KEY].get(Usage)
    return (0 if usage is None else told(usage)) or untold(scope, estimate, status).total


def told(usage: Usage) -> int:
    """Return the total of a usage, 0 where it says nothing that could be true."""
    read, written, total = usage.input_tokens, usage.output_tokens, usage.total_tokens
    if usage.malformed or read < 0 or written < 0 or total < 0:
        return 0
    if read > MAX_TOKENS or written > MAX_TOKENS or total > MAX_TOKENS:
        return 0
    if total >= read + written:
        return total
    return read + written


def untold(scope: MutableMapping[str, Any], estimate: Estimate, status: int | None) -> Estimate:
    """Return what a call is taken to have used when the upstream does not say.

    - A call that was refused on its way, or never reached the model server, used nothing;
    - one that failed there, or was left before its answer began, used its input as estimated;
    - a stream used what `streamed` says, also if it broke, or its client left;
    - an answer of which nothing could be seen used all that was taken for it.
    """
    known = scope[facts.SCOPE_KEY]
    relayed, route = known.get(Relayed), known.get(Route)
    if Unreached in known and (route is None or not route.answered):
        return NOTHING
    if failed(status) or (route is not None and failed(route.status)):
        reached = relayed is not None or route is not None
        return Estimate(estimate.input_tokens) if reached else NOTHING
    if relayed is not None and relayed.stream and relayed.observed:
        return streamed(estimate, known.get(Call), relayed.events)
    return estimate


def streamed(estimate: Estimate, call: Call | None, events: int) -> Estimate:
    """Return what a stream is taken to have used that had so many events.

    That is its input as estimated, and a token for each event, as most models write them, but no
    more than the call allowed.
    """
    if call is not None and call.output_cap is not None:
        events = min(events, call.output_cap * call.choices)
    return Estimate(estimate.input_tokens, events)


def failed(status: int | None) -> bool:
    """Whether an answer of this status (None for no answer) is none of a model."""
    return status is None or status >= FIRST_ERROR
