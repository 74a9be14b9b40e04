"""Event loops: transports have to work on asyncio's own and on uvloop, which servers run on."""

import importlib.util

import pytest

needs_uvloop = pytest.mark.skipif(
    importlib.util.find_spec("uvloop") is None, reason="uvloop is not installed"
)


@pytest.fixture(params=["asyncio", pytest.param("uvloop", marks=needs_uvloop)])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """Run each asynchronous test on both loops."""
    return "asyncio", {"use_uvloop": request.param == "uvloop"}
