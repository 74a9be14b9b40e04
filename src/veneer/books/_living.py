"""Which processes show no sign of life, found out by looking at them for a while."""

from collections.abc import Awaitable, Callable, Mapping

from veneer.ledger.lookout import Lookout, Owner

# Looks in a lease: whoever lives shows it three times in one, and is seen soon.
_LOOKS = 12

Beats = Mapping[int, int]


async def gone_among(  # noqa: PLR0913 - who, what to ask, and the clock of it
    suspects: set[int],
    *,
    before: Beats,
    ask: Callable[[], Awaitable[Beats]],
    lease: float,
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]],
) -> set[int]:
    """Return those whose row is gone, or shows for `lease` seconds no life (see `Lookout`).

    `before` is how often each had shown that it lives, `ask` tells it anew. It ends as soon as all
    have, and a little later than a lease at the most.
    """
    lookout = Lookout(lease, clock)
    pending = set(suspects)
    gone: set[int] = set()
    now = before
    while True:
        gone |= pending - now.keys()
        pending = {owner for owner in pending & now.keys() if now[owner] == before.get(owner)}
        over = lookout.look([Owner(owner, now[owner]) for owner in pending])
        gone.update(over)
        pending.difference_update(over)
        if not pending:
            return gone
        await sleep(lease / _LOOKS)
        now = await ask()
