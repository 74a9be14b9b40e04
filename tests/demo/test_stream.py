"""The sending of a stream."""

import math
from collections.abc import AsyncGenerator

import anyio
import anyio.lowlevel
import pytest
from starlette.types import Message

from veneer.demo.stream import send_stream

START: Message = {"type": "http.response.start", "status": 200, "headers": []}


class Pieces:
    """Endless pieces, which know when they were closed."""

    def __init__(self, pause: float = 0.0) -> None:
        self.closed = False
        self._pause = pause

    async def make(self) -> AsyncGenerator[bytes, None]:
        """Yield them."""
        try:
            while True:
                yield b"piece"
                await anyio.sleep(self._pause)
        finally:
            self.closed = True


async def never() -> Message:
    await anyio.sleep_forever()
    raise AssertionError


async def test_a_client_that_leaves_between_two_pieces_ends_the_stream() -> None:
    sent: list[Message] = []
    two_were_sent = anyio.Event()

    async def receive() -> Message:
        await two_were_sent.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)
        if len(sent) == 2:
            two_were_sent.set()

    pieces = Pieces(pause=math.nextafter(math.inf, 0))
    with anyio.fail_after(5):
        await send_stream(START, pieces.make(), receive, send)
    assert len(sent) == 2
    assert pieces.closed


async def test_other_messages_of_the_client_do_not_end_the_stream() -> None:
    received = [{"type": "http.request"}, {"type": "http.disconnect"}]

    async def receive() -> Message:
        await anyio.lowlevel.checkpoint()
        return received.pop(0)

    async def send(message: Message) -> None:
        del message
        await anyio.lowlevel.checkpoint()

    with anyio.fail_after(5):
        await send_stream(START, Pieces().make(), receive, send)
    assert received == []


async def test_a_send_that_finds_the_client_gone_ends_the_stream() -> None:
    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            raise OSError

    pieces = Pieces()
    with anyio.fail_after(5):
        await send_stream(START, pieces.make(), never, send)
    assert pieces.closed


async def test_the_very_exception_of_send_reaches_the_caller() -> None:
    cause = KeyError("cause")
    failure = RuntimeError("from send")

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            raise failure from cause

    pieces = Pieces()
    with anyio.fail_after(5), pytest.raises(RuntimeError) as raised:
        await send_stream(START, pieces.make(), never, send)
    assert raised.value is failure
    assert raised.value.__cause__ is cause
    assert pieces.closed


async def test_the_very_exception_of_receive_reaches_the_caller() -> None:
    async def receive() -> Message:
        raise LookupError("from receive")

    async def send(message: Message) -> None:
        del message

    with anyio.fail_after(5), pytest.raises(LookupError, match="from receive"):
        await send_stream(START, Pieces().make(), receive, send)
