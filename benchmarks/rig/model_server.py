"""An upstream for bodies: sends as many bytes as are asked for, swallows as many as come."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import BaseRequestHandler, ThreadingTCPServer

from rig.completion import COMPLETION

PIECE = 256 * 1024


class Handler(BaseRequestHandler):
    """Serves one connection: `GET /v1/files/N/content` gives N bytes, a POST an answer."""

    request: socket.socket

    def handle(self) -> None:
        """Answer requests until the other side closes."""
        while True:
            head, body = read_head(self.request)
            if not head:
                return
            if head.startswith(b"GET "):
                size = int(head.split(b"/")[3]) if b"/content" in head else 0
                kind = b"application/octet-stream"
                self.request.sendall(response_head(kind, size))
                send_bytes(self.request, size)
            else:
                swallow(self.request, length_of(head) - len(body))
                self.request.sendall(response_head(b"application/json", len(COMPLETION)))
                self.request.sendall(COMPLETION)


class Server(ThreadingTCPServer):
    """A thread for each connection; both directions are copying, which needs no interpreter."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64


@contextmanager
def serving() -> Iterator[str]:
    """Serve in threads of this process; gives the origin."""
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def read_head(connection: socket.socket) -> tuple[bytes, bytes]:
    """Return a message's head and what came along of its body; nothing where there is no more."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return b"", b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    return head, body


def length_of(head: bytes) -> int:
    """Return the length that a head announces, 0 where it does not."""
    value = head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
    return int(value or 0)


def response_head(kind: bytes, length: int) -> bytes:
    """Return the head of a response with a body of this type and length."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (kind, length)


def send_bytes(connection: socket.socket, size: int) -> None:
    """Send so many bytes."""
    piece = memoryview(bytes(PIECE))
    while size > 0:
        connection.sendall(piece[: min(PIECE, size)])
        size -= PIECE


def swallow(connection: socket.socket, size: int) -> None:
    """Read so many bytes; raises RuntimeError where they do not come."""
    buffer = bytearray(PIECE)
    view = memoryview(buffer)
    while size > 0:
        count = connection.recv_into(view[: min(PIECE, size)])
        if not count:
            raise RuntimeError(f"{size} bytes of a body are missing")
        size -= count
