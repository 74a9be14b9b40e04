"""What a call has used in truth, as far as it is known when it is over."""

from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any

from veneer import facts
from veneer.call import Call
from veneer.facts import Relayed, Route, Unreached, Usage
from veneer.quotas.estimate import Estimate

# Beyond this a number is no count of tokens: no model reads or writes so many in a call.
MAX_TOKENS = 1_000_000_000


def used(scope: MutableMapping[str, Any], estimate: Estimate, status: int | None) -> int:
    """Return the tokens that a call used; `status` is its answer's, None where it had none.

    The upstream's own word counts first, unless it makes no sense. Without it:

    - a call that was refused on its way, or never reached the model server, used nothing;
    - one that failed there, or was left before its answer began, used its input as estimated;
    - a stream used that, and a token for each event, as most models write them, but no more than
      the call allowed: that counts also for a stream that broke, or whose client left;
    - an answer of which nothing could be seen used all that was taken for it.
    """
    known = scope[facts.SCOPE_KEY]
    usage = known.get(Usage)
    told = 0 if usage is None else _told(usage)
    if told:
        return told
    relayed, route = known.get(Relayed), known.get(Route)
    if route is None and Unreached in known:
        return 0
    if _failed(status) or (route is not None and _failed(route.status)):
        reached = relayed is not None or route is not None
        return estimate.input_tokens if reached else 0
    if relayed is not None and relayed.stream and relayed.observed:
        return estimate.input_tokens + _written(known.get(Call), relayed.events)
    return estimate.total


def _failed(status: int | None) -> bool:
    return status is None or status >= HTTPStatus.BAD_REQUEST


def _told(usage: Usage) -> int:
    """Return the total of a usage, 0 where it says nothing that could be true."""
    read, written, total = usage.input_tokens, usage.output_tokens, usage.total_tokens
    if usage.malformed or read < 0 or written < 0 or total < 0:
        return 0
    if read > MAX_TOKENS or written > MAX_TOKENS or total > MAX_TOKENS:
        return 0
    return max(total, read + written)


def _written(call: Call | None, events: int) -> int:
    if call is None or call.output_cap is None:
        return events
    return min(events, call.output_cap * call.choices)
