"""The admin API of keys that its tests ask, on a real SQLite file."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.admin.asking import api_on
from veneer.admin import AdminKeys
from veneer.keys.store import KeyStore
from veneer.stores import open_key_store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[KeyStore]:
    store = open_key_store(f"sqlite:///{tmp_path}/keys.db")
    yield store
    await store.aclose()


@pytest.fixture
def api(store: KeyStore) -> AdminKeys:
    return api_on(store)
