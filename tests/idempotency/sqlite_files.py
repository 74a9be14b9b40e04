"""What tests do to a file of recordings behind its store's back."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from veneer.idempotency._sqlite_worker import Worker
from veneer.idempotency.sqlite import SqliteRecordingStore


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of those who write."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield


def exists(path: Path, suffix: str = "") -> bool:
    """Whether a file is there."""
    return Path(f"{path}{suffix}").exists()


def remove(path: Path, suffix: str = "") -> None:
    """Remove a file."""
    Path(f"{path}{suffix}").unlink()


def damage(path: Path) -> None:
    """Overwrite all but the first page."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * (size - 8192))


def worker_of(store: SqliteRecordingStore) -> Worker:
    """Return the worker of a store that was used."""
    assert store._worker is not None
    return store._worker
