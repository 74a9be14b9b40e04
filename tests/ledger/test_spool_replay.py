"""How what waits comes into the ledger, each once."""

import asyncio
from collections.abc import Callable
from itertools import chain, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ledger.spools import (
    SIZE,
    Model,
    Process,
    inside,
    lines,
    names,
    settlement,
    some,
    until,
)
from tests.limiters import virtual
from veneer.ledger import _spool_replay
from veneer.ledger._spool_file import create
from veneer.ledger._spool_lines import encode
from veneer.ledger._spool_replay import Replay
from veneer.ledger.entry import Settlement
from veneer.ledger.spool import Spool


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("veneer.ledger._spool_replay.FIRST_PAUSE", 0.001)
    monkeypatch.setattr("veneer.ledger._spool_replay.LONGEST_PAUSE", 0.005)


async def test_what_its_lease_closed_gives_way_to_what_the_spool_knows(tmp_path: Path) -> None:
    ledger = Model()
    await ledger.settle(settlement(1))
    await ledger.find("call-1")
    ledger.abandon("call-1")
    spool = Spool(tmp_path, ledger, max_bytes=SIZE)
    async with spool.lifespan():
        await spool.append(settlement(1))
        await until(lambda: lines(tmp_path) == [b""])
    assert ledger.rows["call-1"].total == 3


async def test_what_is_in_already_is_not_settled_again(tmp_path: Path) -> None:
    ledger = Model()
    await ledger.settle(settlement(1))
    spool = Spool(tmp_path, ledger, max_bytes=SIZE)
    async with spool.lifespan():
        await spool.append(settlement(1))
        await spool.append(settlement(2))
    assert ledger.given == names(1, 2)


async def test_a_process_that_dies_before_it_is_done_with_what_is_in_doubles_nothing(
    tmp_path: Path,
) -> None:
    killed = asyncio.Event()

    def kills() -> bool:
        if ledger.rows:
            killed.set()
            raise asyncio.CancelledError
        return False

    ledger = Model(kills)
    first = await Process.start(ledger, tmp_path)
    await first.append(*some(1, 2))
    await killed.wait()
    await first.kill()
    assert lines(tmp_path) == [b"".join(map(encode, some(1, 2)))]
    ledger.fails = lambda: False
    second = await Process.start(ledger, tmp_path)
    await until(lambda: len(lines(tmp_path)) == 1)
    await second.is_done()
    await second.kill()
    assert list(ledger.rows) == names(1, 2)


async def test_of_two_that_come_one_takes_over_what_a_dead_one_left(tmp_path: Path) -> None:
    ledger = Model()
    ledger.away = True
    dead = await Process.start(ledger, tmp_path)
    await dead.append(*some(*range(100)))
    await dead.kill()
    ledger.away = False
    both = [await Process.start(ledger, tmp_path) for _ in range(2)]
    await until(lambda: len(lines(tmp_path)) == 2)
    for process in both:
        await process.is_done()
        await process.kill()
    assert list(ledger.rows) == names(*range(100))
    assert ledger.given == names(*range(100)), "each was settled by one of them"


async def test_who_dies_later_is_found_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("veneer.ledger._spool_replay.LOOK", 0.01)
    ledger = Model()
    ledger.away = True
    dies, stays = [await Process.start(ledger, tmp_path) for _ in range(2)]
    await dies.append(*some(1, 2))
    ledger.away = False
    await dies.kill()
    await until(lambda: list(ledger.rows) == names(1, 2))
    await stays.is_done()
    await stays.kill()
    assert "2 settlements of a dead process" in caplog.text


async def test_a_queue_without_room_is_waited_for_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("veneer.ledger._spool_replay.PATIENCE", 0.001)
    ledger = Model()
    ledger.full = True
    spool = Spool(tmp_path, ledger, max_bytes=SIZE)
    async with spool.lifespan():
        for each in some(1, 2):
            await spool.append(each)
        await until(lambda: lines(tmp_path) == [b""])
    assert ledger.given == names(1, 2)


async def test_what_a_ledger_forgets_it_is_given_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("veneer.ledger._spool_replay.CONFIRMED", 0.01)

    class Forgetful(Model):
        async def settle(self, settlement: Settlement, /) -> None:
            self.given.append(settlement.call)
            if len(self.given) > 1:
                await super().settle(settlement)

    ledger = Forgetful()
    spool = Spool(tmp_path, ledger, max_bytes=SIZE)
    async with spool.lifespan():
        await spool.append(settlement(1))
        await until(lambda: lines(tmp_path) == [b""])
    assert list(ledger.rows) == names(1)


async def test_what_a_ledger_cannot_take_is_put_aside_and_keeps_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Picky(Model):
        async def settle(self, settlement: Settlement, /) -> None:
            if settlement.call == "call-1":
                raise ValueError("not like this")
            await super().settle(settlement)

    ledger = Picky()
    spool = Spool(tmp_path, ledger, max_bytes=SIZE)
    async with spool.lifespan():
        for each in some(1, 2):
            await spool.append(each)
        await until(lambda: lines(tmp_path) == [b""])
    assert list(ledger.rows) == names(2)
    [aside] = inside(tmp_path)
    assert b"call-1" in aside.read_bytes()
    assert "the call call-1 cannot be settled: not like this" in caplog.text


async def test_a_torn_line_and_one_that_makes_no_sense_are_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "1.spool").write_bytes(encode(settlement(1)) + b"nonsense\n" + b"0000")
    ledger = Model()
    async with Spool(tmp_path, ledger, max_bytes=SIZE).lifespan():
        await until(lambda: lines(tmp_path) == [b""])
    assert list(ledger.rows) == names(1)
    assert "1 lines of" in caplog.text
    assert "is torn" in caplog.text


def test_a_ledger_that_is_away_is_asked_less_and_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()

    class Direct:
        """Does everything at once."""

        def do(self, work: Callable[[], object]) -> "asyncio.Future[object]":
            future = asyncio.get_running_loop().create_future()
            future.set_result(work())
            return future

    async def main() -> None:
        loop, asked = asyncio.get_running_loop(), []

        def fails() -> bool:
            asked.append(loop.time() - 1000.0)
            return True

        own = create(tmp_path)
        own.append(encode(settlement(1)))
        ledger = Model(fails)
        replay = Replay(ledger, Direct(), tmp_path, own)  # type: ignore[arg-type]  # a clerk without a thread
        task = loop.create_task(replay.run())
        await asyncio.sleep(20)
        steps = [round(later - sooner, 3) for sooner, later in pairwise(asked)]
        assert steps == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
        # News of more are no reason to ask, but that it has answered is.
        count = len(asked)
        replay.tell()
        await asyncio.sleep(0)
        assert len(asked) == count
        ledger.fails = lambda: False
        replay.tell(back=True)
        await asyncio.sleep(1)
        assert list(ledger.rows) == names(1)
        replay.finish()
        await task

    assert _spool_replay.LONGEST_PAUSE == 5.0
    virtual.run(main())


STEPS = st.lists(
    st.one_of(
        st.integers(1, 5),
        st.sampled_from(["away", "back", "kill", "torn", "pause"]),
    ),
    max_size=25,
)


@settings(max_examples=60)
@given(STEPS, st.lists(st.booleans(), max_size=60))
def test_rows_are_the_settlements_in_their_order_each_once(
    steps: list[int | str], failures: list[bool]
) -> None:
    """Whenever the ledger fails, also when it has written, and whenever a process is killed."""
    with TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder), steps, failures))


async def run(folder: Path, steps: list[int | str], failures: list[bool]) -> None:
    scripted = iter(failures)
    ledger = Model(lambda: next(scripted, False))
    process = await Process.start(ledger, folder)
    appended: list[list[str]] = [[]]
    for step in steps:
        if isinstance(step, int):
            first = sum(map(len, appended))
            numbers = range(first, first + step)
            await process.append(*some(*numbers))
            appended[-1] += names(*numbers)
        elif step in ("away", "back"):
            ledger.away = step == "away"
        elif step == "pause":
            await asyncio.sleep(0.002)
        else:
            await process.kill()
            if step == "torn":
                with process.own.path.open("ab") as file:
                    file.write(encode(settlement(10**6))[:-5])
            process = await Process.start(ledger, folder)
            appended.append([])
    ledger.away = False
    await process.is_done()
    await until(lambda: lines(folder) == [b""])
    await process.kill()
    for each in appended:
        assert [call for call in ledger.rows if call in each] == each
    assert sorted(ledger.rows) == sorted(chain.from_iterable(appended))
