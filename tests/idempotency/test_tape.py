"""The tape."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message

from veneer.errors import BrokenResponseError
from veneer.idempotency.tape import PIECE, Tape

OK = [(b"content-type", b"text/plain")]


class Reader:
    """Takes messages, each when `steps` allows one more."""

    def __init__(self, tape: Tape, *, steps: int = 1_000_000) -> None:
        self.messages: list[Message] = []
        self.allowed = asyncio.Semaphore(steps)
        self.task = asyncio.create_task(tape.play(self.send))

    async def send(self, message: Message) -> None:
        """Take a message."""
        await self.allowed.acquire()
        self.messages.append(message)

    @property
    def body(self) -> bytes:
        """What has come."""
        return b"".join(message["body"] for message in self.messages[1:])

    @property
    def ended(self) -> bool:
        """Whether the last message said that it is the last."""
        return bool(self.messages) and self.messages[-1].get("more_body") is False


async def steps(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def begun(limit: int = 1000) -> Tape:
    tape = Tape(limit)
    tape.begin(200, OK)
    return tape


async def test_nothing_is_sent_before_it_is_given() -> None:
    tape = begun()
    reader = Reader(tape)
    tape.put(b"abc")
    await steps()
    assert (reader.messages, tape.begun, tape.readers) == ([], False, 1)
    tape.give()
    tape.put(b"def")
    await steps()
    assert reader.messages == [
        {"type": "http.response.start", "status": 200, "headers": OK},
        {"type": "http.response.body", "body": b"abc", "more_body": True},
    ]
    assert (tape.body, tape.size) == (b"abcdef", 6)
    tape.close()
    await reader.task
    assert (reader.body, reader.ended, tape.readers) == (b"abc", False, 0)


@pytest.mark.parametrize("rest", [b"", b"def"])
async def test_the_last_message_says_that_it_is_the_last(rest: bytes) -> None:
    tape = begun()
    reader = Reader(tape)
    tape.put(b"abc")
    tape.give()
    await steps()
    tape.put(rest)
    tape.end()
    await steps()
    assert (reader.body, reader.ended) == (b"abc" + rest, True)
    assert not reader.task.done(), "it waits for what the call raises"
    late = Reader(tape)
    tape.close()
    await asyncio.gather(reader.task, late.task)
    assert len(late.messages) == 2
    assert (late.body, late.ended) == (b"abc" + rest, True)


async def test_an_empty_answer_has_one_empty_message() -> None:
    tape = begun()
    reader = Reader(tape)
    tape.end()
    tape.close()
    await reader.task
    assert reader.messages[1:] == [{"type": "http.response.body", "body": b"", "more_body": False}]


async def test_a_great_answer_comes_in_pieces() -> None:
    tape = begun(10 * PIECE)
    tape.put(b"x" * (2 * PIECE + 1))
    tape.end()
    tape.close()
    reader = Reader(tape)
    await reader.task
    assert [len(message["body"]) for message in reader.messages[1:]] == [PIECE, PIECE, 1]
    assert reader.ended


async def test_whoever_writes_a_torn_tape_waits_for_the_slowest() -> None:
    tape = begun(10)
    slow, fast = Reader(tape, steps=2), Reader(tape)

    async def write() -> None:
        for _ in range(50):
            tape.put(b"x" * PIECE)
            tape.give()
            await tape.room()

    writing = asyncio.create_task(write())
    await steps(300)
    assert not writing.done()
    assert (tape.torn, tape.body) == (True, None)
    assert len(tape._data) <= 3 * PIECE, "what is held is bounded"
    slow.task.cancel()
    await asyncio.wait_for(writing, 5)
    tape.end()
    tape.close()
    await fast.task
    assert len(fast.body) == tape.size == 50 * PIECE
    assert len(tape._data) == 0


async def test_who_takes_nothing_of_a_torn_tape_is_left_behind_by_those_who_wait() -> None:
    tape = Tape(10, patience=0.01)
    tape.begin(200, OK)
    stuck, fast = Reader(tape, steps=2), Reader(tape)

    async def write() -> None:
        for _ in range(20):
            tape.put(b"x" * PIECE)
            tape.give()
            await tape.room()
        tape.end()
        tape.close()

    await asyncio.wait_for(write(), 5)
    await asyncio.wait_for(fast.task, 5)
    assert len(fast.body) == 20 * PIECE
    assert not stuck.task.done()
    stuck.allowed.release()
    with pytest.raises(BrokenResponseError, match="took nothing while others waited"):
        await asyncio.wait_for(stuck.task, 5)
    assert not stuck.ended
    assert tape.readers == 0


async def test_a_slow_reader_of_a_torn_tape_for_whom_nobody_waits_is_not_left_behind() -> None:
    tape = Tape(10, patience=0)
    tape.begin(200, OK)
    slow = Reader(tape, steps=1)

    async def write() -> None:
        for _ in range(5):
            tape.put(b"x" * PIECE)
            tape.give()
            await tape.room()
        tape.end()
        tape.close()

    writing = asyncio.create_task(write())
    await steps(50)
    assert not writing.done()
    for _ in range(10):
        slow.allowed.release()
        await steps(10)
    await asyncio.wait_for(slow.task, 5)
    await writing
    assert (len(slow.body), slow.ended) == (5 * PIECE, True)


async def test_a_torn_tape_that_nobody_reads_keeps_nothing_and_lets_others_run() -> None:
    tape = begun(10)
    others = asyncio.create_task(steps())
    for _ in range(50):
        tape.put(b"x" * PIECE)
        tape.give()
        await tape.room()
    assert others.done()
    assert len(tape._data) == 0


async def test_what_is_not_given_of_a_torn_tape_waits_for_being_given_or_for_the_end() -> None:
    for release in (Tape.give, Tape.end, Tape.close):
        tape = begun(10)
        tape.put(b"x" * 2 * PIECE)
        waiting = asyncio.create_task(tape.room())
        await steps()
        assert not waiting.done()
        release(tape)
        await steps()
        assert waiting.done(), release


@given(
    parts=st.lists(st.binary(max_size=6), max_size=8),
    joins=st.lists(st.integers(0, 9), min_size=1, max_size=4),
    gives=st.sets(st.integers(0, 7)),
    end=st.booleans(),
)
def test_whoever_joins_whenever_gets_the_same(
    parts: list[bytes], joins: list[int], gives: set[int], *, end: bool
) -> None:
    async def main() -> None:
        tape = begun()
        readers = []
        for index, part in enumerate(parts):
            readers += [Reader(tape) for join in joins if join == index]
            await steps(index % 3)
            tape.put(part)
            if index in gives:
                tape.give()
        given: Callable[[], None] = tape.end if end else tape.give
        given()
        readers += [Reader(tape) for join in joins if join >= len(parts)]
        tape.close()
        await asyncio.gather(*(reader.task for reader in readers))
        assert {reader.body for reader in readers} == {b"".join(parts)}
        assert {reader.ended for reader in readers} == {end}
        assert tape.readers == 0

    asyncio.run(main())
