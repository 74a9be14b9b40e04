"""Soft thresholds: shares of a budget's limit whose crossing is logged and told."""

import inspect
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import msgspec

from veneer.budgets._errands import Errands
from veneer.budgets.periods import PeriodName
from veneer.budgets.policy import BudgetPolicy
from veneer.ledger.entry import Moved
from veneer.prices import money

logger = logging.getLogger("veneer.cost")

# Calls of `on_threshold` that are under way at once.
AT_ONCE = 16
# Seconds that they are waited for at the end; `veneer serve` gives all layers two.
FAREWELL = 1.5

# Names that clients may have given are cut where they are shown.
_MAX_SHOWN = 200


class Crossing(msgspec.Struct, frozen=True, kw_only=True):
    """A threshold that what is spent on an account has reached.

    `budget` is the budget's name. `partition` says on whose account, as pairs of a name and a value
    in a row, and `by` are the names alone. `starts` and `ends` are the `period`, in seconds since
    the epoch; `ends` is None for one without end. `threshold` is a fraction of `limit`, which is
    the one that counts for this account, and `spent` what is spent by now, both in picodollars.
    """

    budget: str
    partition: tuple[str, ...]
    by: tuple[str, ...]
    period: PeriodName
    starts: int
    ends: int | None
    threshold: float
    limit: int
    spent: int

    def __str__(self) -> str:
        """Return what a log may say of it: short, printable, on one line."""
        values = self.partition[1::2]
        whose = ", ".join(
            f"{name} {value!a}" if value else name
            for name, value in zip(self.by, values, strict=True)
        )
        if len(whose) > _MAX_SHOWN:
            whose = f"{whose[:_MAX_SHOWN]}..."
        return (
            f"the budget {self.budget} ({whose}) at {self.threshold:g} of its limit, with "
            f"{money.shown(self.spent)} of {money.shown(self.limit)} dollars spent"
        )


# What a host gives to be told; what it returns is awaited, if it can be.
OnThreshold = Callable[[Crossing], object]


class Thresholds:
    """Finds what crosses the soft thresholds of policies, logs it and tells `on_threshold`.

    That is called in a task of its own, in the loop: where it may take a moment, it is better an
    asynchronous function. Of these, so many run at once, and the others wait; what one raises is
    logged. Where it has a `lifespan`, that is part of this one. `any` is whether there is a
    threshold to watch for.

    Raises ValueError where there is none, and somebody wants to be told.
    """

    def __init__(
        self, policies: Sequence[BudgetPolicy], on_threshold: OnThreshold | None = None
    ) -> None:
        self._policies = {policy.name: policy for policy in policies if policy.soft}
        self.any = bool(self._policies)
        if on_threshold is not None and not self.any:
            raise ValueError(
                "on_threshold is given, and no budget has a threshold to tell of: give one "
                "soft=[0.8], or leave on_threshold out."
            )
        self._lifespan_of_host = getattr(on_threshold, "lifespan", nullcontext)
        self._errands: Errands[Crossing] | None = None
        if on_threshold is not None:
            self._errands = Errands(
                "on_threshold", _teller(on_threshold), at_once=AT_ONCE, given_up=_given_up
            )

    def watch(self, moves: Sequence[Moved]) -> None:
        """Log and tell what these movements cross, lowest first; for `Ledger.watch`."""
        for move in moves:
            account = move.account
            # Others may count on the same ledger.
            policy = self._policies.get(account.budget)
            if policy is None or account.limit is None:
                continue
            for threshold in policy.crossed(move.before, move.after, account.limit):
                crossing = Crossing(
                    budget=account.budget,
                    partition=account.partition,
                    by=account.partition[::2],
                    period=policy.period.name,
                    starts=account.starts,
                    ends=account.ends,
                    threshold=threshold,
                    limit=account.limit,
                    spent=move.after,
                )
                logger.warning("a soft threshold is reached: %s", crossing)
                if self._errands is not None:
                    self._errands.put(crossing)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Be there to tell; wait at the end until all is told, within a bound."""
        async with self._lifespan_of_host():
            try:
                yield
            finally:
                if self._errands is not None:
                    await self._errands.finish(FAREWELL)


def _teller(on_threshold: OnThreshold) -> Callable[[Crossing], Coroutine[Any, Any, None]]:
    async def tell(crossing: Crossing) -> None:
        answer = on_threshold(crossing)
        if inspect.isawaitable(answer):
            await answer

    return tell


def _given_up(crossing: Crossing, reason: str) -> None:
    logger.error("on_threshold was not told of %s: %s", crossing, reason)
