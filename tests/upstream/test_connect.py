"""Finding the address that answers."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.upstream.servers import eventually
from veneer.upstream import connect

Found = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int]]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Return a socket that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as opened:
        yield opened


@pytest.fixture
def silent() -> Iterator[tuple[str, int]]:
    """Return an address where a connection is neither taken nor refused: its backlog is full."""
    with ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)  # noqa: FBT003 - the socket's own interface
            one.connect_ex(full.getsockname())
        yield full.getsockname()


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what makes every name resolve to the addresses given."""

    def set_addresses(*addresses: tuple[str, int]) -> None:
        async def found(*_args: object, **_options: object) -> list[Found]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]

        class Resolving:
            def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
                self._loop = loop
                self.getaddrinfo = found

            def __getattr__(self, name: str) -> Any:
                return getattr(self._loop, name)

        real = asyncio.get_running_loop
        monkeypatch.setattr(
            "veneer.upstream.connect.asyncio.get_running_loop", lambda: Resolving(real())
        )

    return set_addresses


async def test_a_socket_does_not_wait_for_more_to_send(listener: socket.socket) -> None:
    opened = await connect.open_socket(*listener.getsockname())
    assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert not opened.getblocking()
    opened.close()


def refused_address() -> tuple[str, int]:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host, port = unused.getsockname()
        return str(host), int(port)


async def test_the_next_address_is_tried_when_one_refuses(
    listener: socket.socket, resolve: Callable[..., None]
) -> None:
    resolve(refused_address(), refused_address(), listener.getsockname())
    opened = await connect.open_socket("name.test", 80)
    assert opened.getpeername() == listener.getsockname()
    opened.close()


async def test_the_next_address_is_tried_while_one_is_silent(
    listener: socket.socket, silent: tuple[str, int], resolve: Callable[..., None]
) -> None:
    resolve(silent, listener.getsockname())
    opened = await connect.open_socket("name.test", 80)
    assert opened.getpeername() == listener.getsockname()
    opened.close()


async def test_the_first_failure_is_told_when_all_fail(resolve: Callable[..., None]) -> None:
    resolve(refused_address(), refused_address())
    with pytest.raises(ConnectionRefusedError):
        await connect.open_socket("name.test", 80)


async def test_a_name_without_address_is_a_failure(resolve: Callable[..., None]) -> None:
    resolve()
    with pytest.raises(OSError, match="no address"):
        await connect.open_socket("name.test", 80)


async def test_cancelling_gives_up_every_attempt(
    silent: tuple[str, int], resolve: Callable[..., None]
) -> None:
    resolve(silent, silent)
    before = asyncio.all_tasks()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await connect.open_socket("name.test", 80)
    await eventually(lambda: asyncio.all_tasks() == before)


async def test_the_last_attempt_is_waited_for_when_the_others_have_failed(
    silent: tuple[str, int], resolve: Callable[..., None]
) -> None:
    resolve(silent, refused_address())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.35):
            await connect.open_socket("name.test", 80)


async def test_a_socket_that_came_second_is_closed(listener: socket.socket) -> None:
    address = listener.getsockname()
    task = asyncio.create_task(connect._attempt(socket.AF_INET, address))
    opened = await task
    connect._discard(task)
    assert opened.fileno() == -1


def test_families_alternate() -> None:
    six = [(socket.AF_INET6, (f"::{number}", 80, 0, 0)) for number in range(3)]
    four = [(socket.AF_INET, ("127.0.0.1", 80))]
    assert connect._interleaved([*six, *four]) == [six[0], four[0], six[1], six[2]]
