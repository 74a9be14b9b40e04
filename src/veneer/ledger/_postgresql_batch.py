"""What is written into PostgreSQL at once, and what has come of it."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

from veneer.ledger._postgresql_accounts import Ids
from veneer.ledger._wanted import Held, Settled
from veneer.ledger.entry import Account, Balance, Exhausted, Moved


class StaleError(Exception):
    """What was remembered is no longer so: do it again, for it is forgotten now."""


class Open(msgspec.Struct, frozen=True):
    """What is remembered of a row that this process holds.

    `known` is whether its state is, too; otherwise it is read again.
    """

    amount: int
    accounts: tuple[int, ...]
    watched: Mapping[int, Account]
    known: bool = True


class Batch(msgspec.Struct):
    """What is written at once: holds and settlements; then the answers, and what was moved.

    `is_ready` is whether all is written but for the commit.
    """

    holds: Sequence[Held]
    settlements: Sequence[Settled]
    ids: Ids = MappingProxyType({})
    answers: list[tuple[Balance, ...] | Exhausted] = []
    moved: list[Moved] = []
    opened: dict[str, Open] = {}
    closed: list[str] = []
    is_ready: bool = False
