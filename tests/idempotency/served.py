"""What is around real servers under test: a model server that counts, and clients that look close.

Everything is bounded in time, and nothing depends on how fast the machine is.
"""

import asyncio
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Self

import anyio.to_thread
import msgspec

from tests.answers import Answer, post
from tests.cli.programs import Program
from tests.cli.upstreams import chunk, plain

# Seconds that anything here may take.
PATIENCE = 20.0

EVENTS = 12
PAUSE = 0.02

# Seconds that the model server takes for an answer.
TAKES = EVENTS * PAUSE

TABLES = """
[serve]
port = 0
workers = {workers}

[upstream]
url = "{upstream}"

[idempotency]
store = "{store}"
lease = {lease}
"""


class CountingUpstream:
    """A model server that answers every call differently, and counts them by their prompts.

    A stream has `EVENTS` events with a `PAUSE` between; any other answer takes as long. Where it is
    `held`, all wait for `release`.
    """

    def __init__(self, *, held: bool = False) -> None:
        self.calls: Counter[str] = Counter()
        self.release = asyncio.Event()
        if not held:
            self.release.set()
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The base URL of this server."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=512)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._serving:
            task.cancel()
        if self._serving:
            await asyncio.wait(self._serving, timeout=PATIENCE)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while True:
                    await self._answer(reader, writer)
        finally:
            self._serving.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        body = await reader.readexactly(int(length or 0))
        if not body:
            writer.write(plain(b'{"object":"list","data":[]}'))
            return
        call = json.loads(body)
        prompt = call["messages"][0]["content"]
        self.calls[prompt] += 1
        number = self.calls[prompt]
        await self.release.wait()
        if not call.get("stream"):
            await asyncio.sleep(TAKES)
            writer.write(plain(_completion(f"{prompt} {number} {secrets.token_hex(1000)}")))
            await writer.drain()
            return
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        for index in range(EVENTS):
            writer.write(chunk(_event(f"{prompt} {number} {index} {secrets.token_hex(8)}")))
            await writer.drain()
            await asyncio.sleep(PAUSE)
        writer.write(chunk(_event("", "stop") + b"data: [DONE]\n\n") + b"0\r\n\r\n")
        await writer.drain()


class Asked(msgspec.Struct, frozen=True):
    """A call, which may be asked for again: `key` goes with it and `prompt` is in it."""

    key: str
    prompt: str
    stream: bool

    @classmethod
    def new(cls, *, stream: bool) -> "Asked":
        """Return one that was never asked for."""
        return cls(secrets.token_hex(8), secrets.token_hex(8), stream)


async def ask(port: int, asked: Asked, *, within: float = PATIENCE) -> Answer:
    """Ask on a connection of its own, and read until the server closes it.

    Raises TimeoutError where it does not.
    """
    body = json.dumps(
        {
            "model": "m",
            "stream": asked.stream,
            "messages": [{"role": "user", "content": asked.prompt}],
        }
    ).encode()
    return await post(port, body, f"idempotency-key: {asked.key}", within=within)


@asynccontextmanager
async def server(
    folder: Path, upstream: str, store: str, *, lease: float = 30.0, workers: int = 1
) -> AsyncIterator[Program]:
    """Run `veneer serve` in a folder of its own; it is gone afterwards, whatever happened to it."""
    text = TABLES.format(workers=workers, upstream=upstream, store=store, lease=lease)
    running = _start(folder, text)
    try:
        await anyio.to_thread.run_sync(lambda: running.port)
        yield running
    finally:
        # One that is stopped dies of it all the same; workers notice that their parent is gone.
        running.process.kill()
        running.process.wait()


def _start(folder: Path, text: str) -> Program:
    folder.mkdir()
    config = folder / "veneer.toml"
    config.write_text(text)
    return Program("serve", "--no-auth", "--config", str(config), folder=folder)


def _completion(content: str) -> bytes:
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return json.dumps(
        {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    ).encode()


def _event(content: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish}
    data = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return b"data: " + json.dumps({**data, "choices": [choice]}).encode() + b"\n\n"
