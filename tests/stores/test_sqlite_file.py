"""Files of ours: new ones, those of other versions, and those of somebody else."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from veneer.stores.sqlite_file import (
    FileUnusableError,
    Format,
    absolute,
    is_locked,
    open_file,
    writing,
)

FIRST = ("CREATE TABLE things (name TEXT)", "INSERT INTO things VALUES ('old')")
SECOND = ("ALTER TABLE things ADD COLUMN size INTEGER NOT NULL DEFAULT 1",)

OLD = Format(holds="things", application=0x76655454, versions=(FIRST,))
NEW = Format(holds="things", application=0x76655454, versions=(FIRST, SECOND))


def things(connection: sqlite3.Connection) -> list[tuple[object, ...]]:
    return connection.execute("SELECT * FROM things").fetchall()


def test_a_file_is_made_for_its_owner_and_found_again(tmp_path: Path) -> None:
    path = tmp_path / "f"
    with closing(open_file(path, OLD)) as made:
        assert things(made) == [("old",)]
        assert made.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert made.execute("PRAGMA synchronous").fetchone() == (1,)
    assert path.stat().st_mode & 0o777 == 0o600
    with closing(open_file(path, OLD)) as found:
        assert things(found) == [("old",)]


def test_an_older_file_is_brought_up_to_date_while_others_have_it_open(tmp_path: Path) -> None:
    with closing(open_file(tmp_path / "f", OLD)) as other:
        with closing(open_file(tmp_path / "f", NEW)) as migrated:
            assert things(migrated) == [("old", 1)]
        assert things(other) == [("old", 1)]


def test_a_migration_that_fails_leaves_all_as_it_was(tmp_path: Path) -> None:
    bad = Format(holds="things", application=OLD.application, versions=(FIRST, (*SECOND, "no")))
    open_file(tmp_path / "f", OLD).close()
    with pytest.raises(sqlite3.OperationalError, match="syntax error"):
        open_file(tmp_path / "f", bad)
    with closing(open_file(tmp_path / "f", OLD)) as found:
        assert things(found) == [("old",)]


def test_a_newer_file_is_refused_with_a_sentence(tmp_path: Path) -> None:
    open_file(tmp_path / "f", NEW).close()
    with pytest.raises(FileUnusableError, match="its tables are of version 2, we know 1"):
        open_file(tmp_path / "f", OLD)


def test_the_file_of_somebody_else_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "f"
    with closing(sqlite3.connect(path)) as theirs:
        theirs.execute("CREATE TABLE x (y)")
    before = path.read_bytes()
    with pytest.raises(FileUnusableError, match="things need a file of their own"):
        open_file(path, OLD)
    assert path.read_bytes() == before


def test_many_who_make_a_file_at_once_all_find_it_whole(tmp_path: Path) -> None:
    def opened() -> list[tuple[object, ...]]:
        while True:
            try:
                with closing(open_file(path, NEW)) as connection:
                    return things(connection)
            except sqlite3.OperationalError as error:
                if not is_locked(error):
                    raise

    with ThreadPoolExecutor(8) as threads:
        for number in range(20):
            path = tmp_path / f"{number}"
            assert [made.result() for made in [threads.submit(opened) for _ in range(8)]] == [
                [("old", 1)]
            ] * 8


def test_what_is_not_committed_is_undone(tmp_path: Path) -> None:
    def change(connection: sqlite3.Connection) -> None:
        with writing(connection):
            connection.execute("DELETE FROM things")
            raise KeyError

    with closing(open_file(tmp_path / "f", OLD)) as connection:
        with pytest.raises(KeyError):
            change(connection)
        assert things(connection) == [("old",)]


@pytest.mark.parametrize("name", ["", ":memory:", "a\0b"])
def test_what_cannot_be_a_file_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="needs the path of a file; take another"):
        absolute(name, instead="take another")
