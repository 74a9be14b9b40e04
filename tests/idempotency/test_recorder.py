"""The recorder."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.types import Message

from tests.idempotency.test_tape import Reader, steps
from tests.limiters import virtual
from veneer.errors import BrokenResponseError
from veneer.facts import Relayed
from veneer.idempotency.recorder import LAST_WAIT, Landing, Recorder, recordable
from veneer.idempotency.tape import PIECE, Tape

DONE = b"data: [DONE]\n\n"
WHOLE = Relayed(stream=True, observed=True, complete=True)
FAILED = Relayed(stream=True, observed=True, complete=False)


class Recording:
    """A recorder, a reader of what it gives, and a hand that lets it land."""

    def __init__(self, *, limit: int = 1000, kept: bool = True) -> None:
        self.tape = Tape(limit)
        self.reader = Reader(self.tape)
        self.facts: dict[type, Any] = {}
        self.landings: list[Landing] = []
        self.seen_by_then: list[bytes] = []
        self.go = asyncio.Event()
        self.go.set()
        self.kept = kept
        self.late = 0
        self.recorder = Recorder(self.tape, self.facts, self.land, late=self._on_late)

    def _on_late(self) -> None:
        self.late += 1

    async def land(self, landing: Landing) -> bool:
        """Note what is to be kept, and what the reader has by then."""
        await steps()
        self.landings.append(landing)
        self.seen_by_then.append(self.reader.body)
        await self.go.wait()
        return self.kept

    async def start(self, kind: bytes, *headers: tuple[bytes, bytes]) -> None:
        """Begin an answer of this type."""
        fields = [(b"content-type", kind), *headers]
        await self.recorder.send({"type": "http.response.start", "status": 200, "headers": fields})

    async def put(self, body: bytes, *, more: bool = True) -> None:
        """Send a part."""
        await self.recorder.send({"type": "http.response.body", "body": body, "more_body": more})
        await steps()


JSON = b"application/json; charset=utf-8"
EVENTS = b"text/event-stream"


async def test_json_is_given_when_it_is_kept() -> None:
    it = Recording()
    await it.start(JSON)
    await it.put(b'{"a":')
    assert it.reader.messages == []
    await it.put(b"1}", more=False)
    assert it.seen_by_then == [b""]
    assert (it.landings[0].body, it.landings[0].stream) == (b'{"a":1}', False)
    assert it.reader.body == b'{"a":1}'
    assert len(it.reader.messages) == 2
    await it.recorder.close()


async def test_a_stream_begins_at_once_and_its_last_part_waits() -> None:
    it = Recording()
    await it.start(EVENTS)
    await steps()
    assert len(it.reader.messages) == 1
    await it.put(b"data: 1\n\n")
    assert it.reader.body == b"data: 1\n\n"
    it.facts[Relayed] = WHOLE
    await it.put(DONE)
    assert it.reader.body == b"data: 1\n\n"
    await it.put(b": bye\n\n")
    await it.put(b"", more=False)
    assert it.seen_by_then == [b"data: 1\n\n"]
    assert it.landings[0].stream
    assert it.landings[0].body == it.reader.body == b"data: 1\n\n" + DONE + b": bye\n\n"
    assert it.reader.ended


@pytest.mark.parametrize("last", [DONE, b"data:[DONE]\n\n", b"data: 2\r\n\r\ndata: [DONE]\r\n\r\n"])
async def test_without_a_relay_done_is_known_by_its_text(last: bytes) -> None:
    it = Recording()
    await it.start(EVENTS)
    await it.put(b'data: {"content":"[DONE]"}\n\n')
    await it.put(last)
    assert it.reader.body == b'data: {"content":"[DONE]"}\n\n'
    await it.put(b"", more=False)
    assert it.reader.body.endswith(last)


async def test_a_relay_that_saw_a_failure_counts_before_the_text() -> None:
    it = Recording()
    await it.start(EVENTS)
    it.facts[Relayed] = FAILED
    await it.put(DONE)
    assert it.reader.body == DONE


async def test_what_has_as_many_bytes_as_announced_waits_before_its_last_part() -> None:
    it = Recording()
    await it.start(b"audio/mpeg", (b"content-length", b"6"))
    await it.put(b"abc")
    assert it.reader.body == b"abc"
    await it.put(b"def")
    assert it.reader.body == b"abc"
    await it.put(b"", more=False)
    assert (it.reader.body, it.seen_by_then) == (b"abcdef", [b"abc"])


def virtually(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Return the test in virtual time."""

    def run() -> None:
        async def main() -> None:
            await test()

        virtual.run(main())

    run.__name__ = test.__name__
    return run


@virtually
async def test_an_upstream_that_never_ends_is_waited_for_a_while_only() -> None:
    it = Recording()
    await it.start(EVENTS)
    await it.put(DONE)
    await asyncio.sleep(LAST_WAIT / 2)
    await it.put(b": more\n\n")
    assert it.landings == []
    await asyncio.sleep(LAST_WAIT / 2 + 0.01)
    assert it.reader.body == it.landings[0].body == DONE + b": more\n\n"
    assert it.reader.ended
    await it.reader.task
    assert it.late == 1
    await it.put(b"dropped")
    await it.put(b"", more=False)
    await it.recorder.close()
    assert len(it.landings) == 1


@virtually
async def test_a_stream_that_ends_while_it_lands_late_lands_once() -> None:
    it = Recording()
    it.go.clear()
    await it.start(EVENTS)
    await it.put(DONE)
    await asyncio.sleep(LAST_WAIT + 0.01)
    await it.put(b"", more=False)
    closing = asyncio.ensure_future(it.recorder.close())
    await steps()
    assert not closing.done()
    it.go.set()
    await closing
    assert (len(it.landings), it.reader.body) == (1, DONE)


@virtually
async def test_a_recorder_that_is_stopped_leaves_no_timer_and_no_task() -> None:
    for wait in (0.0, LAST_WAIT + 0.01):
        it = Recording()
        it.go.clear()
        await it.start(EVENTS)
        await it.put(DONE)
        await asyncio.sleep(wait)
        it.recorder.stop()
        it.reader.task.cancel()
        await asyncio.sleep(0.01)
        assert virtual.timers() == []
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_what_may_not_be_given_is_not() -> None:
    it = Recording(kept=False)
    await it.start(JSON)
    await it.put(b"{}", more=False)
    await it.recorder.close()
    assert it.reader.messages == []

    it = Recording(kept=False)
    await it.start(EVENTS)
    await it.put(b"data: 1\n\n")
    await it.put(DONE, more=False)
    with pytest.raises(BrokenResponseError):
        await it.recorder.close()
    assert it.reader.body == b"data: 1\n\n"


async def test_an_answer_without_its_end_is_broken() -> None:
    it = Recording()
    await it.start(JSON)
    await it.put(b"{}")
    with pytest.raises(BrokenResponseError):
        await it.recorder.close()
    assert it.reader.messages == []


@pytest.mark.parametrize("kind", [JSON, EVENTS, b"audio/mpeg"])
async def test_an_answer_beyond_the_limit_passes_without_its_body(kind: bytes) -> None:
    it = Recording(limit=PIECE)
    await it.start(kind)
    for _ in range(10):
        await it.put(b"x" * PIECE)
    assert len(it.reader.body) == 10 * PIECE
    await it.put(b"", more=False)
    assert (it.landings[0].body, it.reader.ended) == (None, True)


async def test_other_messages_are_no_part_of_an_answer() -> None:
    it = Recording()
    await it.start(JSON)
    odd: list[Message] = [
        {"type": "http.response.debug", "info": {}},
        {"type": "http.response.trailers", "headers": []},
    ]
    for message in odd:
        await it.recorder.send(message)
    assert it.landings == []
    await it.put(b"{}", more=False)
    assert it.landings[0].body == b"{}"


def test_an_answer_is_asked_for_that_can_be_recorded() -> None:
    headers = [(b"accept-encoding", b"gzip"), (b"host", b"x")]
    ways: dict[str, Any] = {"http.response.pathsend": {}, "http.response.trailers": {}, "tls": {}}
    scope = {"type": "http", "headers": headers, "extensions": ways}
    asked = recordable(scope)
    assert asked["headers"] == [(b"host", b"x"), (b"accept-encoding", b"identity")]
    assert asked["extensions"] == {"tls": {}}
    assert scope["headers"] is headers
    assert recordable({"type": "http", "headers": []})["extensions"] == {}
