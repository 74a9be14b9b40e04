"""Model servers that stream, of which the first fails: `python -m rig.failing SHARE PORT...`.

Of its calls that share fails, each in the next of four ways: a connection that is reset, a status
500, a stream that ends before its first event, and silence. The others begin to answer after
40 to 60 ms.
"""

import asyncio
import random
import sys
from itertools import count

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENT = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"Danube"}}]}\n\n'
END = (
    b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":24,"completion_tokens":8}}\n\n'
    b"data: [DONE]\n\n"
)
EVENTS = 8
BROKEN = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\n{}"
# Seconds until the first event, at least and at most, and between events.
FIRST = (0.04, 0.06)
BETWEEN = 0.002


def chunk(data: bytes) -> bytes:
    """Return a chunk of a body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class Server:
    """One of them."""

    def __init__(self, share: float, seed: int) -> None:
        self._share = share
        self._chance = random.Random(seed)  # noqa: S311 - seeded, so that each run fails alike
        self._failures = count()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the calls of a connection."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length or 0))
                if self._chance.random() < self._share:
                    await self._fail(reader, writer)
                    return
                await self._answer(writer)
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(self._chance.uniform(*FIRST))
        writer.write(HEAD + chunk(EVENT))
        for _ in range(EVENTS - 1):
            await asyncio.sleep(BETWEEN)
            writer.write(chunk(EVENT))
        writer.write(chunk(END) + b"0\r\n\r\n")
        await writer.drain()

    async def _fail(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        way = next(self._failures) % 4
        if way == 0:
            writer.transport.abort()
        elif way == 1:
            writer.write(BROKEN)
        elif way == 2:
            writer.write(HEAD + chunk(b": busy\n\n"))
        else:
            await reader.read()


async def main(share: str, *ports: str) -> None:
    """Serve until the process is ended."""
    for number, port in enumerate(ports):
        server = Server(0.0 if number else float(share), number)
        await asyncio.start_server(server.serve, "127.0.0.1", int(port))
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
