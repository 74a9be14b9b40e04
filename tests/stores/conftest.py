"""The stores that a test of what every store must do runs on."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.stores.databases import postgresql_schema
from veneer.keys.store import KeyStore
from veneer.stores import open_key_store


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """Give the URL of a file that does not exist yet."""
    return f"sqlite:///{tmp_path}/keys.db"


@pytest.fixture
def postgresql_url() -> Iterator[str]:
    """Give the URL of an empty schema."""
    with postgresql_schema() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Give the URL of an empty database of each kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest) -> str:
    """Give the URL of an empty store of each kind."""
    if request.param == "memory":
        return "memory://"
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[KeyStore]:
    """Give an empty store of each kind."""
    store = open_key_store(store_url)
    yield store
    await store.aclose()
