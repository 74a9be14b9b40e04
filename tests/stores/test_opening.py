"""URLs of stores, and the sentences about those that cannot be."""

import sys
from pathlib import Path

import pytest

from tests.stores.records import record
from veneer.stores import open_key_store
from veneer.stores.memory import MemoryKeyStore


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("redis://host", "begins 'redis': give memory://"),
        ("keys.db", r"begins 'keys\.db': give memory://"),
        ("", "begins ''"),
        ("sqlite://", "needs the path of a file"),
        ("sqlite:///", "needs the path of a file"),
        ("sqlite://relative.db", "needs the path of a file"),
        ("sqlite:///:memory:", "needs the path of a file"),
        ("sqlite:///keys.db?mode=ro", "no parameters"),
        ("sqlite:////nowhere/at/all/keys.db", "folder /nowhere/at/all .* does not exist"),
        ("postgresql://u:hunter2@h:port/db?nonsense=1", "PostgreSQL URL cannot be read"),
    ],
)
def test_an_impossible_url_is_refused_with_what_to_write_instead(url: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as error:
        open_key_store(url)
    assert "hunter2" not in str(error.value)


def test_a_password_that_is_taken_for_a_scheme_is_not_shown() -> None:
    with pytest.raises(ValueError, match="begins 'user'") as error:
        open_key_store("user:hunter2@host/db")
    assert "hunter2" not in str(error.value)


def test_a_timeout_is_positive() -> None:
    with pytest.raises(ValueError, match="positive"):
        open_key_store("sqlite:///keys.db", timeout=0)


@pytest.mark.parametrize(
    ("url", "module", "extra"),
    [
        ("sqlite:///keys.db", "aiosqlite", r"veneer\[sql\]"),
        ("sqlite:///keys.db", "sqlalchemy", r"veneer\[sql\]"),
        ("postgresql://host/db", "psycopg", r"veneer\[postgres\]"),
    ],
)
def test_a_missing_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, url: str, module: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ValueError, match=rf"package {module}: install {extra}"):
        open_key_store(url)


async def test_every_store_in_memory_is_a_new_one() -> None:
    store = open_key_store("memory://")
    assert isinstance(store, MemoryKeyStore)
    assert store is not open_key_store("memory://")


async def test_paths_of_sqlite_are_relative_with_three_slashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for url in ("sqlite:///here %41.db", f"sqlite:///{tmp_path}/there.db"):
        store = open_key_store(url)
        assert await store.get("key_1") is None
        await store.aclose()
    for name in ("here %41.db", "there.db"):
        assert (tmp_path / name).stat().st_size > 0


async def test_postgres_is_another_name_of_postgresql(postgresql_url: str) -> None:
    store = open_key_store(postgresql_url.replace("postgresql:", "postgres:"))
    await store.add(record())
    assert await store.get(record().id) == record()
    await store.aclose()
