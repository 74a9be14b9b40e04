"""Model servers: one that answers when the test lets it, and the demo."""

import contextlib
import re
import select
import socket
import threading
from collections.abc import Iterator
from typing import Self

from tests.listening import listening
from veneer.demo import DemoServer

MODELS = b'{"object":"list","data":[]}'
EVENT = b'data: {"choices":[]}\n\n'
DONE = b"data: [DONE]\n\n"


class HeldUpstream:
    """Begins every stream, and holds its rest and all plain answers back until `release`.

    `GET` is answered at once. `seen` collects the heads of the requests.
    """

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.release = threading.Event()
        self.closed = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)

    @property
    def url(self) -> str:
        """The base URL of this server."""
        return f"http://127.0.0.1:{self._server.getsockname()[1]}/v1"

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release.set()
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for connection in self._connections:
            connection.close()
        self._accepting.join(5)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                self._connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while self._answer(connection):
                pass
        self.closed.set()

    def _answer(self, connection: socket.socket) -> bool:
        request = b""
        while b"\r\n\r\n" not in request:
            data = connection.recv(65536)
            if not data:
                return False
            request += data
        head, _, body = request.partition(b"\r\n\r\n")
        self.seen.append(head)
        length = re.search(rb"content-length: (\d+)", head.lower())
        while length is not None and len(body) < int(length[1]):
            body += connection.recv(65536)
        if head.startswith(b"GET"):
            connection.sendall(plain(MODELS))
        elif b'"stream": true' in body:
            connection.sendall(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                b"date: Thu, 01 Jan 1970 00:00:00 GMT\r\nserver: model\r\n"
                b"transfer-encoding: chunked\r\n\r\n" + chunk(EVENT)
            )
            self._hold(connection)
            connection.sendall(chunk(DONE) + b"0\r\n\r\n")
        else:
            self._hold(connection)
            connection.sendall(plain(b'{"usage":null}'))
        return True

    def _hold(self, connection: socket.socket) -> None:
        """Wait for the release; raise ConnectionError where the other side leaves before."""
        while not self.release.wait(0.005):
            if select.select([connection], [], [], 0)[0] and not connection.recv(
                1, socket.MSG_PEEK
            ):
                raise ConnectionError


def plain(body: bytes) -> bytes:
    """Return a whole JSON response."""
    return (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
        b"date: Thu, 01 Jan 1970 00:00:00 GMT\r\nserver: model\r\n"
        b"content-length: %d\r\n\r\n%b" % (len(body), body)
    )


def chunk(data: bytes) -> bytes:
    """Return data as one chunk (RFC 9112 §7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


@contextlib.contextmanager
def demo_upstream() -> Iterator[str]:
    """Serve a demo model in a thread; give its base URL."""
    with listening(DemoServer()) as port:
        yield f"http://127.0.0.1:{port}/v1"
