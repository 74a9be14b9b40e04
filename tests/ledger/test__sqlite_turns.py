"""Turns: what is handed over together, and when."""

import asyncio
from typing import cast

from tests.ledger.contract import end, hold
from tests.limiters.virtual import run
from veneer.ledger._sqlite_group import Group
from veneer.ledger._sqlite_turns import LINGER, Turns
from veneer.ledger._sqlite_writer import Writer
from veneer.ledger._wanted import Wanted
from veneer.ledger.columns import closed, opened


class Recording:
    """A writer that only remembers what it is given."""

    is_ours = True

    def __init__(self) -> None:
        self.given = self.left = 0
        self.groups: list[Group] = []

    def submit(self, group: Group) -> None:
        """Take a group."""
        self.groups.append(group)

    def counts(self) -> list[tuple[int, int]]:
        """Return how many holds and settlements have come, by group."""
        return [(len(group.holds), len(group.settlements)) for group in self.groups]


def turns(writer: Recording) -> Turns:
    return Turns(lambda: cast("Writer", writer), timeout=1.0, written=lambda _moved, _left: None)


def settle(ours: Turns) -> None:
    settlement = end(hold(10), 3)
    ours.settle(settlement, closed(settlement))


def want(ours: Turns) -> None:
    held = hold(10)
    future = asyncio.get_running_loop().create_future()
    ours.want(Wanted(future, (held, opened(held))))
    future.cancel()


def test_settlements_wait_a_little_for_others() -> None:
    async def main() -> None:
        writer = Recording()
        ours = turns(writer)
        settle(ours)
        await asyncio.sleep(LINGER / 2)
        settle(ours)
        assert writer.counts() == []
        await asyncio.sleep(LINGER)
        assert writer.counts() == [(0, 2)]
        settle(ours)
        await asyncio.sleep(2 * LINGER)
        assert writer.counts() == [(0, 2), (0, 1)]

    run(main())


def test_a_hold_goes_at_the_end_of_its_turn_and_takes_settlements_along() -> None:
    async def main() -> None:
        writer = Recording()
        ours = turns(writer)
        settle(ours)
        await asyncio.sleep(0)
        want(ours)
        settle(ours)
        want(ours)
        await asyncio.sleep(0)
        assert writer.counts() == [(2, 2)]
        await asyncio.sleep(2 * LINGER)
        assert writer.counts() == [(2, 2)]

    run(main())
