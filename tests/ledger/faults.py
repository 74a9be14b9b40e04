"""What has to be true of a ledger whose processes were killed, beside what the model server knows.

A call's row, the model server's memory and its client's are found together by the name of its
model.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import msgspec

from tests.ledger.clients import LEFT, Called
from tests.ledger.evidence import Evidence, Row
from tests.ledger.told import FRAME, Told, cost

REFUSED = 429
UNAVAILABLE = 503

# Answers that are as they should be, and no answers: 0 is a process that was killed.
EXPECTED = frozenset([LEFT, 0, 200, REFUSED, UNAVAILABLE])


class Sum(msgspec.Struct):
    """What rows of one kind come to, there and here; in picodollars."""

    rows: int = 0
    ledger: int = 0
    upstream: int = 0


class Case(msgspec.Struct, frozen=True):
    """All that is known when it is over.

    `killed` are the ids of processes, `limits` those of keys, None for none; `charge_abandoned` is
    what the ledger was told.
    """

    evidence: Evidence
    told: Sequence[Told]
    calls: Sequence[Called]
    killed: Collection[int]
    limits: Mapping[str, int | None]
    charge_abandoned: bool = False


def faults_of(case: Case) -> Iterator[str]:
    """Yield what is wrong."""
    evidence = case.evidence
    rows = {row.name: row for row in evidence.rows}
    told = {each.name: each for each in case.told}
    yield from (f"the file is damaged: {line}" for line in evidence.damage)
    yield from _twice(evidence.rows, case.told)
    for name in told.keys() - rows.keys():
        yield f"{name}: the model server has served it, and it is not in the ledger"
    for row in evidence.rows:
        for fault in faults_of_row(row, told.get(row.name), charge_abandoned=case.charge_abandoned):
            yield f"{row.name}: {fault} ({row}, {told.get(row.name)})"
    for called in case.calls:
        for fault in faults_of_call(called, rows.get(called.name), told.get(called.name)):
            yield f"{called.name}: {fault} ({called}, {rows.get(called.name)})"
    yield from _abandoned(case)
    yield from faults_of_counters(evidence, case.limits)
    exact = sums_of(evidence.rows, case.told).get("completed", Sum())
    if exact.ledger != exact.upstream:
        yield f"what is completed does not come to the same: {exact}"


def faults_of_row(row: Row, told: Told | None, *, charge_abandoned: bool) -> Iterator[str]:
    """Yield what is wrong with a row; `told` is None for what the model server did not get."""
    if sum(row.parts.values()) != row.total:
        yield "its parts are not its total"
    if row.total > row.amount:
        yield "it costs more than was held"
    if row.state == "held":
        yield "it is open"
    elif row.state in ("abandoned", "released"):
        guess = row.amount if charge_abandoned and row.state == "abandoned" else 0
        if row.total != guess or row.estimated != (guess > 0):
            yield f"what is {row.state} costs {guess}"
        if row.state == "released" and told is not None:
            yield "the model server got it"
    elif told is None:
        yield from _unserved(row)
    else:
        yield from _served(row, told)


def _unserved(row: Row) -> Iterator[str]:
    """Yield what is wrong with the row of a call that the model server did not get.

    Whose client has left may be charged what was to be read: it might have been on its way.
    """
    read = 0
    if row.state == "disconnected" and row.estimated and row.usage is not None:
        read = row.usage[0]
    if row.state == "completed" or row.total != cost(read, 0, 0):
        yield "the model server did not get it"


def _served(row: Row, told: Told) -> Iterator[str]:
    """Yield what is wrong with the row of a call that the model server got, when it is closed."""
    if row.state == "completed" and not told.finished:
        yield "the model server did not finish it"
    if row.usage is None:
        if row.state == "completed" or (row.total, row.estimated) != (row.amount, True):
            yield "it has no usage, and does not cost what was held"
    elif row.estimated:
        yield from _estimated(row, row.usage, told)
    elif not told.told or row.usage != (told.input, told.cached, told.output):
        yield "its usage is not what the model server told"
    elif row.total != told.cost:
        yield f"it does not cost {told.cost}"


def _estimated(row: Row, usage: tuple[int, int, int], told: Told) -> Iterator[str]:
    read, _, written = usage
    if read > told.size + FRAME or written > told.events:
        yield "it is estimated beyond what the model server has got and sent"
    if row.total != cost(*usage):
        yield f"it does not cost {cost(*usage)}"


def faults_of_call(called: Called, row: Row | None, told: Told | None) -> Iterator[str]:
    """Yield what is wrong with what a client has got."""
    if called.status not in EXPECTED:
        yield f"status {called.status}"
    if called.status in (REFUSED, UNAVAILABLE) and told is not None:
        yield "it was refused, and the model server got it"
    if called.status == REFUSED and row is not None:
        yield "it was refused, and is in the ledger"
    guessed = row is not None and row.state == "completed" and row.estimated
    # A client may leave right before the usage comes.
    if guessed and told is not None and told.told and called.status != LEFT:
        yield "it is estimated, and the model server has told its usage"
    if not called.served:
        return
    if row is None or row.state not in ("completed", "abandoned"):
        yield "its client got a whole answer"
    elif called.receipt is None or (row.state == "completed" and called.receipt != row.total):
        yield "its receipt is not its row"


def faults_of_counters(evidence: Evidence, limits: Mapping[str, int | None]) -> Iterator[str]:
    """Yield where accounts are not what their rows are, or were ever over their limit.

    Nothing is said of limits where somebody who lived was taken for dead: what is so freed may be
    spent twice, for a lease is too short then.
    """
    spent: Counter[int] = Counter()
    held: Counter[int] = Counter()
    for row in evidence.rows:
        for account in row.accounts:
            spent[account] += row.total
            held[account] += row.amount if row.state == "held" else 0
    for counters in evidence.accounts:
        rows = spent.pop(counters.id, 0), held.pop(counters.id, 0)
        if (counters.spent, counters.held) != rows:
            yield f"{counters} is not what its rows are: {rows}"
        limit = limits[counters.key]
        if limit is not None and counters.most > limit and not evidence.mistaken:
            yield f"{counters} was over its limit of {limit}"
    if spent:
        yield f"there are rows of accounts that are not there: {sorted(spent)}"


def _twice(rows: Iterable[Row], told: Iterable[Told]) -> Iterator[str]:
    for what, found in {
        "calls with this id": [row.call for row in rows],
        "rows": [row.name for row in rows],
        "calls at the model server": [each.name for each in told],
    }.items():
        for name, count in Counter(found).items():
            if count > 1:
                yield f"{name}: there are {count} {what}"


def _abandoned(case: Case) -> Iterator[str]:
    """Yield rows that were abandoned though nobody has killed their process."""
    owners, dead = case.evidence.owners, {*case.killed, *case.evidence.mistaken}
    for row in case.evidence.rows:
        if row.state == "abandoned" and owners.get(row.owner) not in dead:
            yield f"{row.name}: it is abandoned, and nobody has killed its process"


def sums_of(rows: Iterable[Row], told: Iterable[Told]) -> dict[str, Sum]:
    """Return what rows come to by their states; those `estimated` are apart."""
    served = {each.name: each for each in told}
    sums: dict[str, Sum] = defaultdict(Sum)
    for row in rows:
        known = served.get(row.name)
        each = sums[f"{row.state}, estimated" if row.estimated else row.state]
        each.rows += 1
        each.ledger += row.total
        each.upstream += 0 if known is None else known.so_far
    return dict(sums)
