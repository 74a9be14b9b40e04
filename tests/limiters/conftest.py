"""What the tests of limiters share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.limiters.redises import OwnServer, own_server, redis_prefix


@pytest.fixture
async def prefix() -> AsyncIterator[str]:
    """Give keys of a test's own on the common Redis server."""
    async with redis_prefix() as name:
        yield name


@pytest.fixture
async def redis_server(tmp_path: Path) -> AsyncIterator[OwnServer]:
    """Give a Redis server of a test's own, which may be stopped and started."""
    async with own_server(tmp_path) as server:
        yield server
