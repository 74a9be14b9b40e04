"""An upstream that streams at a steady pace: `python -m rig.emitter PORT STREAMS RATE SECONDS`.

It gathers that many calls, then sends their streams one event after the other, evenly spaced, RATE
events a second over all of them. It says `started` when it begins, and gathers anew when the
streams have ended. While it gathers, a GET is answered at once, and so is a call of one token, with
one event. A plain loop without callbacks: it shares a core with the reader, so it must cost little.
"""

import re
import select
import socket
import sys
import time

from rig.sse import END, event

START = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    b"Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"
)
MODELS = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 27\r\n\r\n"
    b'{"object":"list","data":[]}'
)

ONE_TOKEN = re.compile(rb'"max_(completion_)?tokens": ?1[,}]')

# Shorter waits than this, in seconds, are not worth a system call.
SHORT = 20e-6


def chunk(data: bytes) -> bytes:
    """Return data as a chunk (RFC 9112 §7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class Emitter:
    """Accepts calls and serves streams on a port of the loopback interface."""

    def __init__(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", port), backlog=4096)
        self._poll = select.epoll()
        self._poll.register(self._listener, select.EPOLLIN)
        self._connections: dict[int, socket.socket] = {}
        self._received: dict[int, bytes] = {}

    def gather(self, number: int) -> list[socket.socket]:
        """Take calls until there are so many of them; their responses are begun at once."""
        begun: list[socket.socket] = []
        while len(begun) < number:
            for descriptor, _ in self._poll.poll():
                if descriptor == self._listener.fileno():
                    connection, _ = self._listener.accept()
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._connections[connection.fileno()] = connection
                    self._poll.register(connection, select.EPOLLIN)
                    continue
                connection = self._connections[descriptor]
                if self._is_stream(connection):
                    connection.sendall(START)
                    begun.append(connection)
        return begun

    def emit(self, streams: list[socket.socket], rate: float, seconds: float) -> None:
        """Send the events, then the ends of the streams.

        Raises BlockingIOError where the proxy falls so far behind that it stops reading.
        """
        for connection in streams:
            connection.settimeout(0)
        start = time.monotonic()
        for index in range(int(rate * seconds)):
            wait = start + index / rate - time.monotonic()
            if wait > SHORT:
                time.sleep(wait)
            streams[index % len(streams)].send(chunk(event(time.monotonic_ns())))
        for connection in streams:
            connection.settimeout(None)
            connection.sendall(chunk(END) + b"0\r\n\r\n")

    def _is_stream(self, connection: socket.socket) -> bool:
        """Read what has come; return whether that completes a call to be streamed."""
        descriptor = connection.fileno()
        data = connection.recv(65536)
        if not data:
            self._poll.unregister(connection)
            self._received.pop(descriptor, None)
            del self._connections[descriptor]
            connection.close()
            return False
        data = self._received.pop(descriptor, b"") + data
        head, end, body = data.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        chunked = b"transfer-encoding: chunked" in head.lower()
        missing = not body.endswith(b"0\r\n\r\n") if chunked else len(body) < int(length or 0)
        if not end or missing:
            self._received[descriptor] = data
            return False
        if head.startswith(b"GET "):
            connection.sendall(MODELS)
            return False
        if ONE_TOKEN.search(body):
            connection.sendall(START + chunk(event(time.monotonic_ns())))
            connection.sendall(chunk(END) + b"0\r\n\r\n")
            return False
        return True


def main(port: str, streams: str, rate: str, seconds: str) -> None:
    """Serve until ended."""
    emitter = Emitter(int(port))
    while True:
        gathered = emitter.gather(int(streams))
        print("started", flush=True)
        emitter.emit(gathered, float(rate), float(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
