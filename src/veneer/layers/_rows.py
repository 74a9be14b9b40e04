"""The rows of a call in the ledger: what is known of it before it is made, and its failed tries."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from veneer.call import Call
from veneer.facts import CLIENT_TAG, Principal, RequestId, RequestMetadata, Route
from veneer.layers._till import call_id
from veneer.ledger.entry import Account, Hold, Settlement


def hold_of(
    known: Mapping[type, Any],
    call: Call,
    *,
    amount: int,
    accounts: tuple[Account, ...],
    at: float,
) -> Hold:
    """Return what is held for a call, with what its row says of it by what is `known`."""
    request, principal = known.get(RequestId), known.get(Principal)
    return Hold(
        call=call_id(),
        amount=amount,
        accounts=accounts,
        at=at,
        request_id=None if request is None else request.value,
        key=None if principal is None else principal.id,
        team=None if principal is None else principal.team,
        user=None if principal is None else principal.user,
        tags=_tags(principal, known.get(RequestMetadata)),
        operation=call.operation.name,
        model=call.model,
        stream=call.stream,
    )


def rows_of_tries(route: Route, hold: Hold, at: float) -> Iterator[Settlement]:
    """Yield a row for each try of a call that failed, and that its target says it bills.

    Each is a call of its own for whoever compares rows with a target's bill: with its target, its
    status and its usage. The caller pays nothing for it, and no budget holds it.
    """
    for tried in route.tried:
        if tried.usage is None:
            continue
        row = msgspec.structs.replace(hold, call=call_id(), amount=0, accounts=())
        yield Settlement(
            call=row.call,
            state="failed",
            at=at,
            usage=tried.usage,
            answered_model=tried.model,
            target=tried.target,
            status=tried.status,
            latency=tried.seconds,
            hold=row,
        )


def _tags(principal: Principal | None, metadata: RequestMetadata | None) -> tuple[str, ...]:
    """Return the tags of a caller, then those that it gives its request, with their prefix."""
    tags = () if principal is None else tuple(principal.tags)
    if metadata is None:
        return tags
    return (*tags, *[f"{CLIENT_TAG}{tag}" for tag in dict.fromkeys(metadata.tags)])
