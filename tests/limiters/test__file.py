"""The file that workers share."""

import fcntl
import os
import stat
from pathlib import Path

import pytest

from veneer.limiters import _file
from veneer.limiters._file import Layout, Sizes, lock_beside, open_file
from veneer.quotas.limiter import LimiterUnavailableError

SIZES = Sizes(max_partitions=20, max_strict=5, max_running=10)


def opened(path: Path, sizes: Sizes = SIZES) -> None:
    descriptor = open_file(str(path), sizes)
    assert descriptor is not None
    os.close(descriptor)


def mark(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(Layout(SIZES).buckets)
        file.write(b"counted")


def is_marked(path: Path) -> bool:
    return b"counted" in path.read_bytes()


def test_it_is_made_whole_for_its_owner_only_and_found_again(tmp_path: Path) -> None:
    path = tmp_path / "limits"
    opened(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_size == Layout(SIZES).size
    mark(path)
    opened(path)
    assert is_marked(path)


def test_it_begins_anew_with_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "limits"
    opened(path)
    mark(path)
    monkeypatch.setattr(_file, "boot_id", lambda: b"another")
    opened(path)
    assert not is_marked(path)
    mark(path)
    opened(path)
    assert is_marked(path)


def test_one_that_was_not_completed_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "limits"
    with monkeypatch.context() as patch:

        def no_space(*_: int) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr(os, "posix_fallocate", no_space)
        with pytest.raises(OSError, match="No space"):
            opened(path)
    opened(path)
    assert path.stat().st_size == Layout(SIZES).size


@pytest.mark.parametrize("content", [b"a note", b"\0" * 100, b"veneer limits", b"x" * 10000])
def test_a_file_that_is_something_else_is_refused_and_left_alone(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "note"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="something else"):
        opened(path)
    assert path.read_bytes() == content


def test_another_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "limits"
    opened(path)
    mark(path)
    monkeypatch.setattr(_file, "_FORMAT", 2)
    with pytest.raises(ValueError, match="format 1"):
        opened(path)
    assert is_marked(path)


@pytest.mark.parametrize(
    "other",
    [
        Sizes(max_partitions=21, max_strict=5, max_running=10),
        Sizes(max_partitions=20, max_strict=6, max_running=10),
        Sizes(max_partitions=20, max_strict=5, max_running=11),
    ],
)
def test_other_sizes_are_refused(tmp_path: Path, other: Sizes) -> None:
    path = tmp_path / "limits"
    opened(path)
    mark(path)
    with pytest.raises(ValueError, match=r"made for \[20, 5, 10\]"):
        opened(path, other)
    assert is_marked(path)


def test_a_file_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "limits"
    opened(path)
    os.truncate(path, Layout(SIZES).size - 1)
    with pytest.raises(ValueError, match="remove it"):
        opened(path)


def test_links_and_what_is_no_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="symbolic"):
        opened(tmp_path / "link")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="no file of this user's"):
        opened(tmp_path / "pipe")


def test_what_another_has_locked_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "limits"
    opened(path)
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert open_file(str(path), SIZES) is None
    opened(path)


def test_a_lock_beside_it_is_one_process_s_until_it_is_closed(tmp_path: Path) -> None:
    path = str(tmp_path / "limits")
    first = lock_beside(path, 7)
    assert first is not None
    assert lock_beside(path, 7) is None
    os.close(first)
    again = lock_beside(path, 7)
    assert again is not None
    os.close(again)
    with pytest.raises(LimiterUnavailableError):
        lock_beside(str(tmp_path / "nowhere" / "limits"), 1)


@pytest.mark.parametrize("name", ["max_partitions", "max_strict", "max_running"])
def test_sizes_are_positive(name: str) -> None:
    numbers = {"max_partitions": 1, "max_strict": 1, "max_running": 1, name: 0}
    with pytest.raises(ValueError, match=f"{name} is a positive number"):
        Sizes(**numbers)


def test_a_system_without_boot_ids_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_file, "_BOOT_ID", tmp_path / "none")
    assert _file.boot_id() == b""
    opened(tmp_path / "limits")
    mark(tmp_path / "limits")
    opened(tmp_path / "limits")
    assert is_marked(tmp_path / "limits")
