"""A model server in a process of its own, which remembers every call that it got."""

import asyncio
import json
import os
import random
import socket
from contextlib import suppress
from typing import Any

import msgspec

from tests.cli.upstreams import chunk, plain
from tests.ledger.told import Told

# Seconds between the events of a stream, and that any other answer takes, at the most.
PAUSE = 0.02
TAKES = 0.2

SSE = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
    b"server: model\r\ntransfer-encoding: chunked\r\n\r\n"
)


def run(listener: socket.socket, control: int, seed: int) -> None:
    """Serve until the other end of the pipe `control` is closed."""
    asyncio.run(_run(listener, control, seed))


async def _run(listener: socket.socket, control: int, seed: int) -> None:
    over = asyncio.Event()
    asyncio.get_running_loop().add_reader(control, over.set)
    served = ModelServer(seed)
    await asyncio.start_server(served.accept, sock=listener)
    await over.wait()
    # Connections end with the process: nobody is there who would read them.
    os._exit(0)


class ModelServer:
    """Answers calls as the names of their models say; `GET` answers all that it has been told."""

    def __init__(self, seed: int) -> None:
        self.calls: list[Told] = []
        self._chance = random.Random(seed)  # noqa: S311 - how long answers are

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection until it is closed or cut."""
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                while await self._answer(reader, writer):
                    pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return whether there may be another."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        body = await reader.readexactly(int(length or 0))
        if not body:
            writer.write(plain(msgspec.json.encode(self.calls)))
            await writer.drain()
            return True
        call = json.loads(body)
        told = self._told(call, len(body))
        self.calls.append(told)
        if call.get("stream"):
            return await self._stream(told, writer)
        await asyncio.sleep(self._chance.uniform(0, TAKES))
        message = {"role": "assistant", "content": "word " * told.output}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        writer.write(plain(_json("chat.completion", told, choices=[choice], usage=_usage(told))))
        told.told = told.finished = True
        await writer.drain()
        return True

    async def _stream(self, told: Told, writer: asyncio.StreamWriter) -> bool:
        kind = told.name.partition("-")[0]
        writer.write(SSE)
        for _ in range(told.output):
            choice = {"index": 0, "delta": {"content": "word "}, "finish_reason": None}
            self._event(told, writer, choices=[choice])
            await writer.drain()
            await asyncio.sleep(self._chance.uniform(0, PAUSE))
            if kind == "broken" and told.events > told.output // 2:
                writer.transport.abort()
                return False
        self._event(told, writer, choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
        if kind != "mute":
            self._event(told, writer, choices=[], usage=_usage(told))
            told.told = True
        writer.write(chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
        told.events += 1
        told.finished = True
        await writer.drain()
        return True

    @staticmethod
    def _event(told: Told, writer: asyncio.StreamWriter, **members: Any) -> None:
        writer.write(chunk(b"data: " + _json("chat.completion.chunk", told, **members) + b"\n\n"))
        told.events += 1

    def _told(self, call: dict[str, Any], size: int) -> Told:
        read = len(call["messages"][0]["content"]) // 3
        return Told(
            name=call["model"],
            size=size,
            input=read,
            cached=self._chance.randrange(read),
            output=self._chance.randint(1, call["max_completion_tokens"]),
        )


def _usage(told: Told) -> dict[str, Any]:
    return {
        "prompt_tokens": told.input,
        "completion_tokens": told.output,
        "total_tokens": told.input + told.output,
        "prompt_tokens_details": {"cached_tokens": told.cached},
    }


def _json(kind: str, told: Told, **members: Any) -> bytes:
    data = {"id": "c", "object": kind, "created": 1, "model": told.name, **members}
    return json.dumps(data).encode()
