"""Opening a TCP socket: every address of a name is tried, the next one before the last gave up."""

import asyncio
import socket
from collections import deque
from itertools import chain, zip_longest
from typing import Any

# The second part is what the family's sockets connect to.
_Address = tuple[socket.AddressFamily, Any]

# RFC 8305 §5 recommends 250 ms between the attempts.
_ATTEMPT_DELAY = 0.25


async def open_socket(host: str, port: int) -> socket.socket:
    """Return a connected, non-blocking socket without Nagle's delay.

    Addresses of both families are tried in turn, by "Happy Eyeballs" (RFC 8305), which uvloop's
    `create_connection` does not offer. Raises OSError, of the first address, if none answers.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = _interleaved([(family, address) for family, _, _, _, address in found])
    if len(addresses) == 1:
        return await _attempt(*addresses[0])
    return await _first(deque(addresses))


def _interleaved(addresses: list[_Address]) -> list[_Address]:
    """Order addresses so that the families alternate, beginning with the resolver's choice."""
    if not addresses:
        raise OSError("the name has no address")
    preferred = addresses[0][0]
    first = [address for address in addresses if address[0] == preferred]
    second = [address for address in addresses if address[0] != preferred]
    return [
        address
        for address in chain.from_iterable(zip_longest(first, second))
        if address is not None
    ]


async def _attempt(family: socket.AddressFamily, address: Any) -> socket.socket:
    """Connect to one address."""
    opened = socket.socket(family, socket.SOCK_STREAM)
    connected = False
    try:
        opened.settimeout(0)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(opened, address)
        connected = True
    finally:
        if not connected:
            opened.close()
    return opened


async def _first(addresses: deque[_Address]) -> socket.socket:
    """Race attempts, each starting when the one before failed or had its head start."""
    attempts: set[asyncio.Task[socket.socket]] = set()
    failures: list[BaseException] = []
    try:
        while addresses or attempts:
            if addresses:
                attempts.add(asyncio.create_task(_attempt(*addresses.popleft())))
            done, _ = await asyncio.wait(
                attempts,
                timeout=_ATTEMPT_DELAY if addresses else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                attempts.discard(task)
                failure = task.exception()
                if failure is None:
                    return task.result()
                failures.append(failure)
        raise failures[0]
    finally:
        for task in attempts:
            task.add_done_callback(_discard)
            task.cancel()


def _discard(task: asyncio.Task[socket.socket]) -> None:
    """Close the socket of an attempt that came second."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()
