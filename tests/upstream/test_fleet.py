"""The fleet as an app, with replicas on loopback that come, go, die and are full."""

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from tests.asgi import Exchange, http_scope, json_request, running
from tests.clock import Clock
from tests.limiters import virtual
from tests.upstream.servers import Peer, Server, eventually, serving
from tests.upstream.targets import Scripted, answers, hangs
from veneer import facts
from veneer.client import client_of
from veneer.facts import Route, Unreached
from veneer.layer import Layer
from veneer.layers.compat import CompatMiddleware
from veneer.layers.relay import RelayMiddleware
from veneer.lifetime import lifespan
from veneer.routing.affinity import Affinity
from veneer.routing.preferences import Preferences
from veneer.routing.target import Target
from veneer.upstream._discovery import Discovery
from veneer.upstream._dns import Place, by_name
from veneer.upstream._replicas import FEW
from veneer.upstream.fleet import Fleet
from veneer.upstream.h1 import H1Transport
from veneer.upstream.proxy import Upstream
from veneer.upstream.router import Router
from veneer.upstream.transport import Timeouts

USAGE = {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}
BODY = {"model": "m", "messages": [{"role": "user", "content": "Hello!"}]}


def long(text: str) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text * 6000}]}


def answer(document: object, status: bytes = b"200 OK") -> bytes:
    body = json.dumps(document).encode()
    lines = [b"HTTP/1.1 " + status, b"content-type: application/json"]
    return b"\r\n".join([*lines, b"content-length: %d" % len(body), b"", body])


class Replica:
    """A model server that counts its calls, and holds them while its gate is closed."""

    def __init__(self, *, cached: int | None = None, status: bytes = b"200 OK") -> None:
        usage: dict[str, Any] = dict(USAGE)
        if cached is not None:
            usage["prompt_tokens_details"] = {"cached_tokens": cached}
        self.answer = answer({"object": "chat.completion", "usage": usage}, status)
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.now = 0
        self.most = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, peer: Peer) -> None:
        """Serve a connection."""
        while True:
            head, body = await peer.request()
            self.heads.append(head)
            self.bodies.append(body)
            self.now += 1
            self.most = max(self.most, self.now)
            try:
                await self.gate.wait()
            finally:
                self.now -= 1
            await peer.send(self.answer)

    @property
    def calls(self) -> int:
        """How many it got."""
        return len(self.heads)


class Servers:
    """Replicas that are served, each on a port of its own."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self.servers: list[Server] = []

    async def add(self, replica: Replica) -> str:
        """Serve one more; return its base URL."""
        server = await self._stack.enter_async_context(serving(replica))
        self.servers.append(server)
        return f"{server.url}/v1"


@asynccontextmanager
async def served(*replicas: Replica) -> AsyncIterator[tuple[Servers, list[str]]]:
    """Serve replicas; afterwards see that no task is left."""
    before = asyncio.all_tasks()
    async with AsyncExitStack() as stack:
        servers = Servers(stack)
        yield servers, [await servers.add(replica) for replica in replicas]
    await eventually(lambda: not asyncio.all_tasks() - before)


@asynccontextmanager
async def fleet_of(*replicas: Replica, **options: Any) -> AsyncIterator[Fleet]:
    """Give a fleet of these replicas; afterwards see that nothing was left open."""
    async with served(*replicas) as (_, urls):
        fleet = Fleet(urls, name="local", **options)
        yield fleet
        await eventually(lambda: fleet.outstanding == 0)
        await eventually(lambda: all(_open(part.app) == 0 for part in fleet._replicas))
        await fleet.aclose()


def _open(app: Any) -> int:
    transport = app._transport
    assert isinstance(transport, H1Transport)
    return transport.open - transport.idle


def dead_url() -> str:
    """Return the URL of a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/v1"


class Outermost(Layer):
    """Opens the facts and owns the client, as a stack does; keeps the facts."""

    def __init__(self, app: Any) -> None:
        super().__init__(app)
        self.facts: list[dict[type, Any]] = []

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        self.facts.append(scope[facts.SCOPE_KEY])
        await self.app(scope, receive, send)


async def ask(app: Any, body: Any = BODY) -> Exchange:
    return await json_request(body).run(app)


async def asked(app: Any, times: int, body: Any = BODY) -> list[int]:
    return [(await ask(app, body)).status for _ in range(times)]


@pytest.mark.parametrize("layered", [False, True])
async def test_calls_take_turns_where_all_are_equal(*, layered: bool) -> None:
    replicas = [Replica(), Replica(), Replica()]
    async with fleet_of(*replicas) as fleet:
        app = Outermost(fleet) if layered else fleet
        assert await asked(app, 6) == [200] * 6
        assert [replica.calls for replica in replicas] == [2, 2, 2]
        assert json.loads(replicas[0].bodies[0]) == BODY


async def test_the_least_busy_replica_is_asked() -> None:
    busy, idle = Replica(), Replica()
    busy.gate.clear()
    async with fleet_of(busy, idle) as fleet, AsyncExitStack() as stack:
        await stack.enter_async_context(running(fleet, json_request(BODY)))
        await eventually(lambda: busy.calls == 1)
        assert await asked(fleet, 5) == [200] * 5
        assert (busy.calls, idle.calls) == (1, 5)
        assert fleet.outstanding == 1
        busy.gate.set()


async def test_the_route_names_the_fleet() -> None:
    async with fleet_of(Replica()) as fleet:
        outermost = Outermost(fleet)
        await ask(outermost)
        route = outermost.facts[0][Route]
        assert (route.target, route.status) == ("local", 200)
        assert Unreached not in outermost.facts[0]


@pytest.mark.parametrize("layered", [False, True])
async def test_a_dead_replica_is_passed_over_and_nobody_notices(
    caplog: pytest.LogCaptureFixture, *, layered: bool
) -> None:
    alive = Replica()
    dead = dead_url()
    async with served(alive) as (_, urls):
        fleet = Fleet([dead, *urls], name="local")
        app = Outermost(fleet) if layered else fleet
        assert await asked(app, 6) == [200] * 6
        assert alive.calls == 6
        if isinstance(app, Outermost):
            assert Unreached not in app.facts[0]
            assert app.facts[0][Route].target == "local"
        await fleet.aclose()
    told = [record.getMessage() for record in caplog.records]
    assert sum("is away" in line for line in told) == 1
    assert all("/v1" not in line for line in told)
    assert any(dead.removeprefix("http://").removesuffix("/v1") in line for line in told)


async def test_a_replica_that_is_back_is_asked_again() -> None:
    clock = Clock()
    alive, reborn = Replica(), Replica()
    dead = dead_url()
    async with served(alive) as (_, urls):
        fleet = Fleet([dead, *urls], clock=clock)
        assert await asked(fleet, 4) == [200] * 4
        port = int(dead.split(":")[2].removesuffix("/v1"))

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(asyncio.IncompleteReadError):
                await reborn(Peer(reader, writer))
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", port)
        assert await asked(fleet, 4) == [200] * 4
        assert reborn.calls == 0, "it rests"
        clock.now += 10
        # Its first call tries it.
        assert await asked(fleet, 4) == [200] * 4
        assert reborn.calls >= 1
        await fleet.aclose()
        server.close()
        await server.wait_closed()


async def test_a_replica_is_back_as_soon_as_it_answers() -> None:
    """Others are let in while the answer of the call that tried it still streams."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: {}\n\n"
    clock = Clock()
    cut = True

    async def script(peer: Peer) -> None:
        await peer.request()
        if not cut:
            await peer.send(head)
            await peer.rest()

    async with serving(script) as server:
        fleet = Fleet([server.url], clock=clock)
        assert (await ask(fleet)).status == 502
        cut = False
        clock.now += 10
        async with AsyncExitStack() as stack:
            for _ in range(2):
                exchange = json_request(BODY)
                await stack.enter_async_context(running(fleet, exchange))
                await exchange.until(b"data")
        await fleet.aclose()


async def test_where_all_are_dead_the_call_is_refused_and_was_nowhere() -> None:
    outermost = Outermost(Fleet([dead_url(), dead_url()], name="local"))
    first = await ask(outermost)
    assert first.status == 502
    assert Unreached in outermost.facts[0]
    # Now they rest: it is said at once.
    second = await ask(outermost)
    assert (second.status, second.json()) == (502, first.json())
    assert Unreached in outermost.facts[1]


async def test_a_call_is_tried_at_three_replicas_at_most() -> None:
    tried = []

    def make(url: str) -> Upstream:
        upstream = Upstream(url)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            tried.append(url)
            await upstream(scope, receive, send)

        return app  # type: ignore[return-value]  # an app like any other

    urls = [dead_url() for _ in range(5)]
    assert (await ask(Fleet(urls, make=make))).status == 502
    assert tried == urls[:3]


@pytest.mark.parametrize("status", [b"500 Oops", b"503 Busy", b"429 Slow down"])
async def test_what_a_replica_has_got_is_sent_to_no_other(status: bytes) -> None:
    first, second = Replica(status=status), Replica()
    async with fleet_of(first, second) as fleet:
        assert (await ask(fleet)).status == int(status[:3])
        assert (first.calls, second.calls) == (1, 0)
        assert (await ask(fleet)).status == 200
        assert (await ask(fleet)).status == int(status[:3]), "it answers: it is not away"


async def test_a_replica_that_gives_no_answer_rests_and_its_call_is_not_repeated() -> None:
    async def cut(peer: Peer) -> None:
        await peer.request()

    alive = Replica()
    async with served(alive) as (_, urls), serving(cut) as broken:
        fleet = Fleet([f"{broken.url}/v1", *urls])
        assert (await ask(fleet)).status == 502
        assert alive.calls == 0
        assert await asked(fleet, 3) == [200] * 3
        await fleet.aclose()


async def test_a_request_that_is_refused_says_nothing_about_replicas() -> None:
    async with fleet_of(Replica(), Replica()) as fleet:
        for _ in range(4):
            assert (await json_request({}, "/v1/nothing").run(fleet)).status == 404
        assert not any(replica.breaker.away for replica in fleet._replicas)


@pytest.mark.parametrize("layered", [False, True])
async def test_a_body_that_comes_in_parts_reaches_the_replica_that_lives(*, layered: bool) -> None:
    alive = Replica()
    async with served(alive) as (_, urls):
        fleet = Fleet([dead_url(), *urls])
        headers = [(b"content-type", b"application/json"), (b"transfer-encoding", b"chunked")]
        parts = [b'{"model":', b'"m",', b'"messages":[]}']
        exchange = Exchange(http_scope(headers=headers), parts)
        await exchange.run(Outermost(fleet) if layered else fleet)
        assert exchange.status == 200
        assert b'"messages"' in alive.bodies[0]
        await fleet.aclose()


@pytest.mark.parametrize("gone", [False, True])
async def test_calls_are_never_more_than_a_replica_may_have(*, gone: bool) -> None:
    replicas = [Replica(), Replica()]
    for replica in replicas:
        replica.gate.clear()
    async with fleet_of(*replicas, max_outstanding=3) as fleet, AsyncExitStack() as stack:
        exchanges = [json_request(BODY) for _ in range(6)]
        for exchange in exchanges:
            await stack.enter_async_context(running(fleet, exchange))
        await eventually(lambda: [r.calls for r in replicas] == [3, 3])
        outermost = Outermost(fleet)
        refused = await ask(outermost)
        assert refused.status == 503
        assert refused.header("retry-after") == "1"
        assert Unreached in outermost.facts[0]
        if gone:
            for exchange in exchanges:
                exchange.disconnect.set()
        else:
            replicas[0].gate.set()
            replicas[1].gate.set()
        await eventually(lambda: fleet.outstanding == 0)
        for replica in replicas:
            replica.gate.set()
        assert (await ask(fleet)).status == 200
        assert [r.most for r in replicas] == [3, 3]


async def test_many_calls_with_every_ending_leave_nothing_behind() -> None:
    replicas = [Replica(), Replica(), Replica()]
    replicas[1].gate.clear()
    async with fleet_of(*replicas, max_outstanding=20, affinity=Affinity()) as fleet:
        tasks = []
        for index in range(60):
            exchange = json_request(long("abc"[index % 3]))
            tasks.append(asyncio.create_task(exchange.run(fleet)))
            for _ in range(index % 7):
                await asyncio.sleep(0)
            if index % 5 == 0:
                tasks[index // 2].cancel()
            if index % 5 == 1:
                exchange.disconnect.set()
        replicas[1].gate.set()
        await asyncio.wait(tasks)
        assert fleet.outstanding == 0
        assert max(replica.most for replica in replicas) <= 20


@pytest.mark.parametrize("layered", [False, True])
async def test_a_long_prompt_goes_where_it_was(*, layered: bool) -> None:
    replicas = [Replica(cached=1000), Replica(cached=1000), Replica(cached=1000)]
    async with fleet_of(*replicas, affinity=Affinity()) as fleet:
        app = Outermost(RelayMiddleware(fleet)) if layered else fleet
        for text in "abc":
            await ask(app, long(text))
        for text in "aabbaccab":
            await ask(app, long(text))
        for replica in replicas:
            assert len(set(replica.bodies)) == 1
        assert sorted(replica.calls for replica in replicas) == [3, 4, 5]


async def test_a_prompt_is_warm_from_the_begin_of_its_first_answer() -> None:
    """A burst with one prompt goes to one replica, though none of its calls has ended."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: {}\n\n"
    calls = [0, 0]

    def streaming(which: int) -> Callable[[Peer], Awaitable[None]]:
        async def script(peer: Peer) -> None:
            await peer.request()
            calls[which] += 1
            await peer.send(head)
            await peer.rest()

        return script

    async with serving(streaming(0)) as one, serving(streaming(1)) as other:
        fleet = Fleet([one.url, other.url], affinity=Affinity())
        async with AsyncExitStack() as stack:
            for _ in range(FEW + 1):
                exchange = json_request(long("a"))
                await stack.enter_async_context(running(fleet, exchange))
                await exchange.until(b"data")
            assert calls == [FEW + 1, 0]
            # It has more than that more than the least busy: from now on the load counts.
            exchange = json_request(long("a"))
            await stack.enter_async_context(running(fleet, exchange))
            await exchange.until(b"data")
            assert calls == [FEW + 1, 1]
        assert fleet.outstanding == 0
        await fleet.aclose()


async def test_usage_tells_whom_to_believe() -> None:
    """One reports that nothing was cached: another that has the prompt, too, is asked then."""
    forgetful, good = Replica(cached=0), Replica(cached=9999)
    affinity = Affinity()
    async with fleet_of(forgetful, good, affinity=affinity) as fleet:
        app = Outermost(RelayMiddleware(fleet))
        forgetful.gate.clear()
        async with AsyncExitStack() as stack:
            for _ in range(2):
                await stack.enter_async_context(running(app, json_request(long("a"))))
            await eventually(lambda: forgetful.calls == good.calls == 1)
            forgetful.gate.set()
            await eventually(lambda: fleet.outstanding == 0)
        await asked(app, 8, long("a"))
        assert good.calls >= 7


async def test_a_body_that_comes_too_late_is_refused() -> None:
    async with fleet_of(Replica(), Replica(), affinity=Affinity()) as fleet:
        never = asyncio.Event()
        sent: list[Any] = []

        async def receive() -> Any:
            await never.wait()

        async def send(message: Any) -> None:
            sent.append(message)

        scope = http_scope(headers=[(b"content-length", b"9")])
        facts.open_in(scope)
        client = client_of(scope, receive)
        client._idle_timeout = 0.03
        await fleet(scope, client.receive, send)
        client.close()
        assert sent[0]["status"] == 408
        assert facts.get(scope, Unreached) is not None


class Listed:
    """A list of replicas that changes, or cannot be had."""

    def __init__(self, urls: Sequence[str]) -> None:
        self.urls = list(urls)
        self.error: Exception | None = None
        self.asked = 0

    async def __call__(self) -> list[str]:
        """Return it."""
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.urls


async def test_a_replica_that_is_listed_later_is_asked() -> None:
    first, second = Replica(), Replica()
    async with served(first) as (servers, urls):
        listed = Listed(urls)
        fleet = Fleet(listed, refresh=0.001)
        async with lifespan(fleet):
            assert await asked(fleet, 3) == [200] * 3
            listed.urls = [*urls, await servers.add(second)]
            await eventually(lambda: len(fleet._replicas) == 2)
            assert await asked(fleet, 4) == [200] * 4
            assert second.calls >= 2


async def test_a_replica_that_is_no_longer_listed_ends_its_calls_and_is_closed() -> None:
    leaving, staying = Replica(), Replica()
    leaving.gate.clear()
    async with served(leaving, staying) as (_, urls):
        listed = Listed(urls)
        affinity = Affinity()
        fleet = Fleet(listed, refresh=0.001, affinity=affinity)
        async with lifespan(fleet):
            drained = next(iter(fleet._replicas))
            exchange = json_request(BODY)
            async with running(fleet, exchange) as call:
                await eventually(lambda: leaving.calls == 1)
                listed.urls = urls[1:]
                await eventually(lambda: len(fleet._replicas) == 1)
                assert await asked(fleet, 5) == [200] * 5
                assert (leaving.calls, staying.calls) == (1, 5)
                assert (fleet.outstanding, fleet._replicas.leaving) == (1, 1)
                leaving.gate.set()
                assert (await call).status == 200
            await eventually(lambda: _sockets(drained.app) == 0)
            assert (fleet.outstanding, fleet._replicas.leaving) == (0, 0)


async def test_closing_a_fleet_waits_until_those_that_left_are_closed() -> None:
    async with served(Replica(), Replica()) as (_, urls):
        fleet = Fleet(urls)
        assert await asked(fleet, 2) == [200] * 2
        left = next(iter(fleet._replicas))
        fleet._replicas.set([Place(urls[1])])
        assert _sockets(left.app) == 1
        await fleet.aclose()
        assert _sockets(left.app) == 0


async def test_a_replica_that_comes_back_before_it_has_left_keeps_its_calls() -> None:
    replica, other = Replica(), Replica()
    replica.gate.clear()
    async with served(replica, other) as (_, urls):
        fleet = Fleet(urls, max_outstanding=1)
        places = [Place(url) for url in urls]
        async with running(fleet, json_request(BODY)) as call:
            await eventually(lambda: replica.calls == 1)
            fleet._replicas.set(places[1:])
            fleet._replicas.set(places)
            assert await asked(fleet, 2) == [200] * 2
            assert (replica.calls, fleet.outstanding) == (1, 1)
            replica.gate.set()
            assert (await call).status == 200
        assert await asked(fleet, 2) == [200] * 2
        assert replica.calls == 2
        await fleet.aclose()


def _sockets(app: Any) -> int:
    transport = app._transport
    return int(transport.open)


@pytest.mark.parametrize(
    "error", [OSError("no such name"), TimeoutError(), RuntimeError("a bug"), ValueError("wrong")]
)
async def test_a_list_that_cannot_be_had_leaves_all_as_it_is(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    replica = Replica()
    async with served(replica) as (_, urls):
        listed = Listed(urls)
        fleet = Fleet(listed, refresh=0.001)
        async with lifespan(fleet):
            listed.error = error
            await eventually(lambda: "those known stay" in caplog.text)
            assert await asked(fleet, 2) == [200] * 2
            listed.error = None
            listed.urls = ["no url"]
            caplog.clear()
            await eventually(lambda: "no upstream" in caplog.text)
            assert await asked(fleet, 2) == [200] * 2


async def test_a_fleet_whose_replicas_were_never_found_refuses_and_is_closed_all_the_same() -> None:
    listed = Listed([])
    listed.error = OSError("no such name")
    before = asyncio.all_tasks()
    fleet = Fleet(listed)
    assert (await ask(fleet)).status == 502
    assert not await fleet.reachable()
    await fleet.aclose()
    assert (await ask(fleet)).status == 502
    assert listed.asked == 1
    await eventually(lambda: asyncio.all_tasks() == before)


async def test_the_addresses_of_a_name_are_replicas(monkeypatch: pytest.MonkeyPatch) -> None:
    """One is asked in the name of the URL; another address of the name has nobody."""
    replica = Replica()
    async with served(replica) as (servers, _):
        port = servers.servers[0].port
        loop = asyncio.get_running_loop()
        resolve = loop.getaddrinfo

        async def getaddrinfo(host: str, *args: Any, **kwargs: Any) -> Any:
            if host != "models.test":
                return await resolve(host, *args, **kwargs)
            kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
            return [(*kind, ("127.0.0.2", port)), (*kind, ("127.0.0.1", port))] * 2

        found = _Resolving(loop, getaddrinfo)
        monkeypatch.setattr("veneer.upstream._dns.asyncio.get_running_loop", lambda: found)
        places = await by_name(f"http://models.test:{port}/v1")()
        monkeypatch.undo()
        assert [place.address for place in places] == ["127.0.0.1", "127.0.0.2"]
        fleet = Fleet(f"http://localhost:{port}/v1", make=Upstream)
        fleet._replicas.set(places)
        fleet._lifetime = None
        assert await asked(fleet, 4) == [200] * 4
        assert replica.calls == 4
        assert f"\r\nhost: models.test:{port}\r\n".encode() in replica.heads[0]
        await fleet.aclose()


class _Resolving:
    def __init__(self, loop: asyncio.AbstractEventLoop, resolve: Any) -> None:
        self.loop = loop
        self.getaddrinfo = resolve

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loop, name)


async def test_localhost_is_a_name_like_any_other() -> None:
    replica = Replica()
    async with served(replica) as (servers, _):
        fleet = Fleet(f"http://localhost:{servers.servers[0].port}/v1")
        async with lifespan(fleet):
            assert await fleet.reachable()
            assert await asked(fleet, 3) == [200] * 3


async def test_replicas_may_be_wrapped_and_are_closed_all_the_same() -> None:
    replica = Replica()
    upstreams = []

    def make(url: str) -> CompatMiddleware:
        upstreams.append(Upstream(url, api_key="sk-local"))
        return CompatMiddleware(upstreams[-1])

    async with served(replica) as (_, urls):
        fleet = Fleet(urls, make=make)
        for app in (fleet, Outermost(fleet)):
            assert (await ask(app)).status == 200
        assert b"\r\nauthorization: Bearer sk-local\r\n" in replica.heads[0]
        assert await fleet.reachable()
        assert _sockets(upstreams[0]) == 1
        await fleet.aclose()
        assert _sockets(upstreams[0]) == 0


async def test_it_is_reachable_as_long_as_one_is() -> None:
    async with served(Replica()) as (_, urls):
        fleet = Fleet([dead_url(), *urls])
        assert await fleet.reachable()
        await fleet.aclose()
    assert not await Fleet([dead_url()]).reachable()


async def test_an_app_that_cannot_be_asked_is_taken_to_be_there() -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    fleet = Fleet(["http://a.test", "http://b.test"], make=lambda _url: app)
    assert await fleet.reachable()
    assert await asked(fleet, 2) == [200, 200]
    await fleet.aclose()


async def test_websockets_are_refused() -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await Fleet(["http://a.test"])({"type": "websocket"}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_a_lookup_has_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never() -> list[Place]:
        await asyncio.Event().wait()
        raise AssertionError

    found: list[Any] = []
    monkeypatch.setattr("veneer.upstream._discovery.TIMEOUT", 0.01)
    discovery = Discovery(never, found.append, name="local", refresh=60)
    async with discovery.lifespan():
        assert found == []


@pytest.mark.parametrize(
    ("replicas", "options", "said"),
    [
        ([], {}, "serves nobody"),
        (["http://a.test", "http://a.test"], {}, "listed twice"),
        (["a.test"], {}, "is no upstream"),
        (["http://u:p@a.test"], {}, "Credentials"),
        ("a.test", {}, "is no upstream"),
        ("http://a.test", {"refresh": 0}, "above 0"),
        (["http://a.test"], {"max_outstanding": 0}, "1 or more"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    replicas: Any, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        Fleet(replicas, **options)


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        (Place("http://a.test/v1"), "a.test:80"),
        (Place("https://a.test/v1", "10.0.0.1"), "10.0.0.1:443"),
        (Place("http://a.test:8000", "fd00::1"), "[fd00::1]:8000"),
    ],
)
def test_a_place_is_shown_as_host_and_port(place: Place, shown: str) -> None:
    assert place.shown == shown


async def test_logs_tell_who_answered(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "veneer.upstream")
    async with fleet_of(Replica()) as fleet:
        await ask(fleet)
    assert any(record.getMessage().startswith("local: 127.0.0.1:") for record in caplog.records)


async def test_a_call_that_is_cancelled_while_connecting_frees_its_place() -> None:
    with socket.socket() as full:
        # Nobody accepts, and the queue is full: connections hang.
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        make = partial(Upstream, timeouts=Timeouts(connect=0.05))
        fleet = Fleet([f"http://127.0.0.1:{port}"], make=make, max_outstanding=4)
        tasks = [asyncio.create_task(ask(fleet)) for _ in range(4)]
        await eventually(lambda: fleet.outstanding == 4)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert fleet.outstanding == 0
        await fleet.aclose()


# Replicas that take calls and never answer, behind a router.


async def shared(*wanted: Preferences) -> list[int]:
    """Return the statuses of calls to a fleet of two, the first of which never answers."""
    apps = {"http://a/v1": Scripted(hangs), "http://b/v1": Scripted(answers())}
    fleet = Fleet(list(apps), make=apps.__getitem__, clock=Clock())
    router = Router([Target(name="f", app=fleet)], whole_timeout=5.0, affinity=False)
    found = []
    for each in wanted:
        exchange = json_request(BODY)
        facts.open_in(exchange.scope)[Preferences] = each
        await exchange.run(router)
        found.append(exchange.status)
    return found


def test_a_replica_that_is_silent_for_as_long_as_a_router_waits_rests() -> None:
    async def main() -> None:
        assert await shared(*[Preferences()] * 6) == [504, *[200] * 5]

    virtual.run(main())


def test_whoever_waits_less_long_makes_nobody_rest() -> None:
    async def main() -> None:
        assert await shared(*[Preferences(timeout_ms=100)] * 6) == [504, 200] * 3

    virtual.run(main())
