"""Fixtures that every test may use."""

import pytest
from hypothesis import settings

# How long an example takes says more of the machine than of the code.
settings.register_profile("veneer", deadline=None)
settings.load_profile("veneer")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, the supported backend."""
    return "asyncio"
