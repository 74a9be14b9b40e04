"""A client of many streams: `python -m rig.reader ORIGIN STREAMS FILE CALL [keyed] [paced]`.

CALL is the call, as JSON; `keyed` gives each an idempotency key of its own; `paced` makes the next
calls when those before have been answered, else all are made at once. It reads its streams to their
ends and writes, for each event, when it was sent and when it was read (nanoseconds of
CLOCK_MONOTONIC) as pairs of 64-bit integers. One protocol callback for a segment and one search in
it: it shares a core with the emitter, so it must cost little.
"""

import asyncio
import sys
import time
from array import array
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex
from typing import cast
from urllib.parse import urlsplit

import msgspec

from rig.completion import Call
from rig.sse import SENT

LAST = b"0\r\n\r\n"

# Connections that are opened at once.
BATCH = 64


class Stream(asyncio.Protocol):
    """One call and its stream; `ended` says whether it came to its proper end."""

    def __init__(self, times: "array[int]", call: Call, *, keyed: bool) -> None:
        key = {"idempotency-key": token_hex(16)} if keyed else {}
        self._call = call.request(call.body(stream=True), **key)
        self._times = times
        self._rest = b""
        self.begun = asyncio.get_running_loop().create_future()
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Call."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._call)

    def data_received(self, data: bytes) -> None:
        """Note the events that are whole."""
        now = time.monotonic_ns()
        if not self.begun.done():
            self.begun.set_result(True)
        data = self._rest + data
        end = 0
        for found in SENT.finditer(data):
            self._times.append(int(found[1]))
            self._times.append(now)
            end = found.end()
        self._rest = data[end:]
        if self._rest.endswith(LAST):
            self.ended.set_result(b"data: [DONE]" in self._rest)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note an end that is none."""
        del exc
        if not self.begun.done():
            self.begun.set_result(False)
        if not self.ended.done():
            self.ended.set_result(False)


async def read(origin: str, streams: int, call: Call, options: tuple[str, ...]) -> "array[int]":
    """Read so many streams at a time; raises RuntimeError where one does not end properly."""
    loop = asyncio.get_running_loop()
    host, _, port = urlsplit(origin).netloc.partition(":")
    times = array("q")
    opened: list[Stream] = []
    for begin in range(0, streams, BATCH):
        batch = [
            loop.create_connection(
                lambda: Stream(times, call, keyed="keyed" in options), host, int(port)
            )
            for _ in range(begin, min(begin + BATCH, streams))
        ]
        opened += [stream for _, stream in await asyncio.gather(*batch)]
        if "paced" in options:
            await asyncio.gather(*[stream.begun for stream in opened[begin:]])
    ended = await asyncio.gather(*[stream.ended for stream in opened])
    if not all(ended):
        raise RuntimeError(f"{ended.count(False)} of {streams} streams did not end properly")
    return times


def main(origin: str, streams: str, output: str, call: str, *options: str) -> None:
    """Read, and write the times."""
    how = msgspec.json.decode(call, type=Call)
    loop = import_module("uvloop").new_event_loop if find_spec("uvloop") else None
    with asyncio.Runner(loop_factory=loop) as runner:
        Path(output).write_bytes(runner.run(read(origin, int(streams), how, options)).tobytes())


if __name__ == "__main__":
    main(*sys.argv[1:])
