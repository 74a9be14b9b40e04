"""Usage: what calls came to, by group, the same over ledgers of all kinds."""

import asyncio
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.books.ledgers import Called, Kept, altering_sqlite, call, kept, made
from veneer.books.books import Books, By, UsageLine
from veneer.books.opening import open_books
from veneer.facts import Usage
from veneer.ledger.sqlite import SqliteLedger
from veneer.prices.money import MOST

GROUPINGS: tuple[By, ...] = get_args(By)
DAY = 86400.0
HUGE = 2**63 - 1
HUGE_USAGE = Usage(input_tokens=HUGE, output_tokens=5, cached_input_tokens=HUGE, reasoning_tokens=1)

KINDS = pytest.mark.parametrize("kind", ["in_sqlite", "in_postgresql", "in_memory"])


@pytest.fixture
def ledger(request: pytest.FixtureRequest, kind: str) -> Kept:
    found: Kept = request.getfixturevalue(kind)
    return found


def group_of(called: Called, by: By) -> str | None:
    hold, end = called.hold, called.settlement
    if by == "day":
        return date.fromordinal(date(1970, 1, 1).toordinal() + int(hold.at) // 86400).isoformat()
    if by == "model":
        told = [end.priced_model, end.answered_model] if end is not None else []
        return next((name for name in (*told, hold.model) if name is not None), None)
    return {"team": hold.team, "key": hold.key, "user": hold.user}[by]


def added(calls: Sequence[Called]) -> dict[str, int]:
    """Add up calls, the plain way."""
    ends = [each.settlement for each in calls if each.settlement is not None]
    usages = [end.usage for end in ends if end.usage is not None]
    return {
        "calls": len(calls),
        "failed": sum(end.state != "completed" for end in ends),
        "estimated": sum(end.estimated for end in ends),
        "abandoned": 0,
        "open": len(calls) - len(ends),
        "input_tokens": sum(usage.input_tokens for usage in usages),
        "cached_input_tokens": sum(usage.cached_input_tokens for usage in usages),
        "output_tokens": sum(usage.output_tokens for usage in usages),
        "reasoning_tokens": sum(usage.reasoning_tokens for usage in usages),
        "spent": sum(end.total for end in ends),
        "held": sum(each.hold.amount for each in calls if each.settlement is None),
    }


def expected(
    calls: Sequence[Called], by: By, since: float | None, until: float | None
) -> list[UsageLine]:
    asked = [
        each
        for each in calls
        if (since is None or each.hold.at >= since) and (until is None or each.hold.at < until)
    ]
    names = {group_of(each, by) for each in asked}
    lines = [
        UsageLine(group=name, **added([each for each in asked if group_of(each, by) == name]))
        for name in names
    ]
    lines.sort(key=lambda line: (line.group is None, line.group or ""))
    return lines if by == "day" else sorted(lines, key=lambda line: -line.spent)


names = st.one_of(st.none(), st.sampled_from(["", "a", "b", "=cmd", "é", "\u202e"]))
counts = st.one_of(st.integers(0, 9), st.integers(HUGE - 9, HUGE))
usages = st.builds(
    Usage,
    input_tokens=counts,
    cached_input_tokens=counts,
    output_tokens=counts,
    reasoning_tokens=counts,
)
times = st.one_of(
    st.floats(0, 4 * DAY), st.sampled_from([0.0, DAY, 2 * DAY, 3 * DAY - 1e-9, 253_402_300_799.5])
)


@st.composite
def some_calls(draw: st.DrawFn) -> list[Called]:
    made: list[Called] = []
    for number in range(draw(st.integers(0, 12))):
        fields: dict[str, Any] = {
            name: draw(names)
            for name in ("team", "key", "user", "model", "priced_model", "answered_model")
        }
        made.append(
            call(
                f"call-{number}",
                amount=draw(st.one_of(st.integers(0, 9), st.integers(MOST - 9, MOST))),
                total=draw(st.one_of(st.none(), st.integers(0, 9), st.integers(MOST - 9, MOST))),
                state=draw(st.sampled_from(["completed", "failed", "disconnected", "released"])),
                at=draw(times),
                usage=draw(st.one_of(st.none(), usages)),
                estimated=draw(st.booleans()),
                **fields,
            )
        )
    return made


async def check(
    books: Books, calls: Sequence[Called], since: float | None, until: float | None
) -> None:
    for by in GROUPINGS:
        found = await books.usage(by, since=since, until=until)
        assert found == expected(calls, by, since, until), by


@settings(max_examples=10)
@given(some_calls(), st.one_of(st.none(), times), st.one_of(st.none(), times))
def test_what_a_file_adds_up_is_what_plain_addition_does(
    calls: list[Called], since: float | None, until: float | None
) -> None:
    async def main(path: Path) -> None:
        ledger = SqliteLedger(path, timeout=20.0)
        books = open_books(f"sqlite:///{path}", timeout=20.0)
        async with kept(ledger, books, altering_sqlite(path)) as each:
            # It is there as soon as it has been asked anything.
            await each.ledger.find("nothing")
            await made(each.ledger, calls)
            await check(each.books, calls, since, until)

    with TemporaryDirectory() as folder:
        asyncio.run(main(Path(folder) / "ledger.db"))


def random_calls(number: int) -> list[Called]:
    random = Random(7)  # noqa: S311 - the same calls every time
    some = [None, "a", "b", "c", "d"]
    states = ["completed", "completed", "failed", "disconnected"]
    return [
        call(
            f"call-{index}",
            amount=random.choice([3, MOST]),
            total=random.choice([None, 0, random.randrange(1000), MOST]),
            state=random.choice(states),
            at=random.choice([DAY, random.uniform(0, 4 * DAY)]),
            usage=random.choice([None, HUGE_USAGE]),
            estimated=random.random() < 0.5,
            team=random.choice(some),
            key=random.choice(some),
            user=random.choice(some),
            model=random.choice(some),
            priced_model=random.choice(some),
            answered_model=random.choice(some),
        )
        for index in range(number)
    ]


@KINDS
async def test_all_kinds_of_ledgers_add_up_the_same(ledger: Kept) -> None:
    """Sums are beyond 64 bits, of tokens and of amounts."""
    calls = random_calls(250)
    await made(ledger.ledger, calls)
    assert max(line.spent for line in await ledger.books.usage("team")) > HUGE
    await check(ledger.books, calls, None, None)
    await check(ledger.books, calls, DAY, 2 * DAY)
    await check(ledger.books, calls, 5 * DAY, None)


@KINDS
async def test_those_that_there_is_no_room_for_are_added_up_in_a_last_line(ledger: Kept) -> None:
    calls = [call(f"c{n}", total=total, team=f"t{n}") for n, total in enumerate([2, MOST, 5, 1, 3])]
    await made(ledger.ledger, calls)
    lines = await ledger.books.usage("team", limit=2)
    assert [(line.group, line.groups, line.spent) for line in lines] == [
        ("t1", 1, MOST),
        ("t2", 1, 5),
        (None, 3, 6),
    ]
    assert lines[-1].calls == 3


@KINDS
async def test_a_single_other_keeps_its_name(ledger: Kept) -> None:
    calls = [call(f"c{n}", total=total, team=f"t{n}") for n, total in enumerate([2, 9, 5])]
    await made(ledger.ledger, calls)
    lines = await ledger.books.usage("team", limit=2)
    assert [(line.group, line.groups) for line in lines] == [("t1", 1), ("t2", 1), ("t0", 1)]


@KINDS
async def test_of_too_many_days_the_latest_are_told_in_their_order(ledger: Kept) -> None:
    totals = [9, 8, 1, 2, 3]
    calls = [call(f"c{n}", total=total, at=n * DAY) for n, total in enumerate(totals)]
    await made(ledger.ledger, calls)
    lines = await ledger.books.usage("day", limit=2)
    assert [(line.group, line.groups, line.spent) for line in lines] == [
        ("1970-01-04", 1, 2),
        ("1970-01-05", 1, 3),
        (None, 3, 18),
    ]


@KINDS
async def test_a_call_at_a_time_that_no_calendar_has_is_of_no_day(ledger: Kept) -> None:
    await made(ledger.ledger, [call("a", at=-1.0), call("b", at=1e300), call("c", at=0.0)])
    lines = await ledger.books.usage("day")
    assert [(line.group, line.calls) for line in lines] == [("1970-01-01", 1), (None, 2)]


@KINDS
async def test_what_is_not_used_yet_has_no_lines(ledger: Kept) -> None:
    # It is there as soon as it has been asked anything.
    assert await ledger.ledger.find("nothing") is None
    for by in GROUPINGS:
        assert await ledger.books.usage(by) == []


@pytest.mark.parametrize("kind", ["in_sqlite", "in_postgresql"])
async def test_what_a_dead_process_left_is_told_apart(ledger: Kept) -> None:
    await made(ledger.ledger, [call("a", total=None), call("b")])
    ledger.alter("UPDATE {t}entries SET state = 'abandoned' WHERE call = 'a'")
    [line] = await ledger.books.usage("team")
    assert (line.calls, line.failed, line.abandoned, line.open) == (2, 1, 1, 0)
