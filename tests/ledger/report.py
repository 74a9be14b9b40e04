"""What is told of processes that were killed over one ledger."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tests.ledger.faults import Case, Sum, faults_of, sums_of
from veneer.prices.money import DOLLAR, shown

# What less than this is left of holds hardly any call.
DEAREST = DOLLAR // 2_000

# Faults, and other things, that are shown.
SHOWN = 30

_NUMBERS = re.compile(r"[0-9]+")


class Report(msgspec.Struct):
    """What has happened. `statuses` are those that clients got: 0 for none, -1 for who has left.

    `whole` is how many of them got a whole answer, and `unsettled` how many of these whose process
    died before it could write down what it knew. `unsent` is how many rows cost something though
    the model server has not got the call, as their clients have left. `used_up` are keys and what
    they have spent; `sums` are what rows come to by their states. `mistaken` are processes that
    were taken for dead and were not; it makes what is said of limits doubtful. `said` is what
    servers have logged.
    """

    kills: int
    seconds: float
    calls: int
    served: int
    statuses: dict[int, int]
    whole: int
    unsettled: int
    unsent: int
    used_up: list[str]
    sums: dict[str, Sum]
    mistaken: list[int]
    said: dict[str, int]
    faults: list[str]

    def lines(self) -> Iterator[str]:
        """Yield what people read."""
        yield f"{self.kills} kills in {self.seconds:.1f} s"
        yield f"{self.calls} calls by clients, {self.served} at the model server: {self.statuses}"
        yield f"whole answers: {self.whole}, of these abandoned: {self.unsettled}"
        yield f"charged, and not at the model server: {self.unsent}"
        yield f"keys that are used up: {', '.join(self.used_up) or 'none'}"
        total = Sum()
        for kind, each in sorted(self.sums.items()):
            yield _line(kind, each)
            total.rows += each.rows
            total.ledger += each.ledger
            total.upstream += each.upstream
        yield _line("all", total)
        yield f"taken for dead and alive: {len(self.mistaken)}"
        yield from (f"said {count} times: {text}" for text, count in self.said.items())
        yield f"{len(self.faults)} faults"
        yield from self.faults[:SHOWN]


def _line(kind: str, each: Sum) -> str:
    ledger, upstream = (shown(amount, places=6) for amount in (each.ledger, each.upstream))
    return f"{kind}: {each.rows} rows, {ledger} dollars here, {upstream} at the model server"


def said_in(folder: Path) -> Counter[str]:
    """Return what servers have logged, by its words."""
    lines = (folder / "said").read_text().splitlines()
    return Counter(_NUMBERS.sub("#", line.partition(" ")[2].partition(" ")[2]) for line in lines)


def report(case: Case, seconds: float, said: Counter[str]) -> Report:
    """Return what is to be said of a case."""
    rows = case.evidence.rows
    used_up = [
        f"{each.key} ({shown(each.spent)} of {shown(limit)})"
        for each in sorted(case.evidence.accounts, key=lambda each: each.key)
        if (limit := case.limits[each.key]) is not None and limit - each.spent < DEAREST
    ]
    abandoned = {row.name for row in rows if row.state == "abandoned"}
    left = {row.name for row in rows if row.state == "disconnected" and row.total}
    told = {each.name for each in case.told}
    whole = [each.name for each in case.calls if each.served]
    return Report(
        kills=len(case.killed),
        seconds=seconds,
        calls=len(case.calls),
        served=len(case.told),
        statuses=dict(Counter(each.status for each in case.calls).most_common()),
        whole=len(whole),
        unsettled=len(abandoned.intersection(whole)),
        unsent=len(left - told),
        used_up=used_up,
        sums=sums_of(rows, case.told),
        mistaken=sorted(case.evidence.mistaken),
        said=dict(said.most_common(SHOWN)),
        faults=list(faults_of(case)),
    )
