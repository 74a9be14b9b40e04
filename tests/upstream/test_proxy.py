"""The upstream as an app, with servers on loopback that do what a test tells them to."""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import unquote

import httpx
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.asgi import Exchange, http_scope, json_request, running
from tests.upstream.servers import Peer, Script, Server, answering, eventually, ok, serving
from veneer import facts
from veneer.client import Client, client_of
from veneer.errors import BrokenResponseError
from veneer.facts import Route, Unreached
from veneer.layer import Layer
from veneer.upstream.h1 import H1Transport
from veneer.upstream.own_key import UpstreamKey
from veneer.upstream.proxy import Upstream
from veneer.upstream.transport import PoolLimits, Timeouts

JSON = b"content-type: application/json"
SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = b"data: {}\n\n"
# What closing an upstream's connection may take after its client has left, in seconds.
PROMPT = 0.1


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Kept:
    """A script that answers and keeps the requests that it got."""

    def __init__(self, *responses: bytes) -> None:
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self._responses = responses

    async def __call__(self, peer: Peer) -> None:
        """Serve a connection."""
        for response in self._responses:
            head, body = await peer.request()
            self.heads.append(head)
            self.bodies.append(body)
            await peer.send(response)

    def field(self, name: bytes) -> list[bytes]:
        """Return the values of a field of the last request."""
        lines = [line.partition(b": ") for line in self.heads[-1].split(b"\r\n")]
        return [value for field, _, value in lines if field == name]

    @property
    def target(self) -> bytes:
        """What the last request asked for."""
        return self.heads[-1].split(b" ")[1]


@contextlib.asynccontextmanager
async def proxy(
    script: Script, base: str = "/v1", **options: Any
) -> AsyncIterator[tuple[Upstream, Server]]:
    """Give an upstream before a server; afterwards see that nothing was left open."""
    before = asyncio.all_tasks()
    async with serving(script) as server:
        upstream = Upstream(server.url + base, **options)
        yield upstream, server
        transport = upstream._transport
        if isinstance(transport, H1Transport):
            await eventually(lambda: transport.open == transport.idle)
        await upstream.aclose()
    await eventually(lambda: asyncio.all_tasks() <= before)


def get(path: str = "/v1/models", **more: Any) -> Exchange:
    return Exchange(http_scope("GET", path, **more))


def chat(**more: Any) -> Exchange:
    return json_request({"model": "m", "messages": []}, **more)


def recorded(exchange: Exchange) -> Exchange:
    """Return the exchange with facts that outlast it."""
    facts.open_in(exchange.scope)
    return exchange


def unreached(exchange: Exchange) -> bool:
    return facts.get(exchange.scope, Unreached) is not None


# Requests.


@pytest.mark.parametrize(
    ("path", "root_path", "base", "target"),
    [
        ("/v1/models", "", "/v1", b"/v1/models"),
        ("/models", "", "/v1", b"/v1/models"),
        ("/v1/models", "", "", b"/models"),
        ("/v1/models", "", "/openai/deployments/x/", b"/openai/deployments/x/models"),
        ("/v1/models", "/v1", "/v1", b"/v1/models"),
        ("/api/v1/models", "/api", "/v1", b"/v1/models"),
        ("/api/v1/models", "/api/v1", "/v1", b"/v1/models"),
        ("/v1/models/org%2Fname", "", "/v1", b"/v1/models/org%2Fname"),
        ("/v1/models/a%20b%C3%A9", "", "/v1", b"/v1/models/a%20b%C3%A9"),
        ("/v1/models/ft:gpt:x", "", "/v1", b"/v1/models/ft:gpt:x"),
    ],
)
async def test_paths_are_mapped_below_the_base(
    path: str, root_path: str, base: str, target: bytes
) -> None:
    script = Kept(ok())
    decoded = httpx.URL("http://x" + path).path
    async with proxy(script, base) as (upstream, _):
        exchange = get(decoded, raw_path=path.encode(), root_path=root_path)
        await exchange.run(upstream)
    assert exchange.status == 200
    assert script.target == target


async def test_paths_are_mapped_below_a_mount() -> None:
    script = Kept(ok(), ok())
    async with proxy(script) as (upstream, _):
        for prefix in ("/v1", "/deep/er"):
            app = Starlette(routes=[Mount(prefix, upstream)])
            exchange = await get(prefix + "/models").run(app)
            assert exchange.status == 200
            assert script.target == b"/v1/models"


async def test_the_query_is_passed_on_as_it_is() -> None:
    script = Kept(ok())
    async with proxy(script) as (upstream, _):
        await get(query_string=b"api-version=2024%2D10&x=a+b&&").run(upstream)
    assert script.target == b"/v1/models?api-version=2024%2D10&x=a+b&&"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/../admin",
        "/v1/models/../../admin",
        "/v1/models/%2e%2e/admin",
        "/v1/models/..%2fadmin",
        "/v1/models/%252e%252e",
        "//models",
        "/v1//models",
        "/v1/models//x",
        "/v1/models/..\\admin",
        "/v1/models/a\x00b",
        "/v1/models/\u202e",
        "/v1/files",
        "/v1/responses/resp_1",
        "/v1/nothing",
        "/",
    ],
)
async def test_no_path_leaves_the_base_and_no_operation_passes_unallowed(path: str) -> None:
    script = Kept(ok())
    async with proxy(script) as (upstream, _):
        exchange = await get(unquote(path), raw_path=path.encode()).run(upstream)
    assert exchange.status == 404
    assert script.heads == []


async def test_operations_are_allowed_by_name() -> None:
    script = Kept(ok(), ok())
    async with proxy(script, allow=["files", "/rerank"]) as (upstream, _):
        assert (await get("/v1/files/f1/content").run(upstream)).status == 200
        assert (await json_request({}, "/v1/rerank").run(upstream)).status == 200
    assert script.target == b"/v1/rerank"


async def test_what_is_stored_is_refused_by_the_bare_upstream_too() -> None:
    script = Kept(ok())
    async with proxy(script) as (upstream, _):
        body = {"model": "m", "previous_response_id": "r"}
        exchange = recorded(json_request(body, "/v1/responses"))
        await exchange.run(upstream)
    assert exchange.status == 400
    assert script.heads == []
    assert unreached(exchange)


async def test_a_request_goes_on_as_it_came_but_for_what_is_ours_to_say() -> None:
    script = Kept(ok())
    headers = [(b"x-a", b"1"), (b"user-agent", b"ua"), (b"x-a", b"2"), (b"expect", b"100-continue")]
    exchange = chat(headers=headers)
    body = exchange._inbox[0]["body"]
    async with proxy(script) as (upstream, server):
        await exchange.run(upstream)
        assert script.field(b"host") == [server.url.removeprefix("http://").encode()]
    assert script.heads[0].startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert script.bodies == [body]
    assert script.field(b"content-length") == [b"%d" % len(body)]
    assert script.field(b"x-a") == [b"1", b"2"]
    assert script.field(b"via") == [b"1.1 veneer"]
    assert script.field(b"expect") == []


async def test_a_key_takes_the_place_of_the_clients_credentials() -> None:
    script = Kept(ok(), ok())
    mine = [
        (b"authorization", b"Bearer mine"),
        (b"api-key", b"mine"),
        (b"x-api-key", b"mine"),
        (b"cookie", b"mine"),
        (b"proxy-authorization", b"mine"),
        (b"openai-organization", b"mine"),
        (b"openai-project", b"mine"),
    ]
    async with proxy(script, api_key="ours") as (upstream, _):
        await chat(headers=mine).run(upstream)
        assert script.field(b"authorization") == [b"Bearer ours"]
        assert b"mine" not in script.heads[0]
    async with proxy(Kept(ok()), api_key="ours", api_key_header="Api-Key") as (upstream, _):
        pass
    script = Kept(ok())
    async with proxy(script, api_key="ours", api_key_header="Api-Key") as (upstream, _):
        await chat(headers=mine).run(upstream)
        assert script.field(b"api-key") == [b"ours"]
        assert b"mine" not in script.heads[0]


async def test_without_a_key_the_clients_own_goes_through() -> None:
    script = Kept(ok())
    async with proxy(script) as (upstream, _):
        await chat(headers=[(b"authorization", b"Bearer mine")]).run(upstream)
    assert script.field(b"authorization") == [b"Bearer mine"]


@pytest.mark.parametrize(
    "more",
    [
        [(b"transfer-encoding", b"chunked")],
        [(b"content-length", b"31")],
        [(b"content-length", b"7")],
    ],
)
async def test_a_body_framed_twice_is_refused(more: list[tuple[bytes, bytes]]) -> None:
    script = Kept(ok())
    async with proxy(script) as (upstream, _):
        exchange = await recorded(chat(headers=more)).run(upstream)
    assert exchange.status == 400
    assert script.heads == []
    assert unreached(exchange)


async def test_a_target_that_no_request_can_hold_is_refused() -> None:
    script = Kept(ok())
    async with proxy(script) as (upstream, _):
        exchange = await recorded(get(query_string=b"a b\r\nx: y")).run(upstream)
    assert exchange.status == 400
    assert script.heads == []
    assert unreached(exchange)


async def test_a_large_body_is_passed_on() -> None:
    body = b'{"x":"' + b"y" * 50_000_000 + b'"}'
    taken: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.head()
        while sum(map(len, taken)) < len(body):
            taken.append(await peer.take(2**20))
        await peer.send(ok())

    async with proxy(script) as (upstream, _):
        exchange = await json_request(body).run(upstream)
    assert exchange.status == 200
    assert b"".join(taken) == body


async def test_an_upload_flows_as_it_comes() -> None:
    arrived = asyncio.Event()

    async def script(peer: Peer) -> None:
        head = await peer.head()
        assert b"transfer-encoding: chunked" in head
        assert await peer.take(100) == chunked(b"one")
        arrived.set()
        rest = b""
        while not rest.endswith(b"0\r\n\r\n"):
            rest += await peer.take(100)
        assert rest == chunked(b"two") + b"0\r\n\r\n"
        await peer.send(ok())

    parts: list[Message] = [
        {"type": "http.request", "body": b"one", "more_body": True},
        {"type": "http.request", "body": b"two", "more_body": True},
        {"type": "http.request", "body": b""},
    ]

    async def receive() -> Message:
        if len(parts) == 2:
            await arrived.wait()
        return parts.pop(0)

    async with proxy(script) as (upstream, _):
        exchange = Exchange(
            http_scope(
                path="/v1/audio/transcriptions", headers=[(b"transfer-encoding", b"chunked")]
            )
        )
        exchange.receive = receive  # type: ignore[method-assign] # parts that wait
        await exchange.run(upstream)
    assert exchange.status == 200


async def test_an_upload_does_not_run_ahead_of_the_upstream() -> None:
    taken = 0
    part = b"x" * 65_536

    async def script(peer: Peer) -> None:
        await peer.head()
        await asyncio.Event().wait()

    async def receive() -> Message:
        nonlocal taken
        taken += len(part)
        return {"type": "http.request", "body": part, "more_body": True}

    async with proxy(script, timeouts=Timeouts(write=0.3)) as (upstream, _):
        exchange = Exchange(
            http_scope(
                path="/v1/audio/transcriptions", headers=[(b"content-length", b"9999999999")]
            )
        )
        exchange.receive = receive  # type: ignore[method-assign] # a body without end
        await exchange.run(upstream)
    assert exchange.status == 504
    # What the sockets' buffers hold (Linux lets them grow to dozens of MB), and not much more.
    assert taken < 64_000_000


async def test_a_client_that_stops_in_its_upload_is_told_and_its_connection_closed() -> None:
    closed = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.rest()
        closed.set()

    async with proxy(script) as (upstream, _):
        headers = [(b"content-length", b"9")]
        exchange = Exchange(http_scope(path="/v1/audio/transcriptions", headers=headers), [b"abc"])
        exchange._inbox[0]["more_body"] = True
        client = Client(exchange.receive, idle_timeout=0.05)
        facts.put(exchange.scope, client)
        try:
            await upstream(exchange.scope, client.receive, exchange.send)
        finally:
            client.close()
        await asyncio.wait_for(closed.wait(), 5)
    assert not unreached(exchange)
    assert exchange.status == 408
    assert exchange.header("connection") == "close"


async def test_a_client_that_stops_before_anything_was_sent_has_not_reached_the_server() -> None:
    script = Kept(ok())

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async with proxy(script) as (upstream, server):
        headers = [(b"content-length", b"9")]
        exchange = Exchange(http_scope(path="/v1/audio/transcriptions", headers=headers))
        client = Client(receive, idle_timeout=0.05)
        facts.put(exchange.scope, client)
        try:
            await upstream(exchange.scope, client.receive, exchange.send)
        finally:
            client.close()
        assert server.connections == 0
    assert unreached(exchange)
    assert exchange.status == 408


async def test_an_answer_that_comes_before_the_upload_is_whole_is_passed_on() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(ok(b"too large", b"x-early: 1"))
        await peer.rest()

    async with proxy(script) as (upstream, _):
        headers = [(b"content-length", b"9")]
        exchange = Exchange(http_scope(path="/v1/audio/transcriptions", headers=headers), [b"abc"])
        exchange._inbox[0]["more_body"] = True
        await exchange.run(upstream)
    assert exchange.body == b"too large"


# Answers.


async def test_an_answer_comes_back_with_the_headers_that_a_client_may_see() -> None:
    lines = [
        JSON,
        b"Date: x",
        b"Server: x",
        b"Set-Cookie: x",
        b"OpenAI-Organization: x",
        b"Access-Control-Allow-Origin: *",
        b"X-Request-ID: req_up",
        b"Connection: keep-alive, x-hop",
        b"X-Hop: x",
        b"X-RateLimit-Remaining-Tokens: 7",
        b"OpenAI-Processing-Ms: 5",
        b"X-A: 1",
        b"X-A: 2",
    ]
    async with proxy(answering(ok(b"{}", *lines)), name="there") as (upstream, _):
        exchange = chat()
        exchange.scope[facts.SCOPE_KEY] = {}
        await exchange.run(upstream)
    assert exchange.headers == [
        (b"content-type", b"application/json"),
        (b"x-ratelimit-remaining-tokens", b"7"),
        (b"openai-processing-ms", b"5"),
        (b"x-a", b"1"),
        (b"x-a", b"2"),
        (b"content-length", b"2"),
    ]
    route = facts.get(exchange.scope, Route)
    assert route is not None
    assert (route.target, route.status, route.request_id) == ("there", 200, "req_up")
    assert 0 < route.seconds < 5


async def test_chunks_come_back_without_their_framing() -> None:
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    body = chunked(b'{"a"') + chunked(b":1}") + b"0\r\nx-trailer: 1\r\n\r\n"
    async with proxy(answering(head + body)) as (upstream, _):
        exchange = await chat().run(upstream)
    assert exchange.body == b'{"a":1}'
    assert exchange.headers == [(b"content-type", b"application/json")]
    assert exchange.ended


async def test_a_head_and_answers_without_a_body() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n"
    async with proxy(answering(head)) as (upstream, _):
        exchange = await Exchange(http_scope("HEAD", "/v1/models")).run(upstream)
        assert (exchange.status, exchange.body, exchange.ended) == (200, b"", True)
    for status in (b"204 No Content", b"304 Not Modified"):
        async with proxy(answering(b"HTTP/1.1 " + status + b"\r\n\r\n")) as (upstream, _):
            exchange = await get().run(upstream)
            assert (exchange.status, exchange.ended) == (int(status[:3]), True)


async def test_errors_of_the_upstream_come_back_as_they_are() -> None:
    answer = b"HTTP/1.1 429 No\r\nretry-after: 7\r\ncontent-length: 2\r\n\r\n{}"
    async with proxy(answering(answer), api_key="k") as (upstream, _):
        exchange = await chat().run(upstream)
    assert (exchange.status, exchange.body) == (429, b"{}")
    assert exchange.header("retry-after") == "7"


async def test_a_key_that_is_refused_is_our_own_fault(caplog: pytest.LogCaptureFixture) -> None:
    answer = b"HTTP/1.1 401 No\r\ncontent-length: 13\r\n\r\nwrong key: k1"
    with caplog.at_level(logging.ERROR, "veneer.upstream"):
        async with proxy(answering(answer), api_key="k1") as (upstream, _):
            exchange = await chat().run(upstream)
    assert exchange.status == 502
    assert exchange.json()["error"]["code"] == "upstream_refused_key"
    assert exchange.header("x-should-retry") == "false"
    assert b"k1" not in exchange.body
    assert "k1" not in caplog.text
    assert "refused the key" in caplog.text


async def test_a_clients_own_key_that_is_refused_is_the_clients_affair() -> None:
    answer = b"HTTP/1.1 401 No\r\ncontent-length: 2\r\n\r\n{}"
    async with proxy(answering(answer)) as (upstream, _):
        assert (await chat().run(upstream)).status == 401


def with_own_key(app: ASGIApp, value: str) -> ASGIApp:
    """Return the app as a router asks it with a key of the caller's own."""

    async def asked(scope: Scope, receive: Receive, send: Send) -> None:
        scope = dict(scope)
        facts.put(scope, UpstreamKey(value))
        await app(scope, receive, send)

    return asked


@pytest.mark.parametrize("options", [{}, {"api_key": "ours"}])
async def test_a_key_of_the_callers_own_goes_before_all_others(options: dict[str, Any]) -> None:
    script = Kept(ok(), ok())
    async with proxy(script, api_key_header="Api-Key", **options) as (upstream, _):
        stack = with_own_key(upstream, "theirs")
        await chat(headers=[(b"authorization", b"Bearer mine")]).run(stack)
        assert script.field(b"api-key") == [b"theirs"]
        assert b"mine" not in script.heads[0]
        assert b"ours" not in script.heads[0]
        await chat(headers=[(b"authorization", b"Bearer mine")]).run(upstream)
    assert script.field(b"api-key") == ([b"ours"] if options else [])


@pytest.mark.parametrize("status", [401, 403])
async def test_a_key_of_the_callers_own_that_is_refused_rests_none_of_ours(status: int) -> None:
    refused = b"HTTP/1.1 %d No\r\ncontent-length: 6\r\n\r\ntheirs" % status
    shown: list[bytes] = []

    async def script(peer: Peer) -> None:
        while True:
            head, _ = await peer.request()
            shown.append(head.partition(b"Bearer ")[2].partition(b"\r")[0])
            await peer.send(refused if shown[-1] == b"theirs" else ok())

    async with proxy(script, api_key=["k1", "k2"]) as (upstream, _):
        await chat().run(upstream)
        exchange = await chat().run(with_own_key(upstream, "theirs"))
        await chat().run(upstream)
        await chat().run(upstream)
    assert exchange.status == 400
    assert exchange.json()["error"]["code"] == "provider_key_refused"
    assert b"theirs" not in exchange.body
    assert shown == [b"k1", b"theirs", b"k2", b"k1"]


async def test_a_key_of_the_callers_own_that_is_used_too_much_rests_none_of_ours() -> None:
    limited = b"HTTP/1.1 429 No\r\ncontent-length: 2\r\n\r\n{}"
    script = Kept(limited, ok())
    async with proxy(script, api_key=["k1", "k2"]) as (upstream, _):
        assert (await chat().run(with_own_key(upstream, "theirs"))).status == 429
        await chat().run(upstream)
    assert script.field(b"authorization") == [b"Bearer k1"]


async def test_a_key_of_the_callers_own_that_no_header_can_hold_is_not_sent() -> None:
    script = Kept(ok())
    async with proxy(script) as (upstream, _):
        exchange = await chat().run(with_own_key(upstream, "a\r\nb: c"))
    assert exchange.json()["error"]["code"] == "provider_key_refused"
    assert script.heads == []
    assert "a" not in repr(UpstreamKey("a")).replace("UpstreamKey", "")


@pytest.mark.parametrize("status", [401, 429])
async def test_a_key_that_is_refused_rests_while_others_serve(status: int) -> None:
    refused = b"HTTP/1.1 %d No\r\ncontent-length: 2\r\n\r\n{}" % status
    keys: list[bytes] = []

    async def script(peer: Peer) -> None:
        while True:
            head, _ = await peer.request()
            keys.append(head.partition(b"Bearer ")[2][:2])
            await peer.send(refused if keys[-1] == b"k1" else ok())

    async with proxy(script, api_key=["k1", "k2", "k3"]) as (upstream, _):
        for _ in range(5):
            await chat().run(upstream)
    assert keys == [b"k1", b"k2", b"k3", b"k2", b"k3"]


@pytest.mark.parametrize("status", [300, 301, 302, 307, 308])
async def test_a_redirect_is_not_followed_and_not_shown(status: int) -> None:
    answer = b"HTTP/1.1 %d X\r\nlocation: http://other/\r\ncontent-length: 0\r\n\r\n" % status
    async with proxy(answering(answer), api_key="k") as (upstream, _):
        exchange = await chat().run(upstream)
    assert exchange.status == 502
    assert exchange.header("location") is None


# Failures.


async def failing(script: Script, **options: Any) -> Exchange:
    async with proxy(script, **options) as (upstream, _):
        return await recorded(chat()).run(upstream)


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nx:\x00y\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_a_bad_gateway(answer: bytes) -> None:
    exchange = await failing(answering(answer))
    assert exchange.status == 502
    assert exchange.json()["error"]["code"] == "upstream_invalid_response"
    assert exchange.ended


async def test_an_upstream_that_is_not_there_is_a_bad_gateway() -> None:
    async with serving(answering()) as server:
        url = server.url
    upstream = Upstream(url)
    exchange = await recorded(chat()).run(upstream)
    await upstream.aclose()
    assert unreached(exchange)
    assert exchange.status == 502
    assert exchange.json()["error"]["code"] == "upstream_unreachable"
    assert url.rpartition(":")[2].encode() not in exchange.body


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"]
)
async def test_an_upstream_that_hangs_up_before_its_body_is_a_bad_gateway(answer: bytes) -> None:
    exchange = await failing(answering(answer))
    assert exchange.status == 502
    assert exchange.json()["error"]["code"] == "upstream_interrupted"
    assert not unreached(exchange)


async def test_a_body_that_breaks_off_is_cut() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc")
        # Only once that has been passed on.
        await exchange.until(b"abc")

    exchange = chat()
    async with proxy(script) as (upstream, _):
        with pytest.raises(BrokenResponseError):
            await exchange.run(upstream)
    assert exchange.body == b"abc"
    assert not exchange.ended


async def test_a_stream_that_breaks_off_is_cut_at_once() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(SSE)

    exchange = chat()
    async with proxy(script) as (upstream, _):
        with pytest.raises(BrokenResponseError):
            await exchange.run(upstream)
    assert exchange.status == 200
    assert not exchange.ended


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"])
async def test_an_upstream_that_is_silent_is_a_gateway_timeout(answer: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer)
        await peer.rest()

    exchange = await failing(script, timeouts=Timeouts(response_header=0.05, read=0.05))
    assert exchange.status == 504
    assert exchange.json()["error"]["code"] == "upstream_timeout"
    assert not unreached(exchange)


async def test_a_full_pool_is_an_overload_with_advice() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.rest()

    limits = PoolLimits(max_connections=1)
    async with (
        proxy(script, limits=limits, timeouts=Timeouts(pool=0.05)) as (upstream, server),
        running(upstream, chat()),
    ):
        await eventually(lambda: server.connections == 1)
        exchange = await recorded(chat()).run(upstream)
    assert unreached(exchange)
    assert exchange.status == 503
    assert exchange.json()["error"]["code"] == "server_is_overloaded"
    assert exchange.header("retry-after") == "1"


async def test_failures_leave_the_pool_fit_for_the_next_call() -> None:
    answers = iter([b"garbage\r\n\r\n", b"", ok()])

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(next(answers))

    async with proxy(script, limits=PoolLimits(max_connections=1)) as (upstream, _):
        statuses = [(await chat().run(upstream)).status for _ in range(3)]
    assert statuses == [502, 502, 200]


# Clients that leave, and slow ones.


class Keeping(Layer):
    """A layer that wants calls to go on without their client."""

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        """Keep the call."""
        client_of(scope, receive).keep()
        await self.app(scope, receive, send)


class Owning(Layer):
    """A layer that does nothing but own the client."""


def bare(upstream: Upstream) -> Any:
    return upstream


@pytest.mark.parametrize("wrap", [bare, Owning])
@pytest.mark.parametrize(
    ("asking", "answer"), [(chat, b""), (get, b""), (chat, SSE + chunked(EVENT))]
)
async def test_when_the_client_leaves_the_upstream_connection_is_closed(
    wrap: Callable[[Upstream], Any], asking: Callable[[], Exchange], answer: bytes
) -> None:
    closed: asyncio.Queue[float] = asyncio.Queue()
    asked = asyncio.Semaphore(0)
    delays: list[float] = []

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer)
        asked.release()
        await peer.rest()
        closed.put_nowait(time.monotonic())

    async with proxy(script) as (upstream, _):
        # A machine that is busy elsewhere gets a second chance.
        while min(delays, default=PROMPT) >= PROMPT and len(delays) < 5:
            exchange = asking()
            async with running(wrap(upstream), exchange) as task, asyncio.timeout(5):
                await asked.acquire()
                if answer:
                    await exchange.until(EVENT)
                await asyncio.sleep(0.03)  # later than the watcher's start
                left = time.monotonic()
                exchange.disconnect.set()
                delays.append(await closed.get() - left)
                await task
            assert exchange.body == (EVENT if answer else b"")
    assert min(delays) < PROMPT


async def test_a_call_that_is_kept_goes_on_without_its_client() -> None:
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(SSE + chunked(EVENT))
        await gone.wait()
        await asyncio.sleep(0.05)
        await peer.send(chunked(EVENT) + b"0\r\n\r\n")

    sent: list[bytes] = []

    async def send(message: Message) -> None:
        sent.append(message.get("body", b""))

    async with proxy(script) as (upstream, _):
        exchange = chat()
        task = asyncio.create_task(Keeping(upstream)(exchange.scope, exchange.receive, send))
        await eventually(lambda: EVENT in sent)
        exchange.disconnect.set()
        gone.set()
        await task
    assert b"".join(sent) == EVENT * 2


async def test_a_client_that_leaves_in_its_upload_closes_the_upstream_connection() -> None:
    closed = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.rest()
        closed.set()

    async with proxy(script) as (upstream, server):
        headers = [(b"content-length", b"9")]
        exchange = Exchange(http_scope(path="/v1/audio/transcriptions", headers=headers), [b"abc"])
        exchange._inbox[0]["more_body"] = True
        async with running(upstream, exchange) as task, asyncio.timeout(5):
            await eventually(lambda: server.connections == 1)
            exchange.disconnect.set()
            await closed.wait()
            await task
    assert exchange.messages == []


async def test_a_cancelled_call_closes_its_connection() -> None:
    closed = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(SSE + chunked(EVENT))
        await peer.rest()
        closed.set()

    async with proxy(script) as (upstream, _):
        exchange = chat()
        async with running(upstream, exchange) as task:
            await exchange.until(EVENT)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.wait_for(closed.wait(), 5)


async def test_a_slow_reader_slows_the_upstream_down() -> None:
    offered = 0
    stuck = asyncio.Event()

    async def script(peer: Peer) -> None:
        nonlocal offered
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")
        while not peer.offer(b"x" * 65_536):
            offered += 65_536
            await asyncio.sleep(0)
        await asyncio.sleep(0.1)
        while peer.stuck == 0 and not peer.offer(b"x" * 65_536):
            offered += 65_536
            await asyncio.sleep(0)
        stuck.set()
        await peer.rest()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    async with proxy(script) as (upstream, _):
        exchange = chat()
        task = asyncio.create_task(upstream(exchange.scope, exchange.receive, send))
        await asyncio.wait_for(stuck.wait(), 10)
        assert offered < 64_000_000
        task.cancel()
        await asyncio.wait({task})


# As an app among others.


async def test_the_lifespan_closes_the_connections() -> None:
    async with serving(answering(ok())) as server:
        upstream = Upstream(server.url)
        await chat().run(upstream)
        inbox = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
        sent: list[Message] = []

        async def receive() -> Message:
            return inbox.pop(0)

        async def send(message: Message) -> None:
            sent.append(message)

        await upstream({"type": "lifespan"}, receive, send)
        assert [message["type"] for message in sent] == [
            "lifespan.startup.complete",
            "lifespan.shutdown.complete",
        ]
        assert (await chat().run(upstream)).status == 502


async def test_a_websocket_is_refused() -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await Upstream("http://localhost:1")({"type": "websocket"}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_whether_it_is_reachable() -> None:
    script = Kept(b"HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n")
    async with proxy(script, api_key="k") as (upstream, _):
        assert await upstream.reachable()
    assert script.target == b"/v1/models"
    assert script.field(b"authorization") == [b"Bearer k"]
    assert not await upstream.reachable()


async def test_a_server_that_says_nothing_is_not_reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("veneer.upstream.proxy.PROBE_TIMEOUT", 0.05)

    async def script(peer: Peer) -> None:
        await peer.rest()

    async with proxy(script) as (upstream, _):
        assert not await upstream.reachable()


@pytest.mark.parametrize("package", [httpx, httpx2])
async def test_an_httpx_client_carries_calls_as_well(package: Any) -> None:
    closed = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(ok(b'{"a":1}', JSON, b"set-cookie: a=b"))
        await peer.request()
        await peer.send(SSE + chunked(EVENT))
        await peer.rest()
        closed.set()

    async with package.AsyncClient() as client, proxy(script, client=client) as (upstream, _):
        exchange = await chat(headers=[(b"accept-encoding", b"br")]).run(upstream)
        assert exchange.json() == {"a": 1}
        assert exchange.header("set-cookie") is None
        exchange = chat()
        async with running(upstream, exchange) as task, asyncio.timeout(5):
            await exchange.until(EVENT)
            await asyncio.sleep(0.03)
            exchange.disconnect.set()
            await closed.wait()
            await task
        assert exchange.body == EVENT


@pytest.mark.parametrize("package", [httpx, httpx2])
async def test_an_httpx_client_can_be_a_mock(package: Any) -> None:
    def answer(request: Any) -> Any:
        return package.Response(200, json={"path": request.url.path})

    client = package.AsyncClient(transport=package.MockTransport(answer))
    exchange = await chat().run(Upstream("http://mock/base", client=client))
    assert json.loads(exchange.body) == {"path": "/base/chat/completions"}
    await client.aclose()


@pytest.mark.parametrize("package", [httpx, httpx2])
@pytest.mark.parametrize(
    ("error", "certain"),
    [
        ("ConnectError", True),
        ("ConnectTimeout", True),
        ("PoolTimeout", True),
        ("WriteTimeout", False),
        ("ReadTimeout", False),
        ("ReadError", False),
        ("RemoteProtocolError", False),
    ],
)
async def test_what_an_httpx_client_certainly_did_not_send_has_not_reached_the_server(
    package: Any,
    error: str,
    certain: bool,  # noqa: FBT001 - a table
) -> None:
    def answer(request: Any) -> Any:
        raise getattr(package, error)("", request=request)

    async with package.AsyncClient(transport=package.MockTransport(answer)) as client:
        exchange = await recorded(chat()).run(Upstream("http://mock", client=client))
    assert exchange.status >= 500
    assert unreached(exchange) is certain


async def test_a_call_that_was_answered_has_reached_the_server() -> None:
    exchange = await failing(answering(ok()))
    assert exchange.status == 200
    assert not unreached(exchange)


@pytest.mark.parametrize(
    "options",
    [
        {"url": "http://host/a b"},
        {"url": "http://host", "api_key": ""},
        {"url": "http://host", "api_key": []},
        {"url": "http://host", "api_key": "k", "api_key_header": "a b"},
        {"url": "http://host", "allow": ["nonsense"]},
    ],
)
def test_a_setting_that_cannot_work_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Upstream(**options)


async def test_an_address_and_a_client_that_resolves_names_contradict_each_other() -> None:
    async with httpx.AsyncClient() as client:
        with pytest.raises(ValueError, match="leave out the address"):
            Upstream("http://models.test", client=client, address="127.0.0.1")
