"""Verification: all that can be wrong is found, and nothing else."""

import asyncio
from pathlib import Path

import pytest

from tests.books.ledgers import TEAM, Kept, altering_sqlite, call, made
from veneer.books import sqlite
from veneer.books.books import Findings
from veneer.books.sql import SqlBooks
from veneer.ledger.entry import Account
from veneer.ledger.sqlite import SqliteLedger

LEASE = 30.0
KINDS = pytest.mark.parametrize("kind", ["in_sqlite", "in_postgresql"])

CALLS = (
    call("spent", total=7),
    call("free", total=0, state="failed", accounts=(TEAM,)),
    call("other", total=5, accounts=(Account("team", ("team", "b"), 0, None, None),)),
)


@pytest.fixture
def ledger(request: pytest.FixtureRequest, kind: str) -> Kept:
    found: Kept = request.getfixturevalue(kind)
    return found


def kinds(findings: Findings) -> list[str]:
    assert findings.found == len(findings.wrong)
    return sorted(finding.kind for finding in findings.wrong)


@pytest.mark.parametrize("kind", ["in_sqlite", "in_postgresql", "in_memory"])
async def test_a_ledger_that_is_in_order_has_no_findings(ledger: Kept) -> None:
    await made(ledger.ledger, CALLS)
    findings = await ledger.books.verify()
    assert findings == Findings(rows=3, accounts=3, open=0, found=0, wrong=())


ALTERED = [
    ("UPDATE {t}entries SET total = total + 1 WHERE call = 'other'", ["parts", "spent"]),
    ("UPDATE {t}entries SET total = -5 WHERE call = 'other'", ["parts", "row", "spent"]),
    ("UPDATE {t}entries SET amount = -5 WHERE call = 'other'", ["row"]),
    ("UPDATE {t}entries SET parts = '{{\"input\": 1}}' WHERE call = 'other'", ["parts"]),
    ("UPDATE {t}entries SET parts = '{{\"a\": -1, \"b\": 6}}' WHERE call = 'other'", ["parts"]),
    ("UPDATE {t}entries SET parts = '{{\"a\": 5.0}}' WHERE call = 'other'", ["parts"]),
    ("UPDATE {t}entries SET parts = 'nothing' WHERE call = 'other'", ["parts"]),
    ("UPDATE {t}entries SET state = 'unheard of' WHERE call = 'other'", ["row"]),
    ("DELETE FROM {t}entries WHERE call = 'spent'", ["spent", "spent"]),
    ("UPDATE {t}accounts SET spent = '8' WHERE budget = 'key'", ["spent"]),
    ("UPDATE {t}accounts SET held = '8' WHERE budget = 'key'", ["held"]),
    ("UPDATE {t}accounts SET spent = '-7' WHERE budget = 'key'", ["account", "spent"]),
    ("DELETE FROM {t}accounts WHERE budget = 'key'", ["account"]),
    # Beyond 64 bits, and next to each other.
    ("UPDATE {t}accounts SET spent = '99999999999999999999999' WHERE budget = 'key'", ["spent"]),
]


@KINDS
@pytest.mark.parametrize(("statement", "wrong"), ALTERED)
async def test_what_was_altered_is_found(ledger: Kept, statement: str, wrong: list[str]) -> None:
    await made(ledger.ledger, CALLS)
    ledger.alter(statement)
    findings = await ledger.books.verify()
    assert kinds(findings) == wrong
    assert all(finding.subject in finding.text for finding in findings.wrong)


@KINDS
async def test_a_call_on_an_account_that_there_is_not_is_found(ledger: Kept, kind: str) -> None:
    await made(ledger.ledger, CALLS)
    statement = "UPDATE {t}entries SET accounts = '[99]' WHERE call = 'spent'"
    if kind == "in_postgresql":
        statement = "UPDATE {t}entries SET accounts = ARRAY[99] WHERE call = 'spent'"
    ledger.alter(statement)
    findings = await ledger.books.verify()
    assert kinds(findings) == ["account", "spent", "spent"]


@pytest.mark.parametrize(
    ("statement", "wrong"),
    [
        ("UPDATE entries SET total = 'much' WHERE call = 'free'", ["row"]),
        ("UPDATE entries SET amount = 1.5 WHERE call = 'free'", ["row"]),
        ("UPDATE entries SET parts = 7 WHERE call = 'free'", ["parts"]),
        ("UPDATE entries SET parts = x'ff' WHERE call = 'free'", ["parts"]),
        ("UPDATE entries SET accounts = 'no list' WHERE call = 'free'", ["row"]),
        ("UPDATE entries SET accounts = '[\"a\"]' WHERE call = 'free'", ["row"]),
        ("UPDATE accounts SET spent = '7.5' WHERE budget = 'key'", ["account"]),
        ("UPDATE accounts SET held = 'nothing' WHERE budget = 'key'", ["account"]),
    ],
)
async def test_what_no_column_has_is_found(
    in_sqlite: Kept, statement: str, wrong: list[str]
) -> None:
    """SQLite keeps in a column what it is given."""
    await made(in_sqlite.ledger, CALLS)
    in_sqlite.alter(statement)
    assert kinds(await in_sqlite.books.verify()) == wrong


async def test_an_account_of_no_number_is_found(in_postgresql: Kept) -> None:
    await made(in_postgresql.ledger, CALLS)
    in_postgresql.alter("UPDATE {t}accounts SET spent = 'NaN' WHERE budget = 'key'")
    in_postgresql.alter("UPDATE {t}accounts SET held = 0.5 WHERE budget = 'key'")
    assert kinds(await in_postgresql.books.verify()) == ["account", "account"]


async def test_the_first_findings_are_told_and_all_are_counted(in_sqlite: Kept) -> None:
    await made(in_sqlite.ledger, [call(f"c{number}") for number in range(9)])
    in_sqlite.alter("UPDATE entries SET parts = '{{}}'")
    findings = await in_sqlite.books.verify(most=4)
    assert (findings.found, len(findings.wrong)) == (9, 4)


async def test_rows_are_read_in_parts(in_sqlite: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("veneer.books._snapshot.PART", 4)
    await made(in_sqlite.ledger, [call(f"c{number}") for number in range(9)])
    in_sqlite.alter("UPDATE entries SET parts = '{{}}' WHERE call = 'c8'")
    findings = await in_sqlite.books.verify()
    assert (findings.rows, [finding.subject for finding in findings.wrong]) == (9, ["c8"])


async def test_what_memory_has_forgotten_is_no_finding(in_memory: Kept) -> None:
    in_memory.ledger._max_closed = 1  # type: ignore[attr-defined] # a bound that a test can reach
    await made(in_memory.ledger, [call("a"), call("b"), call("open", total=None)][:1])
    findings = await in_memory.books.verify()
    assert findings.found == 0


class Watched:
    """Books on a file with a clock that only sleeping moves, and what happens meanwhile."""

    def __init__(self, path: Path) -> None:
        self.now = 1000.0
        self.alter = altering_sqlite(path)
        self.meanwhile: list[str] = []
        database = sqlite.database(path, 20.0)
        layout = sqlite.layout(path)
        self.books = SqlBooks(database, layout, clock=lambda: self.now, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.now += seconds
        for statement in self.meanwhile:
            self.alter(statement)


@pytest.fixture
async def watched(path: Path) -> Watched:
    """Give a file in which a process that is gone has left a call open."""
    ledger = SqliteLedger(path, timeout=20.0)
    async with ledger.lifespan():
        await made(ledger, [call("left", total=None), call("over")])
        altering_sqlite(path)("INSERT INTO owners VALUES (77, 't', 'n', 5, 0)")
        altering_sqlite(path)("INSERT INTO owners VALUES (78, 't', 'n', 5, 0)")
        altering_sqlite(path)("UPDATE entries SET owner = 77 WHERE call = 'left'")
    return Watched(path)


BEATS = "UPDATE owners SET beats = beats + 1 WHERE id = 77"


async def test_a_process_without_a_row_is_dead_at_once(watched: Watched) -> None:
    watched.alter("DELETE FROM owners WHERE id = 77")
    findings = await watched.books.verify(lease=LEASE)
    await watched.books.aclose()
    assert kinds(findings) == ["dead"]
    assert findings.open == 1
    assert watched.now == 1000.0


async def test_a_process_that_shows_no_life_for_a_lease_is_dead(watched: Watched) -> None:
    findings = await watched.books.verify(lease=LEASE)
    await watched.books.aclose()
    assert [(each.kind, each.subject) for each in findings.wrong] == [("dead", "77")]
    assert 1000.0 + LEASE <= watched.now <= 1000.0 + LEASE * 1.5


async def test_a_process_that_shows_life_may_have_open_calls(watched: Watched) -> None:
    watched.meanwhile = [BEATS]
    findings = await watched.books.verify(lease=LEASE)
    await watched.books.aclose()
    assert (findings.found, findings.open) == (0, 1)
    assert watched.now < 1000.0 + LEASE / 2


@pytest.mark.parametrize("leaves", [True, False])
async def test_what_is_closed_meanwhile_is_no_finding(watched: Watched, *, leaves: bool) -> None:
    watched.meanwhile = ["UPDATE entries SET state = 'abandoned'"]
    if leaves:
        watched.meanwhile.append("DELETE FROM owners WHERE id = 77")
    findings = await watched.books.verify(lease=LEASE)
    await watched.books.aclose()
    assert (findings.found, findings.open) == (0, 1)


async def test_what_is_left_open_when_its_process_goes_is_found(watched: Watched) -> None:
    watched.meanwhile = ["DELETE FROM owners WHERE id = 77"]
    findings = await watched.books.verify(lease=LEASE)
    await watched.books.aclose()
    assert kinds(findings) == ["dead"]
    assert watched.now < 1000.0 + LEASE / 2


@KINDS
async def test_a_ledger_in_use_adds_up_whenever_it_is_looked_at(ledger: Kept) -> None:
    """All is seen as it is at one moment, whatever is written meanwhile."""
    calls = [call(f"call-{number}") for number in range(60)]

    async def go_on() -> None:
        for each in calls:
            await made(ledger.ledger, [each])

    await ledger.ledger.find("nothing")
    going = asyncio.create_task(go_on())
    seen = []
    while not going.done():
        findings = await ledger.books.verify(lease=0.001)
        # Who lives does not show it so often.
        assert {finding.kind for finding in findings.wrong} <= {"dead"}
        seen.append(findings.rows)
    await going
    assert (await ledger.books.verify()).rows == 60
    assert seen


async def test_an_open_call_of_a_process_that_lives_is_no_finding(path: Path) -> None:
    """Its ledger shows that it lives, in real time."""
    ledger = SqliteLedger(path, lease=0.3, timeout=20.0)

    async def soon(_: float) -> None:
        await asyncio.sleep(0.01)

    books = SqlBooks(sqlite.database(path, 20.0), sqlite.layout(path), sleep=soon)
    async with ledger.lifespan():
        await made(ledger, [call("open", total=None), call("over")])
        findings = await books.verify(lease=LEASE)
    await books.aclose()
    assert (findings.open, findings.found) == (1, 0)
