"""What stands around the cost layer in its tests: a watched ledger, prices, callers."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from starlette.types import ASGIApp

from tests.asgi import Exchange
from tests.layers.limits import Known
from tests.layers.probe import call
from tests.lint import Lint
from veneer.budgets.policy import BudgetPolicy
from veneer.call import Call
from veneer.facts import Principal
from veneer.layers.cost import CostMiddleware
from veneer.layers.relay import RelayMiddleware
from veneer.ledger.entry import Account, Balance, Entry, Exhausted, Hold, Settlement
from veneer.ledger.ledger import LedgerUnavailableError, Watcher
from veneer.ledger.memory import MemoryLedger
from veneer.prices.book import PriceBook
from veneer.prices.money import DOLLAR
from veneer.prices.price import Price
from veneer.quotas.estimate import Estimate

# A million tokens of input cost a dollar, of output two: a token is a microdollar, or two of them.
TOKEN = DOLLAR // 10**6
SMALL = Price(input=DOLLAR, output=2 * DOLLAR)
BOOK = PriceBook([("small", SMALL)], version="v1")

# What the calls of these tests need, and what is held for that: each part may be rounded up.
ESTIMATE = Estimate(10, 20)
HELD = (10 + 2 * 20) * TOKEN + 5
# What `streams.USAGE` costs: 5 tokens of input, 3 of output.
COST = (5 + 2 * 3) * TOKEN

# 15 November 2023.
NOW = 1_700_000_000.0


def estimated(_call: Call, _body: bytes) -> Estimate:
    """Estimate every call alike."""
    return ESTIMATE


class Watched:
    """A ledger in memory that notes what it is asked and told.

    With `slow`, a hold takes two steps of the loop, and one that was cancelled is given back, as
    ledgers promise. While `away`, it cannot be asked, and keeps what is settled; while `full`,
    settling waits.
    """

    def __init__(self, *, slow: bool = False, away: bool = False) -> None:
        self.ledger = MemoryLedger(clock=lambda: NOW)
        self.slow = slow
        self.away = away
        self.full = False
        self.holds: list[Hold] = []
        self.settled: list[Settlement] = []

    async def hold(self, hold: Hold, /) -> tuple[Balance, ...] | Exhausted:
        """Hold."""
        if self.slow:
            await asyncio.sleep(0)
        if self.away:
            raise LedgerUnavailableError("the disk /secret is gone")
        answer = await self.ledger.hold(hold)
        if isinstance(answer, Exhausted):
            return answer
        if self.slow:
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                end = Settlement(call=hold.call, state="released", at=NOW)
                await self.ledger.settle(end)
                raise
        self.holds.append(hold)
        return answer

    async def settle(self, settlement: Settlement, /) -> None:
        """Settle; AssertionError for what was settled before, or is not held."""
        assert settlement.call not in [each.call for each in self.settled]
        assert (settlement.hold is None) == (settlement.call in [each.call for each in self.holds])
        self.settled.append(settlement)
        await self.ledger.settle(settlement)
        if self.full:
            await asyncio.Event().wait()

    def watch(self, watcher: Watcher, /) -> None:
        """Have settlements told."""
        self.ledger.watch(watcher)

    async def balances(self, accounts: Sequence[Account], /) -> list[Balance]:
        """Tell."""
        return await self.ledger.balances(accounts)

    async def find(self, call_id: str, /) -> Entry | None:
        """Find."""
        return await self.ledger.find(call_id)

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return the inner one's."""
        return self.ledger.lifespan()

    @property
    def end(self) -> Settlement:
        """The only settlement that there is."""
        [settlement] = self.settled
        return settlement

    @property
    def open(self) -> int:
        """How many calls are held."""
        return sum(row.state == "held" for row in self.ledger._rows.values())

    async def stands(
        self, policy: BudgetPolicy, partition: tuple[str, ...] = ("all", "")
    ) -> tuple[int, int]:
        """Return what is spent and held on the only account of a policy."""
        [account] = policy.accounts_for([partition], None, NOW)
        [balance] = await self.balances([account])
        return balance.spent, balance.held


def charged(
    app: ASGIApp,
    *budgets: BudgetPolicy,
    ledger: Watched | None = None,
    principal: Principal | None = None,
    **options: Any,
) -> ASGIApp:
    """Return the layer around the relay around an app, asked by a principal if one is given."""
    given = {"prices": BOOK, "estimator": estimated, "clock": lambda: NOW, **options}
    layer = CostMiddleware(
        Lint(RelayMiddleware(Lint(app))), ledger=ledger, budgets=budgets, **given
    )
    return layer if principal is None else Known(Lint(layer), principal)


async def ask(layer: ASGIApp, exchange: Exchange | None = None) -> Exchange:
    """Run an exchange to its end, a plain call if none is given."""
    return await (exchange or call()).run(layer)
