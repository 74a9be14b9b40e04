"""The spool: what waits for a ledger that is away."""

import asyncio
import os
import threading
from collections.abc import Callable
from itertools import chain, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ledger.spools import Model, Process, lines, settlement, until
from tests.limiters import virtual
from veneer.ledger import _spool_replay
from veneer.ledger._spool_file import create
from veneer.ledger._spool_lines import encode
from veneer.ledger._spool_replay import Replay
from veneer.ledger.entry import Settlement
from veneer.ledger.spool import Spool
from veneer.wiring import ConfigurationError

SIZE = 2**20


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("veneer.ledger._spool_replay.FIRST_PAUSE", 0.001)
    monkeypatch.setattr("veneer.ledger._spool_replay.LONGEST_PAUSE", 0.005)


def some(*numbers: int) -> list[Settlement]:
    return [settlement(number) for number in numbers]


def names(*numbers: int) -> list[str]:
    return [f"call-{number}" for number in numbers]


def inside(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def failing(*_arguments: object) -> int:
    raise OSError(28, "No space left on device")


async def test_what_waits_is_settled_in_its_order_when_the_ledger_is_back(tmp_path: Path) -> None:
    ledger = Model()
    ledger.away = True
    spool = Spool(tmp_path / "spool", ledger, max_bytes=SIZE)
    async with ledger.lifespan(), spool.lifespan():
        for each in some(3, 1, 2):
            await spool.append(each)
        assert b"".join(lines(tmp_path / "spool")) == b"".join(map(encode, some(3, 1, 2)))
        ledger.away = False
        await until(lambda: list(ledger.rows) == names(3, 1, 2))
        spool.is_back()
        await until(lambda: lines(tmp_path / "spool") == [b""])
        assert [row.total for row in ledger.rows.values()] == [3] * 3
    assert inside(tmp_path / "spool") == []


async def test_what_is_not_in_at_the_end_stays_and_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Model()
    ledger.away = True
    spool = Spool(tmp_path, ledger, max_bytes=SIZE)
    for _ in range(2):
        async with spool.lifespan():
            for each in some(1, 2):
                await spool.append(each)
    assert f"4 settlements wait for the ledger in {tmp_path}" in caplog.text
    ledger.away = False
    async with spool.lifespan():
        # What is there at the start goes in without that anybody calls.
        await until(lambda: list(ledger.rows) == names(1, 2))
    assert inside(tmp_path) == []


async def test_the_end_of_the_lifespan_is_a_last_try(tmp_path: Path) -> None:
    ledger = Model()
    ledger.away = True
    spool = Spool(tmp_path, ledger, max_bytes=SIZE)
    async with spool.lifespan():
        await spool.append(settlement(1))
        ledger.away = False
    assert (list(ledger.rows), inside(tmp_path)) == (names(1), [])
    await spool.append(settlement(2))
    spool.is_back()
    assert ledger.given == names(1, 2)
    assert not spool.has_room


async def test_a_file_that_cannot_be_closed_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("veneer.ledger._spool_file.SpoolFile.close", failing)
    async with Spool(tmp_path, Model(), max_bytes=SIZE).lifespan():
        pass
    assert "cannot be closed: [Errno 28]" in caplog.text


async def test_it_may_be_entered_more_than_once(tmp_path: Path) -> None:
    ledger = Model()
    spool = Spool(tmp_path, ledger, max_bytes=SIZE)
    async with spool.lifespan():
        async with spool.lifespan():
            assert len(inside(tmp_path)) == 1
        await spool.append(settlement(1))
        await until(lambda: lines(tmp_path) == [b""])
    assert (list(ledger.rows), inside(tmp_path)) == (names(1), [])


async def test_a_ledger_that_never_answers_does_not_keep_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent(Model):
        async def find(self, call: str, /) -> None:
            del call
            await asyncio.Event().wait()

    monkeypatch.setattr("veneer.ledger.spool.DRAIN", 0.05)
    spool = Spool(tmp_path, Silent(), max_bytes=SIZE)
    async with spool.lifespan():
        await spool.append(settlement(1))
    assert lines(tmp_path) == [encode(settlement(1))]


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


async def test_there_is_no_room_beyond_the_bound_and_nothing_is_dropped(tmp_path: Path) -> None:
    ledger = Model()
    ledger.away = True
    spool = Spool(tmp_path, ledger, max_bytes=len(encode(settlement(1))) + 1)
    async with spool.lifespan():
        assert spool.has_room
        await spool.append(settlement(1))
        assert spool.has_room
        await spool.append(settlement(2))
        assert not spool.has_room
        await spool.append(settlement(3))
        ledger.away = False
        await until(lambda: spool.has_room)
    assert list(ledger.rows) == names(1, 2, 3)


async def test_what_the_disk_refuses_goes_into_the_ledgers_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("veneer.ledger._spool_intake._RETRY", 0.01)
    ledger = Model()
    ledger.away = True
    spool = Spool(tmp_path, ledger, max_bytes=SIZE)
    async with spool.lifespan():
        await spool.append(settlement(1))
        with monkeypatch.context() as full:
            full.setattr("os.write", failing)
            for each in some(2, 3):
                await spool.append(each)
            assert not spool.has_room
            await asyncio.sleep(0.02)
            assert not spool.has_room
        assert ledger.given == names(2, 3)
        await until(lambda: spool.has_room)
        await spool.append(settlement(4))
        ledger.away = False
    assert sorted(ledger.rows) == names(1, 2, 3, 4)
    assert caplog.text.count("cannot be written: [Errno 28] No space left on device") == 1


async def test_a_disk_that_does_not_answer_keeps_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("veneer.ledger._spool_intake.PATIENCE", 0.01)
    answers, write = threading.Event(), os.write

    def slow(descriptor: int, data: bytes) -> int:
        answers.wait()
        return write(descriptor, data)

    ledger = Model()
    ledger.away = True
    spool = Spool(tmp_path, ledger, max_bytes=SIZE)
    async with spool.lifespan():
        monkeypatch.setattr("os.write", slow)
        for each in some(1, 2):
            await spool.append(each)
        assert not spool.has_room
        answers.set()
        await until(lambda: spool.has_room)
        assert b"".join(lines(tmp_path)) == b"".join(map(encode, some(1, 2)))
        ledger.away = False
    assert list(ledger.rows) == names(1, 2)
    assert caplog.text.count("does not answer") == 1


async def test_what_a_sick_disk_has_at_the_end_goes_to_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("veneer.ledger._spool_intake.PATIENCE", 0.01)
    monkeypatch.setattr("veneer.ledger.spool.DRAIN", 0.01)
    answers = threading.Event()

    def hanging(*_arguments: object) -> int:
        answers.wait()
        raise OSError(5, "Input/output error")

    ledger = Model()
    spool = Spool(tmp_path, ledger, max_bytes=SIZE)
    try:
        async with spool.lifespan():
            monkeypatch.setattr("os.write", hanging)
            await spool.append(settlement(1))
            ledger.full = True
        assert ledger.given == names(1)
    finally:
        answers.set()


async def test_whoever_is_cancelled_loses_nothing(tmp_path: Path) -> None:
    ledger = Model()
    ledger.away = True
    spool = Spool(tmp_path, ledger, max_bytes=SIZE)
    async with spool.lifespan():
        task = asyncio.create_task(spool.append(settlement(1)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait((task,))
        await until(lambda: b"".join(lines(tmp_path)) == encode(settlement(1)))


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


async def test_a_file_that_cannot_be_read_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Model()
    spool = Spool(tmp_path, ledger, max_bytes=SIZE)
    async with spool.lifespan():
        with monkeypatch.context() as broken:
            broken.setattr("os.pread", failing)
            await spool.append(settlement(1))
            await asyncio.sleep(0.02)
            assert ledger.given == []
        await until(lambda: list(ledger.rows) == names(1))
    assert caplog.text.count("cannot be read") == 1


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


@pytest.mark.parametrize(
    ("path", "size", "sentence"),
    [
        ("", SIZE, "is the path of a folder"),
        ("a\0b", SIZE, "is the path of a folder"),
        ("missing/spool", SIZE, "missing does not exist: create it"),
        ("file", SIZE, "file is no folder: give the path of one"),
        ("spool", 0, "max_spool is a positive number of bytes, not 0"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, path: str, size: int, sentence: str) -> None:
    (tmp_path / "file").touch()
    place = tmp_path / path if path and "\0" not in path else path
    with pytest.raises(ValueError, match=sentence):
        Spool(place, Model(), max_bytes=size)


async def test_a_folder_that_cannot_be_written_is_refused_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path / "spool", Model(), max_bytes=SIZE)
    with monkeypatch.context() as full:
        full.setattr("os.write", failing)
        with pytest.raises(ConfigurationError, match=r"\(No space left on device\): give a folder"):
            await spool.lifespan().__aenter__()
    assert inside(tmp_path / "spool") == []
    answers = threading.Event()
    monkeypatch.setattr("veneer.ledger.spool.OPENING", 0.01)
    monkeypatch.setattr("veneer.ledger.spool.create", lambda _folder: answers.wait())
    with pytest.raises(ConfigurationError, match="its disk does not answer"):
        await spool.lifespan().__aenter__()
    answers.set()


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
