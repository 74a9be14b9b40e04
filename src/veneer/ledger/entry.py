"""The rows of the ledger: what is held for a call before it is made, and what it came to."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from veneer.facts import Usage

# How a call ended. One that was `cut` had used up what was held for it. What was `held` when its
# process died is closed as `abandoned`.
State = Literal["held", "completed", "failed", "disconnected", "cut", "released", "abandoned"]

# Those of which there is one for every call cannot be part of a cycle, and the garbage collector
# need not look at them.


class Account(msgspec.Struct, frozen=True, cache_hash=True, gc=False):
    """What a budget is counted on: one of its partitions, in one of its periods.

    `budget` is the budget's name, `partition` says whose, as for quotas. `starts` and `ends` are
    the period, in seconds since the epoch; `ends` is None for one without end. `limit` is in
    picodollars, None where nothing is refused and all is counted.
    """

    budget: str
    partition: tuple[str, ...]
    starts: int
    ends: int | None
    limit: int | None


class Hold(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a call may cost at the most, before it is made.

    `call` is its id, unique for ever. `amount` is in picodollars and is held on every account. The
    rest is what the row says of the call from the beginning; prompts are no part of it.
    """

    call: str
    amount: int
    accounts: tuple[Account, ...]
    at: float
    request_id: str | None = None
    key: str | None = None
    team: str | None = None
    user: str | None = None
    tags: tuple[str, ...] = ()
    operation: str = ""
    model: str | None = None
    stream: bool = False


class Settlement(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a call came to: its end, its use and its cost, in picodollars by part.

    `hold` is given where it may never have been written: the row is made of it if there is none.
    """

    call: str
    state: State
    at: float
    usage: Usage | None = None
    parts: Mapping[str, int] = {}
    total: int = 0
    estimated: bool = False
    price_version: str | None = None
    priced_model: str | None = None
    answered_model: str | None = None
    target: str | None = None
    status: int | None = None
    latency: float | None = None
    first_event: float | None = None
    hold: Hold | None = None


class Entry(msgspec.Struct, frozen=True):
    """A row: what was held, and what it came to, which is None for as long as it is `held`.

    Limits are no part of it, and None.
    """

    hold: Hold
    settlement: Settlement | None


class Balance(msgspec.Struct, frozen=True, gc=False):
    """What is spent and held on an account, whose limit is the one that counts at that moment."""

    account: Account
    spent: int
    held: int


class Exhausted(msgspec.Struct, frozen=True):
    """A budget that a hold does not fit into: its account, and what is spent and held on it."""

    account: Account
    spent: int
    held: int


class Limit(msgspec.Struct, frozen=True):
    """A limit that an operator has set for one partition of a budget, in all of its periods.

    It goes before those that holds bring. `amount` is in picodollars; None refuses nothing.
    """

    budget: str
    partition: tuple[str, ...]
    amount: int | None


class Moved(msgspec.Struct, frozen=True):
    """What a settlement has made of an account that has a limit: spent before it, and after."""

    account: Account
    before: int
    after: int
