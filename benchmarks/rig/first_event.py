"""The time to the first event of a stream, of one call after the other."""

import socket
import time
from urllib.parse import urlsplit

from rig.completion import Call
from rig.processes import on
from rig.sse import SENT

# Seconds without an answer after which it is given up.
STALLED = 15.0
LAST = b"0\r\n\r\n"


def times(origin: str, call: Call, cpus: set[int] | None, *, calls: int) -> list[float]:
    """Make calls of one token; return the seconds from each to the first event that it brought.

    Raises RuntimeError where none comes.
    """
    where = urlsplit(origin)
    request = call.request(call.body(stream=True, max_tokens=1))
    found = []
    with on(cpus), socket.create_connection((where.hostname, where.port), STALLED) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(calls):
            began = time.perf_counter()
            connection.sendall(request)
            data = b""
            while not SENT.search(data):
                data += _more(connection, origin)
            found.append(time.perf_counter() - began)
            while not data.endswith(LAST):
                data += _more(connection, origin)
    return found


def _more(connection: socket.socket, origin: str) -> bytes:
    try:
        data = connection.recv(65536)
    except TimeoutError:
        data = b""
    if not data:
        raise RuntimeError(f"{origin} does not stream an event")
    return data
