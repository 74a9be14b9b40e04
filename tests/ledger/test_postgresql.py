"""The ledger in PostgreSQL, in one process."""

from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from tests.ledger.contract import *  # noqa: F403 - the suite of all ledgers
from tests.ledger.contract import Setting
from tests.stores.databases import postgresql_schema
from veneer.ledger.ledger import Ledger
from veneer.ledger.postgresql import PostgresqlLedger


@pytest.fixture
def url() -> Iterator[str]:
    with postgresql_schema() as url:
        yield url


@pytest.fixture
async def setting(url: str) -> AsyncIterator[Setting]:
    ledger = PostgresqlLedger(url, timeout=20.0)
    sibling = PostgresqlLedger(url, timeout=20.0)
    async with ledger.lifespan(), sibling.lifespan():
        yield Setting(ledger, sibling)


@pytest.fixture
def another(url: str) -> Callable[[], Ledger]:
    return lambda: PostgresqlLedger(url, timeout=20.0)
