"""What the tests of idempotency share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.idempotency.stores import Setting, memory, redis, sqlite


@pytest.fixture(params=[memory, sqlite, redis], ids=lambda opened: opened.__name__)
async def setting(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Setting]:
    """Open a store of each kind."""
    async with request.param(tmp_path) as opened:
        yield opened
