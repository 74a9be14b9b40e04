"""The client's side of a call: its body, its patience, its leaving."""

import asyncio
import contextlib
import math
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Scope

from tests.asgi import http_scope, read_body
from veneer import lookout
from veneer.client import (
    BodyTimeoutError,
    BodyTooLargeError,
    Client,
    ClientDisconnectedError,
    client_of,
)


class Server:
    """A server's `receive()`: the parts it has, each when the test says so, then the disconnect."""

    def __init__(self, parts: Iterable[bytes] = (), *, whole: bool = True) -> None:
        self.queue: asyncio.Queue[Message] = asyncio.Queue()
        self.readers = 0
        self.reads = 0
        chunks = list(parts)
        for index, chunk in enumerate(chunks):
            self.part(chunk, more=not whole or index < len(chunks) - 1)

    def part(self, body: bytes, *, more: bool) -> None:
        """Have another part of the body ready."""
        self.queue.put_nowait({"type": "http.request", "body": body, "more_body": more})

    def leave(self) -> None:
        """Have the disconnect ready."""
        self.queue.put_nowait({"type": "http.disconnect"})

    async def receive(self) -> Message:
        """Deliver what is ready, to one reader at a time."""
        assert self.readers == 0, "receive() has one reader"
        self.readers += 1
        try:
            message = await self.queue.get()
        finally:
            self.readers -= 1
        self.reads += 1
        return message


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the watcher start at once, so that tests need not wait for it."""
    monkeypatch.setattr(lookout, "WATCH_AFTER", 0.0)


async def turn(times: int = 10) -> None:
    """Let everything run that is ready, and what that makes ready."""
    for _ in range(times):
        await asyncio.sleep(0)


async def until_cancelled() -> None:
    await asyncio.Event().wait()


async def test_a_body_is_read_once_and_given_again() -> None:
    server = Server([b"hello"])
    client = Client(server.receive)

    assert await client.body(5) == b"hello"
    assert await client.body(5) == b"hello"
    assert client.kept == b"hello"
    assert await read_body(client.receive) == b"hello"
    assert server.reads == 1


@given(parts=st.lists(st.binary(max_size=5), min_size=1, max_size=6), limit=st.integers(0, 20))
def test_any_chunking_gives_the_same_body_and_the_same_refusal(
    parts: list[bytes], limit: int
) -> None:
    async def run() -> None:
        whole = b"".join(parts)
        client = Client(Server(parts).receive)
        if len(whole) <= limit:
            assert await client.body(limit) == whole
        else:
            with pytest.raises(BodyTooLargeError):
                await client.body(limit)
        assert await read_body(client.receive) == whole
        client.close()

    asyncio.run(run())


async def test_a_body_too_large_for_one_layer_is_whole_for_the_next() -> None:
    client = Client(Server([b"ab", b"cd", b"ef"]).receive)
    with pytest.raises(BodyTooLargeError):
        await client.body(3)
    with pytest.raises(BodyTooLargeError):
        await client.body(3)

    assert await client.body(6) == b"abcdef"
    with pytest.raises(BodyTooLargeError):
        await client.body(5)


async def test_reading_stops_soon_after_the_limit() -> None:
    server = Server([b"x" * 10] * 100)
    with pytest.raises(BodyTooLargeError):
        await Client(server.receive).body(15)

    assert server.reads == 2


async def test_a_body_that_somebody_took_a_part_of_cannot_be_had_whole() -> None:
    client = Client(Server([b"ab", b"cd"]).receive)
    assert (await client.receive())["body"] == b"ab"

    with pytest.raises(RuntimeError, match="read by somebody else"):
        await client.body(10)
    assert (await client.receive())["body"] == b"cd"


async def test_messages_without_members_have_their_defaults() -> None:
    server = Server()
    server.queue.put_nowait({"type": "http.request"})

    assert await Client(server.receive).body(0) == b""


async def test_a_client_that_leaves_while_its_body_is_read_is_gone() -> None:
    server = Server([b"ab"], whole=False)
    server.leave()
    client = Client(server.receive)

    for _ in range(2):
        with pytest.raises(ClientDisconnectedError):
            await client.body(10)
    assert client.disconnected
    assert await client.receive() == {"type": "http.request", "body": b"ab", "more_body": True}
    assert await client.receive() == {"type": "http.disconnect"}


async def test_leaving_while_the_body_is_read_cancels_nothing_afterwards() -> None:
    """The reader sees the disconnect itself; a second sign must not strike later."""
    server = Server([b"ab"], whole=False)
    server.leave()
    client = Client(server.receive)
    with pytest.raises(ClientDisconnectedError), client.while_connected():
        await client.body(10)
    await turn()

    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_body_that_stalls_times_out() -> None:
    client = Client(Server([b"ab"], whole=False).receive, idle_timeout=0.03)
    with pytest.raises(BodyTimeoutError):
        await client.body(10)
    with pytest.raises(BodyTimeoutError):
        await client.body(10)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    client.close()


async def test_a_part_that_stalls_times_out_for_whoever_reads_it() -> None:
    client = Client(Server([b"ab"], whole=False).receive, idle_timeout=0.03)
    await client.receive()
    with pytest.raises(BodyTimeoutError):
        await client.receive()
    client.close()


async def test_a_slow_body_that_moves_does_not_time_out() -> None:
    server = Server()
    client = Client(server.receive, idle_timeout=0.5)

    async def dribble() -> None:
        for index in range(6):
            await asyncio.sleep(0.11)
            server.part(b"x", more=index < 5)

    dribbling = asyncio.create_task(dribble())
    assert await client.body(10) == b"x" * 6
    await dribbling
    client.close()


async def test_a_cancellation_while_reading_passes_as_it_is() -> None:
    client = Client(Server().receive)
    task = asyncio.create_task(client.body(10))
    await turn()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    client.close()


async def test_nobody_watches_a_short_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookout, "WATCH_AFTER", 60)
    before = asyncio.all_tasks()
    server = Server([b""])
    client = Client(server.receive)
    await client.body(0)
    client.on_disconnect(lambda: None)
    await turn()
    assert asyncio.all_tasks() == before
    assert server.reads == 1

    client.close()


async def test_the_watcher_starts_after_its_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookout, "WATCH_AFTER", 0.1)
    server = Server([b""])
    client = Client(server.receive)
    left = asyncio.Event()
    await client.body(0)
    client.on_disconnect(left.set)
    server.leave()
    await turn()
    assert not left.is_set()

    async with asyncio.timeout(1):
        await left.wait()
    assert client.disconnected


async def test_a_client_is_watched_soon_after_a_slow_body() -> None:
    """The timer that minds the body must not put off the watcher."""
    server = Server([b"a"], whole=False)
    client = Client(server.receive, idle_timeout=30)
    left = asyncio.Event()
    client.on_disconnect(left.set)
    reading = asyncio.create_task(client.body(10))
    await asyncio.sleep(0.06)
    server.part(b"b", more=False)
    await reading
    server.leave()

    async with asyncio.timeout(1):
        await left.wait()
    client.close()


async def test_a_listener_that_comes_after_a_slow_body_is_told_soon() -> None:
    server = Server([b"a"], whole=False)
    client = Client(server.receive, idle_timeout=30)
    reading = asyncio.create_task(client.body(10))
    await asyncio.sleep(0.06)
    server.part(b"b", more=False)
    await reading
    left = asyncio.Event()
    client.on_disconnect(left.set)
    server.leave()

    async with asyncio.timeout(1):
        await left.wait()
    client.close()


@pytest.mark.usefixtures("soon")
async def test_every_listener_is_told_once() -> None:
    server = Server([b""])
    client = Client(server.receive)
    told: list[str] = []
    await client.body(0)
    client.on_disconnect(lambda: told.append("a"))
    client.on_disconnect(lambda: told.append("b"))
    server.leave()
    await turn()
    client.on_disconnect(lambda: told.append("late"))
    await turn()

    assert told == ["a", "b", "late"]
    client.close()


@pytest.mark.usefixtures("soon")
async def test_a_listener_that_was_taken_back_is_not_told() -> None:
    server = Server([b""])
    client = Client(server.receive)
    told: list[str] = []

    def listener() -> None:
        told.append("a")

    await client.body(0)
    client.on_disconnect(listener)
    client.forget(listener)
    client.forget(listener)
    client.on_disconnect(lambda: told.append("b"))
    server.leave()
    await turn()

    assert told == ["b"]
    client.close()


@pytest.mark.usefixtures("soon")
async def test_a_call_is_cancelled_when_its_client_leaves() -> None:
    server = Server([b""])
    client = Client(server.receive)
    await client.body(0)
    server.leave()

    with pytest.raises(ClientDisconnectedError), client.while_connected():
        await until_cancelled()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    client.close()


@pytest.mark.usefixtures("soon")
async def test_nested_calls_are_all_cancelled() -> None:
    server = Server([b""])
    client = Client(server.receive)
    await client.body(0)
    server.leave()

    async def call() -> None:
        with client.while_connected(), client.while_connected():
            await until_cancelled()

    with pytest.raises(ClientDisconnectedError):
        await call()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    client.close()


async def test_a_call_that_ends_in_time_is_left_alone() -> None:
    server = Server([b""])
    client = Client(server.receive)
    await client.body(0)
    with client.while_connected():
        await turn()
    server.leave()
    await turn()

    client.close()


async def test_an_exception_of_the_call_passes_as_it_is() -> None:
    client = Client(Server([b""]).receive)
    with pytest.raises(LookupError), client.while_connected():
        raise LookupError
    client.close()


@pytest.mark.usefixtures("soon")
async def test_a_cancellation_from_elsewhere_passes_as_it_is() -> None:
    client = Client(Server([b""]).receive)
    await client.body(0)

    async def call() -> None:
        with client.while_connected():
            await until_cancelled()

    task = asyncio.create_task(call())
    await turn()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
    client.close()


@pytest.mark.usefixtures("soon")
async def test_of_two_cancellations_the_one_from_elsewhere_wins() -> None:
    cancelled: list[bool] = []
    server = Server([b""])
    client = Client(server.receive)
    await client.body(0)

    async def call() -> None:
        with client.while_connected():
            client.on_disconnect(lambda: cancelled.append(task.cancel()))
            await until_cancelled()

    task = asyncio.create_task(call())
    await turn()
    server.leave()
    with pytest.raises(asyncio.CancelledError):
        await task
    client.close()


@pytest.mark.usefixtures("soon")
async def test_cleaning_up_after_a_cancellation_can_still_see_the_client_leave() -> None:
    """A task that was cancelled before it entered is not cancelled again by leaving."""
    server = Server([b""])
    client = Client(server.receive)
    await client.body(0)
    seen: list[type[BaseException]] = []

    async def call() -> None:
        try:
            await until_cancelled()
        finally:
            try:
                with client.while_connected():
                    server.leave()
                    await until_cancelled()
            except ClientDisconnectedError as error:
                seen.append(type(error))

    task = asyncio.create_task(call())
    await turn()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == [ClientDisconnectedError]
    client.close()


@pytest.mark.usefixtures("soon")
async def test_entering_after_the_client_has_left_cancels_at_the_next_await() -> None:
    server = Server([b""])
    server.leave()
    client = Client(server.receive)
    await client.body(0)
    assert await client.receive() == {"type": "http.request", "body": b"", "more_body": False}
    assert await client.receive() == {"type": "http.disconnect"}

    with pytest.raises(ClientDisconnectedError), client.while_connected():
        await until_cancelled()


@pytest.mark.usefixtures("soon")
async def test_a_kept_call_goes_on_for_its_time() -> None:
    server = Server([b""])
    client = Client(server.receive)
    await client.body(0)
    client.keep(0.05)
    client.keep(0.01)
    server.leave()

    loop = asyncio.get_running_loop()
    started = loop.time()
    with pytest.raises(ClientDisconnectedError), client.while_connected():
        await until_cancelled()
    assert loop.time() - started >= 0.04
    assert client.disconnected
    client.close()


@pytest.mark.usefixtures("soon")
async def test_a_call_that_is_kept_for_ever_is_never_cancelled() -> None:
    server = Server([b""])
    client = Client(server.receive)
    await client.body(0)
    client.keep()
    server.leave()
    with client.while_connected():
        await turn()
        assert client.disconnected
    with client.while_connected():
        await turn()
    client.close()


@pytest.mark.usefixtures("soon")
async def test_a_wish_to_keep_that_comes_after_the_leaving_counts() -> None:
    server = Server([b""])
    client = Client(server.receive)
    told: list[str] = []
    await client.body(0)
    client.keep(0.1)
    client.on_disconnect(lambda: told.append("left"))
    server.leave()
    await turn()
    client.keep(math.inf)
    await asyncio.sleep(0.15)

    assert told == []
    client.close()


async def test_closing_leaves_no_task_and_no_timer() -> None:
    before = asyncio.all_tasks()
    server = Server([b""])
    client = Client(server.receive)
    await client.body(0)
    with client.while_connected():
        await asyncio.sleep(0.04)
        assert len(asyncio.all_tasks() - before) == 1
    client.on_disconnect(lambda: pytest.fail("the call was over"))
    client.close()
    await turn()
    assert asyncio.all_tasks() == before

    client.on_disconnect(lambda: pytest.fail("the call was over"))
    await asyncio.sleep(0.04)
    assert asyncio.all_tasks() == before
    assert await read_body(client.receive) == b""
    assert await client.receive() == {"type": "http.disconnect"}


async def test_closing_wakes_whoever_waits_for_the_disconnect() -> None:
    client = Client(Server([b""]).receive)
    await client.body(0)
    await client.receive()
    waiting = asyncio.create_task(client.receive())
    await turn()
    client.close()

    assert await waiting == {"type": "http.disconnect"}
    assert not client.disconnected


async def test_several_may_wait_for_the_disconnect() -> None:
    server = Server([b""])
    client = Client(server.receive)
    await client.body(0)
    await client.receive()
    waiting = [asyncio.create_task(client.receive()) for _ in range(3)]
    await turn()
    server.leave()

    assert await asyncio.gather(*waiting) == [{"type": "http.disconnect"}] * 3
    client.close()


def scope_with(*headers: tuple[bytes, bytes]) -> Scope:
    return http_scope(headers=headers)


async def test_another_body_comes_with_its_own_length() -> None:
    client = Client(Server([b"long body"]).receive)
    await client.body(100)
    scope = scope_with((b"content-length", b"9"), (b"host", b"a"), (b"transfer-encoding", b"x"))
    below = client.replace_body(scope, b"short")

    assert below["headers"] == [(b"host", b"a"), (b"content-length", b"5")]
    assert (b"content-length", b"9") in scope["headers"]
    assert await read_body(client.receive) == b"short"
    assert await client.body(5) == b"short"


async def test_another_body_is_delivered_after_the_first_was() -> None:
    client = Client(Server([b"one"]).receive)
    assert await read_body(client.receive) == b"one"
    client.replace_body(scope_with(), b"two")

    assert await read_body(client.receive) == b"two"


async def test_what_was_not_read_of_a_replaced_body_does_not_follow_it() -> None:
    server = Server([b"old", b"old"])
    client = Client(server.receive)
    client.replace_body(scope_with(), b"new")
    assert await read_body(client.receive) == b"new"
    server.leave()

    assert await client.receive() == {"type": "http.disconnect"}
    client.close()


@pytest.mark.usefixtures("soon")
async def test_the_client_is_watched_once_its_body_is_replaced() -> None:
    server = Server([b"old"])
    client = Client(server.receive)
    left = asyncio.Event()
    client.on_disconnect(left.set)
    await turn()
    client.replace_body(scope_with(), b"new")
    server.leave()

    async with asyncio.timeout(5):
        await left.wait()
    client.close()


async def test_a_listener_may_come_in_the_middle_of_a_slow_body() -> None:
    server = Server([b"a"], whole=False)
    client = Client(server.receive, idle_timeout=30)
    reading = asyncio.create_task(client.body(10))
    await asyncio.sleep(0.06)
    left = asyncio.Event()
    client.on_disconnect(left.set)
    server.part(b"b", more=False)
    await reading
    server.leave()

    async with asyncio.timeout(5):
        await left.wait()
    client.close()


async def test_a_listener_does_not_put_off_the_end_of_patience(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lookout, "WATCH_AFTER", 0.1)
    client = Client(Server([b"a"], whole=False).receive, idle_timeout=0.3)
    reading = asyncio.create_task(client.body(10))
    await asyncio.sleep(0.22)
    client.on_disconnect(lambda: None)

    with pytest.raises(BodyTimeoutError):
        await reading
    client.close()


async def test_the_first_to_ask_makes_the_client() -> None:
    scope = scope_with()
    server = Server([b"x"])
    client = client_of(scope, server.receive)

    assert client_of({**scope}, server.receive) is client


class Looked:
    """What looks at the parts of a body: notes them, and raises at one that it is told of."""

    def __init__(self, bad: bytes | None = None) -> None:
        self.seen: list[bytes] = []
        self.bad = bad

    def __call__(self, part: bytes) -> None:
        """Look at a part."""
        self.seen.append(part)
        if part == self.bad:
            raise ValueError(part)

    def has(self, text: bytes) -> bool:
        """Whether this has come."""
        return text in b"".join(self.seen)


async def test_a_body_is_looked_at_as_far_as_it_takes_and_then_as_it_comes() -> None:
    server = Server([b"ab", b"cd", b"ef"])
    client = Client(server.receive)
    look = Looked()
    await client.inspect(look, until=lambda: look.has(b"c"), limit=10)
    assert (server.reads, client.start) == (2, b"abcd")
    assert await read_body(client.receive) == b"abcdef"
    assert b"".join(look.seen) == b"abcdef"


@given(
    parts=st.lists(st.binary(max_size=5), min_size=1, max_size=6),
    limit=st.integers(0, 20),
    until=st.integers(0, 30),
    before=st.integers(0, 20),
)
def test_what_looks_at_a_body_sees_all_of_it_once_whoever_reads_it(
    parts: list[bytes], limit: int, until: int, before: int
) -> None:
    async def run() -> None:
        whole = b"".join(parts)
        client = Client(Server(parts).receive)
        with contextlib.suppress(BodyTooLargeError):
            await client.body(before)
        look = Looked()
        with contextlib.suppress(BodyTooLargeError):
            await client.inspect(look, until=lambda: len(b"".join(look.seen)) >= until, limit=limit)
        assert len(client.start) <= max(limit, before) + 5
        with contextlib.suppress(BodyTooLargeError):
            await client.body(before)
        assert await read_body(client.receive) == whole
        assert b"".join(look.seen) == whole
        client.close()

    asyncio.run(run())


async def test_what_looks_at_a_body_may_refuse_it_to_whoever_reads_on() -> None:
    client = Client(Server([b"ab", b"cd", b"ef"]).receive)
    await client.inspect(Looked(b"cd"), until=lambda: True, limit=10)
    assert (await client.receive())["body"] == b"ab"
    with pytest.raises(ValueError, match="cd"):
        await client.receive()


async def test_a_body_that_is_too_large_before_it_takes_is_not_read_on() -> None:
    server = Server([b"x" * 10] * 100)
    with pytest.raises(BodyTooLargeError):
        await Client(server.receive).inspect(Looked(), until=lambda: False, limit=15)
    assert server.reads == 2


async def test_a_body_that_somebody_took_a_part_of_is_not_looked_at() -> None:
    client = Client(Server([b"ab", b"cd"]).receive)
    await client.receive()
    with pytest.raises(RuntimeError, match="read by somebody else"):
        await client.inspect(Looked(), until=lambda: False, limit=15)


@pytest.mark.parametrize("whole", [True, False])
async def test_another_start_is_followed_by_what_is_to_come(*, whole: bool) -> None:
    client = Client(Server([b"ab", b"cd", b"ef"]).receive)
    look = Looked()
    await client.inspect(look, until=lambda: look.has(b"c"), limit=10)
    if whole:
        await client.body(10)
    scope = scope_with((b"content-length", b"6"), (b"host", b"a"))
    below = client.replace_start(scope, client.start.replace(b"b", b"long"))
    assert below["headers"] == [(b"content-length", b"9"), (b"host", b"a")]
    assert await read_body(client.receive) == b"alongcdef"


@pytest.mark.parametrize("length", [b"x", b"9" * 20])
async def test_what_is_no_length_stays_with_another_start(length: bytes) -> None:
    client = Client(Server([b"ab"]).receive)
    await client.inspect(Looked(), until=lambda: False, limit=10)
    scope = scope_with((b"content-length", length))
    assert client.replace_start(scope, b"a")["headers"] == [(b"content-length", length)]


@pytest.mark.parametrize("read", [True, False])
async def test_a_body_that_was_dropped_is_not_delivered_again(*, read: bool) -> None:
    server = Server([b"ab"])
    client = Client(server.receive)
    await client.body(10)
    if read:
        assert await read_body(client.receive) == b"ab"
    client.drop_body()
    assert client.kept == b""
    client.close()
    assert await client.receive() == {"type": "http.disconnect"}


async def test_a_body_that_is_not_kept_cannot_be_dropped() -> None:
    client = Client(Server([b"ab"]).receive)
    client.drop_body()
    assert await read_body(client.receive) == b"ab"


async def test_a_call_that_is_hung_up_ends_though_its_client_is_there() -> None:
    server = Server([b"body"])
    client = Client(server.receive)
    client.keep()
    assert await client.body(10) == b"body"
    asyncio.get_running_loop().call_soon(client.hang_up)
    with pytest.raises(ClientDisconnectedError), client.while_connected():
        await until_cancelled()
    assert client.disconnected
    client.close()
