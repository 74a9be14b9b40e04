"""Lifetimes: entered once, by whoever comes first, and left."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from veneer.lifetime import Lifetime, lifespan


class Resource:
    """Something that is opened and closed, and fails where a test wants it to."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.fail_to: set[str] = set()
        self.opening = asyncio.Event()
        self.opening.set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Be open inside."""
        self.log.append("open")
        await self.opening.wait()
        if "open" in self.fail_to:
            raise OSError("it does not open")
        try:
            yield
        finally:
            self.log.append("close")
            if "close" in self.fail_to:
                raise OSError("it does not close")


class Served:
    """A server's side of the lifespan protocol."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._outbox: asyncio.Queue[Message] = asyncio.Queue()
        self.task: asyncio.Task[None] | None = None

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        await self._app(scope, self._inbox.get, self._outbox.put)

    async def say(self, kind: str) -> Message:
        """Send `startup` or `shutdown`, and return the answer."""
        if self.task is None:
            self.task = asyncio.create_task(self._run())
        self._inbox.put_nowait({"type": f"lifespan.{kind}"})
        async with asyncio.timeout(5):
            return await self._outbox.get()

    async def end(self) -> list[Message]:
        """Wait for the app to return; return what it has said beyond its answers."""
        assert self.task is not None
        await asyncio.gather(self.task, return_exceptions=True)
        return [self._outbox.get_nowait() for _ in range(self._outbox.qsize())]


class Joined:
    """An app whose lifetime takes part in the lifespan that passes."""

    def __init__(self, resource: Resource, app: ASGIApp) -> None:
        self.lifetime = Lifetime(resource.open)
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Join the lifespan."""
        await self.lifetime.join(self._app, scope, receive, send)


def host(log: list[str]) -> Starlette:
    @asynccontextmanager
    async def opened(_app: Starlette) -> AsyncIterator[None]:
        log.append("app open")
        yield
        log.append("app close")

    return Starlette(lifespan=opened)


async def refusing(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise AssertionError("only http")


async def returning(_scope: Scope, _receive: Receive, _send: Send) -> None:
    return


async def choking(_scope: Scope, receive: Receive, _send: Send) -> None:
    await receive()
    raise AssertionError("only http")


async def leaving_early(_scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})


async def leaving_late(_scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    raise AssertionError("it forgets to answer")


async def test_all_who_start_at_once_start_one() -> None:
    resource = Resource()
    resource.opening.clear()
    lifetime = Lifetime(resource.open)
    starting = [asyncio.create_task(lifetime.start()) for _ in range(5)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not lifetime.started
    resource.opening.set()
    await asyncio.gather(*starting)

    assert lifetime.started
    await lifetime.stop()
    await lifetime.stop()
    assert resource.log == ["open", "close"]
    assert not lifetime.started


async def test_a_start_that_fails_can_be_tried_again() -> None:
    resource = Resource()
    resource.fail_to = {"open"}
    lifetime = Lifetime(resource.open)
    for _ in range(2):
        with pytest.raises(OSError, match="does not open"):
            await lifetime.start()
    resource.fail_to = set()
    await lifetime.start()
    assert lifetime.started

    await lifetime.stop()
    assert resource.log == ["open", "open", "open", "close"]


async def test_all_who_wait_for_a_start_hear_of_its_failure() -> None:
    resource = Resource()
    resource.opening.clear()
    resource.fail_to = {"open"}
    lifetime = Lifetime(resource.open)
    starting = [asyncio.create_task(lifetime.start()) for _ in range(3)]
    await asyncio.sleep(0)
    resource.opening.set()

    results = await asyncio.gather(*starting, return_exceptions=True)
    assert [type(result) for result in results] == [OSError] * 3


async def test_a_start_outlives_the_request_that_began_it() -> None:
    resource = Resource()
    resource.opening.clear()
    lifetime = Lifetime(resource.open)
    first = asyncio.create_task(lifetime.start())
    await asyncio.sleep(0)
    second = asyncio.create_task(lifetime.start())
    await asyncio.sleep(0)
    first.cancel()
    resource.opening.set()
    await second

    assert lifetime.started
    await lifetime.stop()
    assert resource.log == ["open", "close"]


async def test_stopping_what_never_started_is_nothing() -> None:
    await Lifetime(Resource().open).stop()


async def test_a_stop_that_fails_says_so_once() -> None:
    resource = Resource()
    resource.fail_to = {"close"}
    lifetime = Lifetime(resource.open)
    await lifetime.start()
    with pytest.raises(OSError, match="does not close"):
        await lifetime.stop()
    await lifetime.stop()


async def test_what_was_stopped_can_start_again() -> None:
    resource = Resource()
    lifetime = Lifetime(resource.open)
    for _ in range(2):
        await lifetime.start()
        await lifetime.stop()

    assert resource.log == ["open", "close", "open", "close"]


async def test_a_layer_is_open_around_the_app_below() -> None:
    resource = Resource()
    served = Served(Joined(resource, host(resource.log)))

    assert (await served.say("startup"))["type"] == "lifespan.startup.complete"
    assert resource.log == ["open", "app open"]
    assert (await served.say("shutdown"))["type"] == "lifespan.shutdown.complete"
    assert resource.log == ["open", "app open", "app close", "close"]
    assert await served.end() == []


@pytest.mark.parametrize("app", [refusing, returning, choking, leaving_early, leaving_late])
async def test_above_an_app_without_a_lifespan_a_layer_has_one_all_the_same(app: ASGIApp) -> None:
    resource = Resource()
    served = Served(Joined(resource, app))

    assert (await served.say("startup"))["type"] == "lifespan.startup.complete"
    assert resource.log == ["open"]
    assert (await served.say("shutdown"))["type"] == "lifespan.shutdown.complete"
    assert resource.log == ["open", "close"]
    assert await served.end() == []


@pytest.mark.parametrize("app", [refusing, returning])
async def test_layers_above_one_another_and_no_lifespan_below(app: ASGIApp) -> None:
    outer, inner = Resource(), Resource()
    served = Served(Joined(outer, Joined(inner, app)))

    assert (await served.say("startup"))["type"] == "lifespan.startup.complete"
    assert outer.log == inner.log == ["open"]
    assert (await served.say("shutdown"))["type"] == "lifespan.shutdown.complete"
    assert outer.log == inner.log == ["open", "close"]


@pytest.mark.parametrize("app", [Starlette(), refusing, choking])
async def test_a_layer_that_does_not_start_keeps_the_server_from_starting(app: ASGIApp) -> None:
    resource = Resource()
    resource.fail_to = {"open"}
    served = Served(Joined(resource, app))

    answer = await served.say("startup")
    assert answer == {"type": "lifespan.startup.failed", "message": "it does not open"}
    assert await served.end() == [], "one answer is enough"


async def test_an_app_cannot_answer_for_a_layer_that_does_not_start() -> None:
    async def stubborn(_scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await receive()
        except OSError:
            await send({"type": "lifespan.startup.complete"})

    resource = Resource()
    resource.fail_to = {"open"}
    served = Served(Joined(resource, stubborn))

    assert (await served.say("startup"))["type"] == "lifespan.startup.failed"
    assert await served.end() == []


async def test_of_two_failures_the_first_is_told() -> None:
    @asynccontextmanager
    async def failing(_app: Starlette) -> AsyncIterator[None]:
        raise OSError("no disk")
        yield

    resource = Resource()
    resource.fail_to = {"close"}
    served = Served(Joined(resource, Starlette(lifespan=failing)))
    answer = await served.say("startup")

    assert answer["type"] == "lifespan.startup.failed"
    assert "no disk" in answer["message"]
    await served.end()


def test_a_start_that_its_loop_does_not_wait_for_is_given_up() -> None:
    resource = Resource()
    resource.opening.clear()
    lifetime = Lifetime(resource.open)

    async def begin() -> None:
        starting = asyncio.create_task(lifetime.start())
        await asyncio.sleep(0.01)
        starting.cancel()

    asyncio.run(begin())
    assert not lifetime.started
    resource.opening = asyncio.Event()
    resource.opening.set()
    asyncio.run(lifetime.start())


async def test_a_layer_is_stopped_where_the_app_below_does_not_start() -> None:
    @asynccontextmanager
    async def failing(_app: Starlette) -> AsyncIterator[None]:
        raise OSError("no disk")
        yield

    resource = Resource()
    served = Served(Joined(resource, Starlette(lifespan=failing)))

    assert (await served.say("startup"))["type"] == "lifespan.startup.failed"
    await served.end()
    assert resource.log == ["open", "close"]


async def test_a_layer_is_stopped_where_the_app_below_does_not_stop() -> None:
    @asynccontextmanager
    async def failing(_app: Starlette) -> AsyncIterator[None]:
        yield
        raise OSError("disk full")

    resource = Resource()
    served = Served(Joined(resource, Starlette(lifespan=failing)))

    await served.say("startup")
    assert (await served.say("shutdown"))["type"] == "lifespan.shutdown.failed"
    await served.end()
    assert resource.log == ["open", "close"]


async def test_a_layer_that_does_not_stop_says_so_to_the_server() -> None:
    resource = Resource()
    resource.fail_to = {"close"}
    served = Served(Joined(resource, Starlette()))

    await served.say("startup")
    assert (await served.say("shutdown"))["type"] == "lifespan.shutdown.failed"
    await served.end()


async def test_a_layer_is_stopped_where_its_server_is_cancelled() -> None:
    resource = Resource()
    served = Served(Joined(resource, Starlette()))
    await served.say("startup")
    assert served.task is not None
    served.task.cancel()
    await served.end()

    assert resource.log == ["open", "close"]


async def test_an_app_runs_inside_its_lifespan() -> None:
    log: list[str] = []
    before = asyncio.all_tasks()
    async with lifespan(host(log)):
        assert log == ["app open"]

    assert log == ["app open", "app close"]
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("app", [refusing, returning, choking, leaving_early, leaving_late])
async def test_an_app_without_a_lifespan_is_none_the_worse_for_it(app: ASGIApp) -> None:
    before = asyncio.all_tasks()
    async with lifespan(app):
        pass
    assert asyncio.all_tasks() == before


async def test_a_failed_start_is_raised() -> None:
    @asynccontextmanager
    async def failing(_app: Starlette) -> AsyncIterator[None]:
        raise OSError("no disk")
        yield

    with pytest.raises(RuntimeError, match="no disk"):
        async with lifespan(Starlette(lifespan=failing)):
            pytest.fail("it did not start")


async def test_a_failed_stop_is_raised() -> None:
    @asynccontextmanager
    async def failing(_app: Starlette) -> AsyncIterator[None]:
        yield
        raise OSError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        async with lifespan(Starlette(lifespan=failing)):
            pass


async def test_an_exception_inside_passes_and_the_app_is_ended() -> None:
    before = asyncio.all_tasks()
    with pytest.raises(LookupError):
        async with lifespan(host([])):
            raise LookupError
    assert asyncio.all_tasks() == before
