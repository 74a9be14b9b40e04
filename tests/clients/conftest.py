"""What all clients share: the stack, and a network that ends at this machine."""

import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from openai import AsyncOpenAI

from tests.clients.served import Served, served

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@pytest.fixture(scope="module")
def stack() -> Iterator[Served]:
    """Serve the stack for the tests of a file."""
    with served() as found:
        yield found


@pytest.fixture
async def connect(stack: Served) -> AsyncIterator[Callable[[str], AsyncOpenAI]]:
    """Make clients, for those that stand on OpenAI's own, and close them in the end."""
    async with AsyncExitStack() as opened:

        def made(key: str) -> AsyncOpenAI:
            client = AsyncOpenAI(base_url=stack.url, api_key=key, max_retries=0)
            opened.push_async_callback(client.close)
            return client

        yield made


@pytest.fixture(autouse=True)
def _no_telemetry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let nobody be called but this machine, and fail where somebody was."""
    monkeypatch.setenv("LANGSMITH_TRACING", "false")
    called: list[object] = []
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def connect_here(self: socket.socket, address: Any) -> None:
        if self.family in {socket.AF_INET, socket.AF_INET6}:
            _check(address[0], called)
        connect(self, address)

    def look_up_here(host: Any, *arguments: Any, **options: Any) -> Any:
        _check(host, called)
        return look_up(host, *arguments, **options)

    monkeypatch.setattr(socket.socket, "connect", connect_here)
    monkeypatch.setattr(socket, "getaddrinfo", look_up_here)
    yield
    assert called == []


def _check(host: object, called: list[object]) -> None:
    if host not in LOOPBACK:
        called.append(host)
        raise OSError(f"{host} is not this machine")
