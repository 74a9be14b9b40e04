"""The budget policy: how much may be spent in a period, and on whose account."""

import logging
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

from veneer.auth.peers import Peers
from veneer.budgets import notation
from veneer.budgets.periods import Period, PeriodName
from veneer.facts import Principal
from veneer.ledger.entry import Account
from veneer.quotas.partition import Choice, Partitioner, Partitions, partitioner, read_by

logger = logging.getLogger("veneer.cost")

MAX_NAME = 64
MAX_SOFT = 20
# Notations of keys whose limits are remembered.
MAX_REMEMBERED = 1024


class BudgetPolicy:
    """How much each may spend in a period.

    `limit` is in dollars, such as "20" or "0.50"; None or "unlimited" refuses nothing and counts
    all. `name` (the period, if none is given) is what a principal's `budgets` call it. `partition`
    says whose accounts there are, as for `QuotaPolicy`. `period`, `timezone` and `reset_day` are as
    in `Period`. `soft` are thresholds, as fractions of the limit, whose crossing is to be told.
    `disclosed` is whether the caller may see the amounts.

    `reads` are the fact types that it cannot do without; `asks_host` is whether its partition is a
    function, which may go by anything. Raises ValueError for an option that cannot be.
    """

    def __init__(  # noqa: PLR0913 - each is a setting with a name, and most have a default
        self,
        limit: str | None,
        *,
        name: str | None = None,
        partition: Choice = "team",
        period: PeriodName = "month",
        timezone: str = "UTC",
        reset_day: int = 1,
        soft: Sequence[float] = (),
        disclosed: bool = False,
    ) -> None:
        self.period = Period(period, timezone=timezone, reset_day=reset_day)
        self.name = period if name is None else _checked_name(name)
        self.limit = None if limit is None else _limit(limit)
        self.partition = partition
        self.disclosed = disclosed
        self.reads = read_by(partition)
        self.asks_host = callable(partition)
        self._soft = _thresholds(soft)
        self.soft = tuple(threshold for threshold, _ in self._soft)
        self._own = lru_cache(MAX_REMEMBERED)(self._read_own)

    def partitioner(self, peers: Peers) -> Partitioner:
        """Return the function from a request's scope to the partitions that have an account."""
        return partitioner(self.partition, peers)

    def accounts_for(
        self, partitions: Partitions, principal: Principal | None, at: float
    ) -> list[Account]:
        """Return the accounts on which a call at that time is counted, one for each partition.

        The principal's own limit goes before the common one, on the common account. Raises
        ValueError for a time that `Period.period_at` does not know.
        """
        limit = self.limit
        if principal is not None and principal.budgets:
            own = principal.budgets.get(self.name)
            if own is not None:
                # Verifiers of others may leave numbers, or worse: what is no text is read as one.
                limit = self._own(str(own))
        starts, ends = self.period.period_at(at)
        return [Account(self.name, partition, starts, ends, limit) for partition in partitions]

    def crossed(self, before: int, after: int, limit: int | None) -> list[float]:
        """Return the thresholds that are crossed from one sum to another, lowest first.

        A threshold is crossed when it is reached. Sums and limit are in picodollars.
        """
        if limit is None:
            return []
        # Whole numbers: this is done for every call, and fractions take ten times as long.
        return [
            threshold
            for threshold, exact in self._soft
            if before * exact.denominator < exact.numerator * limit <= after * exact.denominator
        ]

    def _read_own(self, limit: str) -> int | None:
        """Return a key's own limit; the common one, once that is logged, where it is none."""
        try:
            return notation.parse(limit)
        except ValueError as error:
            reason = str(error)
        logger.error(
            "a key has a limit for the budget %s that cannot be read, and is held to what others "
            "are: %s",
            self.name,
            reason,
        )
        return self.limit


def _limit(given: object) -> int | None:
    try:
        return notation.parse(given)
    except ValueError as error:
        raise ValueError(f"limit: {error}") from None


def _checked_name(name: str) -> str:
    if not (0 < len(name) <= MAX_NAME and name.isascii() and name.isprintable()):
        raise ValueError(
            f"name is {name[:MAX_NAME]!r}: give 1 to {MAX_NAME} printable ASCII characters."
        )
    return name


def _thresholds(soft: Sequence[float]) -> list[tuple[float, Fraction]]:
    """Return thresholds, lowest first, each with what was written: 0.9 is not quite its float."""
    if len(soft) > MAX_SOFT:
        raise ValueError(f"soft has {len(soft)} thresholds: give at most {MAX_SOFT}.")
    found: dict[float, Fraction] = {}
    for threshold in soft:
        try:
            exact = Fraction(repr(float(threshold)))
        except (TypeError, ValueError):
            exact = Fraction(0)
        if not 0 < exact <= 1:
            raise ValueError(
                f"soft has {threshold!r}: give fractions of the limit, above 0 and at most 1, such "
                "as 0.9."
            )
        if threshold in found:
            raise ValueError(f"soft has {threshold!r} twice: leave one.")
        found[float(threshold)] = exact
    return sorted(found.items())
