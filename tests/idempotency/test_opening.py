"""URLs of stores of recordings, and the sentences about those that cannot be."""

import sys
from pathlib import Path

import pytest

from veneer.idempotency.guarded import GuardedStore
from veneer.idempotency.memory import MemoryRecordingStore
from veneer.idempotency.opening import open_recording_store

FORMS = r"give memory://, sqlite:///file.db, sqlite:////absolute/file.db, redis://"


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", f"No store of recordings has a URL like this: {FORMS}"),
        ("://", f"URL like this: {FORMS}"),
        ("memory", rf"like this \(is memory:// meant\?\): {FORMS}"),
        ("memory://name", r"begins memory:// \(is memory:// meant\?\)"),
        ("redis:host", r"like this \(is redis:// meant\?\)"),
        ("SQLite:///file", r"begins SQLite:// \(is sqlite:// meant\?\)"),
        ("vallkey://host", r"begins vallkey:// \(is valkey:// meant\?\)"),
        ("postgresql://host/db", f"begins postgresql://: {FORMS}"),
        ("x" * 100_000, f"like this: {FORMS}"),
        ("sqlite://", "needs the path of a file: sqlite:///file.db"),
        ("sqlite:///", "needs the path of a file"),
        ("sqlite://file.db", "needs the path of a file"),
        ("sqlite:///:memory:", "needs the path of a file"),
        ("sqlite:///file.db?mode=ro", "takes no parameters"),
        ("sqlite:////no/such/folder/file.db", "folder /no/such/folder .* does not exist"),
    ],
)
def test_an_impossible_url_is_refused_with_what_to_write_instead(url: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        open_recording_store(url)


@pytest.mark.parametrize(
    "url",
    [
        "hunter2@host:6379",
        "user:hunter2@host:6379",
        "user:hunter2@redis://host",
        "hunter2",
        "redis:hunter2@host://x",
    ],
)
def test_no_part_of_a_url_that_may_be_a_password_is_shown(url: str) -> None:
    with pytest.raises(ValueError, match="URL") as error:
        open_recording_store(url)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("timeout", [0, -1.0])
def test_a_timeout_is_positive(timeout: float) -> None:
    with pytest.raises(ValueError, match="positive number of seconds"):
        open_recording_store("memory://", timeout=timeout)


@pytest.mark.parametrize("max_bytes", [0, -1])
def test_a_bound_is_one_that_can_be(max_bytes: int, tmp_path: Path) -> None:
    for url in ("memory://", f"sqlite:///{tmp_path}/recordings.db"):
        with pytest.raises(ValueError, match="bytes"):
            open_recording_store(url, max_bytes=max_bytes)


def test_redis_has_a_bound_of_its_own() -> None:
    with pytest.raises(ValueError, match=r"own maxmemory.*leave max_bytes out"):
        open_recording_store("redis://host", max_bytes=2**30)


def test_what_may_be_away_is_guarded(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path}/recordings.db", "redis://host"):
        assert isinstance(open_recording_store(url), GuardedStore)


def test_every_store_in_memory_is_a_new_one() -> None:
    store = open_recording_store("memory://")
    assert isinstance(store, MemoryRecordingStore)
    assert store is not open_recording_store("memory://")


@pytest.mark.parametrize("scheme", ["redis", "rediss", "unix", "valkey", "valkeys"])
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ValueError, match=r"package redis: install veneer\[redis\]"):
        open_recording_store(f"{scheme}://host")


@pytest.mark.parametrize("url", ["redis://host", "valkeys://user:x@host:6380/1", "unix:///socket"])
def test_nothing_is_connected_to_by_opening(url: str) -> None:
    open_recording_store(url)


def test_no_file_is_made_by_opening(tmp_path: Path) -> None:
    open_recording_store(f"sqlite:///{tmp_path}/recordings.db")
    assert not list(tmp_path.iterdir())
