"""The spool on a disk that is full, sick or not there."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from tests.ledger.spools import (
    SIZE,
    Model,
    failing,
    inside,
    lines,
    names,
    settlement,
    some,
    until,
)
from veneer.ledger._spool_lines import encode
from veneer.ledger.spool import Spool
from veneer.wiring import ConfigurationError


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("veneer.ledger._spool_replay.FIRST_PAUSE", 0.001)
    monkeypatch.setattr("veneer.ledger._spool_replay.LONGEST_PAUSE", 0.005)


async def test_a_file_that_cannot_be_closed_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("veneer.ledger._spool_file.SpoolFile.close", failing)
    async with Spool(tmp_path, Model(), max_bytes=SIZE).lifespan():
        pass
    assert "cannot be closed: [Errno 28]" in caplog.text


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
