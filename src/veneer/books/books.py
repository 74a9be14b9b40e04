"""The books' contract: what people ask of a ledger, and what they set in it."""

from typing import Literal, Protocol

import msgspec

from veneer.ledger.entry import Balance, Limit

# What calls are grouped by. `model` is the one whose price was charged, or else the one that
# answered, or else the one that was asked for. `day` is that on which a call began, in UTC.
By = Literal["team", "key", "user", "model", "day"]

# Groups, and accounts, that are returned where the caller does not say how many.
MOST_LINES = 1000
MOST_BALANCES = 10_000
# Findings of which the text is kept; all are counted.
MOST_FINDINGS = 100
# Seconds for which a process may show no sign of life: a ledger's lease, unless it is set.
LEASE = 30.0


class UsageLine(msgspec.Struct, frozen=True, kw_only=True):
    """What the calls of a group came to; amounts are in picodollars.

    `group` is a team, the id of a key, a user, a model, or a day as in 2026-01-31; None for calls
    without one. `groups` is 1, but for a last line that adds up all that there was no room for: so
    many are in it then, and `group` is None. `failed` are calls that are over and not `completed`,
    `abandoned` those of them whose process died, `estimated` those whose use was not told by the
    upstream. `open` are calls that are still running, for which `held` is held.
    """

    group: str | None
    groups: int = 1
    calls: int = 0
    failed: int = 0
    estimated: int = 0
    abandoned: int = 0
    open: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    spent: int = 0
    held: int = 0


# `row`: it has what no row can have. `parts`: they are not the total. `account`: it has what none
# can have, or there is none that a row is on. `spent`, `held`: the account's is not the sum of its
# rows. `dead`: calls are open whose process is no more.
Kind = Literal["row", "parts", "account", "spent", "held", "dead"]


class Finding(msgspec.Struct, frozen=True):
    """Something that is wrong with a ledger; `text` is a sentence without names of clients' own.

    `subject` is the id of the call, or of the account or process in its table.
    """

    kind: Kind
    subject: str
    text: str


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What was checked, and what was found.

    `open` are calls that were open, all of them of living processes unless there is a finding.
    `wrong` are the first findings, `found` is how many there are of all.
    """

    rows: int
    accounts: int
    open: int
    found: int
    wrong: tuple[Finding, ...]


class Books(Protocol):
    """A ledger as people read it, while it is written or when nobody writes.

    All methods raise `LedgerUnavailableError` where there is no ledger, where it does not answer
    within a bounded time, and where it is of another version; the text is for the operator.
    """

    async def usage(
        self,
        by: By,
        *,
        since: float | None = None,
        until: float | None = None,
        limit: int = MOST_LINES,
    ) -> list[UsageLine]:
        """Add up the calls that began at `since` or later, and before `until`, by group.

        Both are seconds since the epoch; None is no bound. Those that cost most come first, days in
        their order. Of more groups than `limit` those are told that cost most, or the latest days,
        and the others in a last line, one more.
        """
        ...

    async def budgets(self, at: float, *, limit: int = MOST_BALANCES) -> list[Balance]:
        """Tell how accounts stand whose period a time lies in, by budget and partition.

        Their limits are those that operators have set, None where there is none: the others are
        nowhere but in the configuration and with the keys. Of more than `limit`, the first.
        """
        ...

    async def limits(self) -> list[Limit]:
        """Return the limits that operators have set, by budget and partition."""
        ...

    async def set_limit(self, limit: Limit, /) -> None:
        """Set a limit, in place of one for the same partition; writers heed it from then on.

        Raises ValueError for a name or an amount that cannot be.
        """
        ...

    async def clear_limit(self, budget: str, partition: tuple[str, ...], /) -> bool:
        """Take a limit away; return whether there was one."""
        ...

    async def verify(self, *, lease: float = LEASE, most: int = MOST_FINDINGS) -> Findings:
        """Check that all adds up, as it is at one moment.

        Each row's parts are its total; nothing is negative; what is spent and held on each account
        is the sum of its rows; calls are open only for processes that live. Whether they do is
        looked at for up to `lease` seconds, if there are any. Of more findings than `most`, the
        first are told.
        """
        ...

    async def aclose(self) -> None:
        """Give up what is open."""
        ...
