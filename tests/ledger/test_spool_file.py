"""The files of a spool."""

import fcntl
import os
from pathlib import Path

import pytest

from tests.ledger.spools import settlement
from veneer.ledger._spool_file import SpoolFile, create, take, take_over
from veneer.ledger._spool_lines import encode
from veneer.ledger.entry import Settlement


def calls(file: SpoolFile) -> list[str]:
    """Read a file to its end."""
    found: list[Settlement] = []
    while (chunk := file.read()) is not None:
        found += chunk.settlements
        file.advance(chunk)
    return [each.call for each in found]


def names(*numbers: int) -> list[str]:
    return [f"call-{number}" for number in numbers]


def left(file: SpoolFile) -> Path:
    """Let go of a file as a process that is killed does."""
    os.close(file._descriptor)
    return file.path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.mark.parametrize("at_once", [1, 100, 2**16])
def test_lines_come_back_in_their_order_and_leave_an_empty_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr("veneer.ledger._spool_file._READ", at_once)
    file = create(folder)
    for number in range(20):
        file.append(encode(settlement(number)))
    assert (file.waiting, file.size) == (20, file.path.stat().st_size)
    assert calls(file) == names(*range(20))
    assert (file.waiting, file.size, file.path.stat().st_size) == (0, 0, 0)
    file.close()
    assert list(folder.iterdir()) == []


def test_what_is_read_stays_until_it_is_done_with(folder: Path) -> None:
    file = create(folder)
    file.append(encode(settlement(1)))
    first = file.read()
    assert first is not None
    file.append(encode(settlement(2)))
    file.advance(first)
    assert file.waiting == 1
    file.close()
    assert file.path.exists()
    again = take(file.path)
    assert again is not None
    assert (again.waiting, calls(again)) == (2, names(1, 2))


def test_files_and_folder_are_for_their_owner_only(folder: Path) -> None:
    file = create(folder)
    assert (folder.stat().st_mode & 0o777, file.path.stat().st_mode & 0o777) == (0o700, 0o600)


def test_a_file_is_taken_when_its_process_is_gone_and_once(folder: Path) -> None:
    file = create(folder)
    file.append(encode(settlement(1)))
    assert take(file.path) is None
    path = left(file)
    one = take(path)
    assert one is not None
    assert take(path) is None
    assert calls(one) == names(1)
    one.close()
    one.close()
    assert take(path) is None


def test_who_comes_when_a_file_is_being_removed_does_not_get_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = left(create(folder))
    lock = fcntl.flock

    def late(descriptor: int, operation: int) -> None:
        path.unlink()
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    assert take(path) is None


def test_who_loses_a_new_file_makes_another(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = fcntl.flock
    quicker: list[int] = []

    def late(descriptor: int, operation: int) -> None:
        if not quicker:
            [path] = folder.iterdir()
            quicker.append(os.open(path, os.O_RDWR))
            lock(quicker[0], operation)
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    file = create(folder)
    os.close(quicker[0])
    assert len(list(folder.iterdir())) == 2
    assert take(file.path) is None


@pytest.mark.parametrize("cut", [1, 5, 200])
def test_a_torn_last_line_is_left_out(folder: Path, cut: int) -> None:
    file = create(folder)
    for number in range(3):
        file.append(encode(settlement(number)))
    path = left(file)
    os.truncate(path, path.stat().st_size - cut)
    again = take(path)
    assert again is not None
    first = again.read()
    assert first is not None
    assert [each.call for each in first.settlements] == names(0, 1)
    again.advance(first)
    last = again.read()
    assert last is not None
    assert (last.torn, last.settlements, last.unread) == (True, [], [])
    again.advance(last)
    assert again.read() is None
    again.close()
    assert list(folder.iterdir()) == []


def test_a_line_that_cannot_be_read_is_put_aside(folder: Path) -> None:
    path = left(create(folder))
    path.write_bytes(encode(settlement(1)) + b"\n00000000 {}\n" + encode(settlement(2)))
    file = take(path)
    assert file is not None
    assert calls(file) == names(1, 2)
    file.close()
    [aside] = folder.iterdir()
    assert (aside.name, aside.read_bytes()) == (f"{path.stem}.unread", b"00000000 {}\n")
    assert aside.stat().st_mode & 0o777 == 0o600


def test_a_line_that_is_not_written_to_its_end_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = create(folder)
    file.append(encode(settlement(1)))
    write, written = os.write, 0

    def some(descriptor: int, data: bytes) -> int:
        nonlocal written
        written += 1
        if written > 1:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[:10])

    monkeypatch.setattr("os.write", some)
    with pytest.raises(OSError, match="No space"):
        file.append(encode(settlement(2)))
    assert file.path.stat().st_size == file.size
    with monkeypatch.context() as broken:
        written = 0
        broken.setattr("os.ftruncate", some)
        with pytest.raises(OSError, match="No space"):
            file.append(encode(settlement(3)))
    monkeypatch.undo()
    file.append(encode(settlement(4)))
    assert file.path.stat().st_size == file.size
    assert calls(file) == names(1, 4)


def test_a_line_may_be_written_in_parts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, write = create(folder), os.write
    monkeypatch.setattr("os.write", lambda descriptor, data: write(descriptor, data[:7]))
    file.append(encode(settlement(1)))
    monkeypatch.undo()
    assert calls(file) == names(1)


def test_looking_for_room_changes_nothing(folder: Path) -> None:
    file = create(folder)
    file.append(encode(settlement(1)))
    file.check()
    assert file.path.stat().st_size == file.size
    assert calls(file) == names(1)


def test_what_dead_processes_left_is_taken_over_the_oldest_first(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("veneer.ledger._spool_file._TAKEN", 3)
    times = iter(range(1, 100))
    monkeypatch.setattr("veneer.ledger._spool_file.time", lambda: next(times))
    dead = [left(create(folder)) for _ in range(4)]
    living = create(folder)
    (folder / "0.spool").symlink_to(dead[0])
    (folder / "other").touch()
    taken: list[SpoolFile] = []
    known = {living.path}
    for _ in range(2):
        take_over(folder, taken, known)
        assert [file.path for file in taken] == dead[:3]
    assert caplog.text.count("is not read") == 1
    assert known == {living.path, folder / "0.spool", *dead[:3]}
