"""Whether a ledger adds up: what is checked of each row, and of the sums over all."""

import re
from collections import Counter
from decimal import Decimal
from typing import Any, get_args

import msgspec

from veneer.books.books import Finding, Findings, Kind
from veneer.ledger.entry import State

_STATES = frozenset(get_args(State))
_WHOLE = re.compile(r"-?[0-9]{1,100}").fullmatch

_decode_parts = msgspec.json.Decoder(dict[str, int]).decode
_decode_accounts = msgspec.json.Decoder(list[int]).decode


class AuditedRow(msgspec.Struct, frozen=True):
    """What is checked of a row, as it was found; `accounts` are ids, or the JSON of them."""

    call: str
    owner: int
    state: Any
    amount: Any
    total: Any
    parts: Any
    accounts: Any


class _Sums(msgspec.Struct):
    """What an account says, None where that is no number, and what its rows come to."""

    told_spent: int | None
    told_held: int | None
    spent: int = 0
    held: int = 0


class Audit:
    """Takes all accounts, then all rows, and tells what is wrong with them.

    What it remembers is bounded by the number of accounts and of processes. `open` is how many
    calls are open of each process. `most` findings are kept. `keeps_all` is whether the ledger has
    all rows that there ever were; where it forgets some, more may be spent than its rows come to.
    """

    def __init__(self, most: int, *, keeps_all: bool = True) -> None:
        self.open: Counter[int] = Counter()
        self._most = most
        self._keeps_all = keeps_all
        self._rows = 0
        self._sums: dict[int, _Sums] = {}
        self._wrong: list[Finding] = []
        self._found = 0

    def account(self, number: int, spent: object, held: object) -> None:
        """Take an account, and what it says is spent and held."""
        sums = _Sums(_whole(spent), _whole(held))
        self._sums[number] = sums
        for name, told in (("spent", sums.told_spent), ("held", sums.told_held)):
            if told is None or told < 0:
                sentence = f"What is {name} on the account {number} is no amount."
                self.find("account", number, sentence)

    def row(self, row: AuditedRow) -> None:
        """Take a row."""
        self._rows += 1
        call = row.call
        amount, total = _whole(row.amount), _whole(row.total)
        if row.state not in _STATES:
            self.find("row", call, f"The call {call} is in a state that there is not.")
        if row.state == "held":
            self.open[row.owner] += 1
        if amount is None or amount < 0 or total is None or total < 0:
            self.find("row", call, f"What the call {call} holds, or costs, is no amount.")
            amount, total = amount or 0, total or 0
        self._check_parts(row, total)
        self._add(row, amount if row.state == "held" else 0, total)

    def dead(self, owner: int, count: int) -> None:
        """Take it that calls are open of a process that is no more."""
        sentence = f"The process {owner} is no more, and calls of it are open: {count}."
        self.find("dead", owner, sentence)

    def find(self, kind: Kind, subject: object, sentence: str) -> None:
        """Count a finding, and keep it if there is room."""
        self._found += 1
        if len(self._wrong) < self._most:
            self._wrong.append(Finding(kind, str(subject), sentence))

    def compare(self) -> None:
        """Compare what all accounts say with what their rows come to, when all are in."""
        for number, sums in self._sums.items():
            for kind, told, summed in _compared(sums):
                if told is None or (kind == "spent" and told > summed and not self._keeps_all):
                    continue
                if told != summed:
                    sentence = (
                        f"{told} picodollars are {kind} on the account {number}, and its rows come "
                        f"to {summed}."
                    )
                    self.find(kind, number, sentence)

    def findings(self) -> Findings:
        """Return what was found."""
        return Findings(
            rows=self._rows,
            accounts=len(self._sums),
            open=self.open.total(),
            found=self._found,
            wrong=tuple(self._wrong),
        )

    def _check_parts(self, row: AuditedRow, total: int) -> None:
        call = row.call
        try:
            parts = _decode_parts(row.parts)
        except (msgspec.DecodeError, TypeError):
            self.find("parts", call, f"What the cost of the call {call} is made of is unreadable.")
            return
        if any(part < 0 for part in parts.values()):
            self.find("parts", call, f"A part of the cost of the call {call} is negative.")
        summed = sum(parts.values())
        if summed != total:
            sentence = f"The call {call} costs {total} picodollars, and its parts come to {summed}."
            self.find("parts", call, sentence)

    def _add(self, row: AuditedRow, held: int, spent: int) -> None:
        try:
            given = row.accounts
            accounts = given if isinstance(given, list) else _decode_accounts(given)
        except (msgspec.DecodeError, TypeError):
            sentence = f"The accounts that the call {row.call} is on are unreadable."
            self.find("row", row.call, sentence)
            return
        for number in accounts:
            sums = self._sums.get(number)
            if sums is None:
                sentence = f"The call {row.call} is on the account {number}, which there is not."
                self.find("account", row.call, sentence)
            else:
                sums.held += held
                sums.spent += spent


def _compared(sums: _Sums) -> tuple[tuple[Kind, int | None, int], ...]:
    return (("spent", sums.told_spent, sums.spent), ("held", sums.told_held, sums.held))


def _whole(value: object) -> int | None:
    """Return a whole number as databases give it, None for anything else."""
    if isinstance(value, int):
        return value
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return int(value)
    if isinstance(value, str) and _WHOLE(value):
        return int(value)
    return None
