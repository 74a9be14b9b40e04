"""Real servers, sockets and clients on loopback: what unit tests cannot show.

Here stand a scripted model server, the whole stack on uvicorn before it, and the `openai` client or
a bare socket.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from tests.gateway import Caller, Gateway, gateway, stack_of
from tests.layers.streams import (
    CHAT,
    CHAT_WITH_USAGE,
    COMPLETED,
    DONE,
    RESPONSES,
    USAGE,
    chunk,
    compact,
    event,
)
from tests.upstream.servers import Peer, Script, eventually, ok, serving
from veneer import facts
from veneer.client import client_of
from veneer.demo import DemoServer
from veneer.edits import edits_of
from veneer.facts import Relayed, Usage
from veneer.layer import Layer
from veneer.upstream.h1 import H1Transport
from veneer.upstream.proxy import Upstream
from veneer.upstream.transport import Timeouts

JSON = b"content-type: application/json"
SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "small",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}
    ],
    "usage": USAGE,
}
# What closing an upstream's connection may take after its client has left, in seconds.
PROMPT = 0.1
PLAIN = {"model": "small", "messages": []}
STREAM = {**PLAIN, "stream": True}
USER: Any = [{"role": "user", "content": "Say hi"}]


def chunked(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


class Ledger(Layer):
    """A layer that needs usage, and notes what it learns; it may ask to keep its calls."""

    entries: list[tuple[Usage | None, Relayed | None]]

    def __init__(
        self, app: Any, *, entries: list[tuple[Usage | None, Relayed | None]], keep: bool = False
    ) -> None:
        super().__init__(app)
        self.entries = entries
        self._keep = keep

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note what a call has used."""
        edits_of(scope).usage_wanted = True
        if self._keep:
            client_of(scope, receive).keep()
        try:
            await self.app(scope, receive, send)
        finally:
            self.entries.append((facts.get(scope, Usage), facts.get(scope, Relayed)))


@contextlib.asynccontextmanager
async def before(script: Script, *more: Middleware, **options: Any) -> AsyncIterator[Gateway]:
    """Serve the stack before a scripted server; afterwards see that nothing was left open."""
    async with serving(script) as server:
        upstream = Upstream(server.url + "/v1", **options)
        async with gateway(stack_of(upstream, *more)) as served:
            yield served
            transport = upstream._transport
            assert isinstance(transport, H1Transport)
            await eventually(lambda: transport.open == transport.idle)
            await eventually(lambda: served.calls == 0)


def client_for(served: Gateway, **options: Any) -> AsyncOpenAI:
    options = {"api_key": "sk-client", "max_retries": 0, "timeout": 5, **options}
    return AsyncOpenAI(base_url=served.url, **options)


async def collect(stream: AsyncIterator[Any], into: list[Any]) -> None:
    """Read a stream to its end; what came before a failure is in the list."""
    async for part in stream:
        into.append(part)  # noqa: PERF401 - a comprehension would lose it


class Scripted:
    """A script that gives the same answer to every request and counts them."""

    def __init__(self, *parts: bytes) -> None:
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self._parts = parts

    async def __call__(self, peer: Peer) -> None:
        """Serve a connection."""
        while True:
            head, body = await peer.request()
            self.heads.append(head)
            self.bodies.append(body)
            await peer.send(*self._parts)


def streaming(*events: bytes) -> Scripted:
    return Scripted(SSE, *map(chunked, events), b"0\r\n\r\n")


# The official client.


async def test_a_completion() -> None:
    script = Scripted(ok(compact(COMPLETION), JSON))
    async with before(script, api_key="sk-upstream") as served, client_for(served) as client:
        answer = await client.chat.completions.create(model="small", messages=USER)
        assert answer.choices[0].message.content == "Hi"
        assert answer.usage is not None
        assert answer.usage.total_tokens == 8
        assert answer._request_id is not None
        assert answer._request_id.startswith("req_")
    assert b"Bearer sk-upstream" in script.heads[0]
    assert b"sk-client" not in script.heads[0]


async def test_a_stream_whose_usage_a_layer_needs() -> None:
    entries: list[Any] = []
    script = streaming(*CHAT_WITH_USAGE)
    async with (
        before(script, Middleware(Ledger, entries=entries)) as served,
        client_for(served) as client,
    ):
        stream = await client.chat.completions.create(model="small", messages=USER, stream=True)
        chunks = [part async for part in stream]
    assert [part.choices[0].delta.content for part in chunks] == ["Hel", "lo \u00e9", None]
    assert b'"include_usage":true' in script.bodies[0]
    usage, relayed = entries[0]
    assert usage.total_tokens == 8
    assert relayed == Relayed(stream=True, observed=True, complete=True, events=5)


async def test_a_stream_whose_usage_the_client_asked_for() -> None:
    async with before(streaming(*CHAT_WITH_USAGE)) as served, client_for(served) as client:
        stream = await client.chat.completions.create(
            model="small", messages=USER, stream=True, stream_options={"include_usage": True}
        )
        last = [part async for part in stream][-1]
    assert last.usage is not None
    assert last.usage.total_tokens == 8


async def test_a_client_of_threads_streams_too() -> None:
    async with before(streaming(*CHAT)) as served:

        def run() -> list[str | None]:
            with OpenAI(base_url=served.url, api_key="k", timeout=5) as client:
                stream = client.chat.completions.create(model="m", messages=USER, stream=True)
                return [part.choices[0].delta.content for part in stream]

        assert await asyncio.to_thread(run) == ["Hel", "lo \u00e9", None]


async def test_a_responses_stream() -> None:
    async with before(streaming(*RESPONSES)) as served, client_for(served) as client:
        stream = await client.responses.create(model="small", input="Say hi", stream=True)
        kinds = [part.type async for part in stream]
    assert kinds == ["response.created", "response.output_text.delta", "response.completed"]


async def test_a_chat_that_breaks_raises_and_does_not_end() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(SSE, chunked(CHAT[0]), b"5\r\ndat")

    got: list[Any] = []
    async with before(script) as served, client_for(served) as client:
        stream = await client.chat.completions.create(model="small", messages=USER, stream=True)
        with pytest.raises(openai.APIError) as failure:
            await collect(stream, got)
    assert len(got) == 1
    assert failure.value.code == "upstream_interrupted"


async def test_a_responses_stream_that_breaks_tells_by_its_error_event() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(SSE, chunked(RESPONSES[0], RESPONSES[1]))
        peer.reset()

    got: list[Any] = []
    async with before(script) as served, client_for(served) as client:
        stream = await client.responses.create(model="small", input="Say hi", stream=True)
        with pytest.raises(openai.APIError):
            await collect(stream, got)
    assert got[-1].type == "error"


async def test_a_key_of_ours_that_is_refused_is_not_tried_again() -> None:
    answer = b"HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n"
    script = Scripted(answer)
    async with (
        before(script, api_key="sk-upstream") as served,
        client_for(served, max_retries=2) as client,
    ):
        with pytest.raises(openai.InternalServerError) as failure:
            await client.chat.completions.create(model="small", messages=USER)
    assert failure.value.status_code == 502
    assert failure.value.code == "upstream_refused_key"
    assert failure.value.request_id is not None
    assert len(script.heads) == 1


async def test_an_html_page_of_some_proxy_becomes_an_error_of_the_api() -> None:
    answer = b"HTTP/1.1 503 No\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>"
    async with before(Scripted(answer)) as served, client_for(served) as client:
        with pytest.raises(openai.InternalServerError) as failure:
            await client.chat.completions.create(model="small", messages=USER)
    assert failure.value.status_code == 503
    assert failure.value.type == "service_unavailable_error"


async def test_an_upload_is_passed_on_unread() -> None:
    script = Scripted(
        ok(compact({"text": "hello", "usage": {"type": "duration", "seconds": 2}}), JSON)
    )
    entries: list[Any] = []
    async with (
        before(script, Middleware(Ledger, entries=entries)) as served,
        client_for(served) as client,
    ):
        audio = ("a.wav", b"RIFF" * 100_000)
        answer = await client.audio.transcriptions.create(model="whisper-1", file=audio)
    assert answer.text == "hello"
    assert b"RIFF" * 100_000 in script.bodies[0]
    assert entries[0][0].seconds == 2


async def test_embeddings_in_base64_pass() -> None:
    answer = {
        "object": "list",
        "model": "e",
        "data": [{"object": "embedding", "index": 0, "embedding": "AACAPwAAAEA="}],
        "usage": {"prompt_tokens": 1, "total_tokens": 1},
    }
    async with before(Scripted(ok(compact(answer), JSON))) as served, client_for(served) as client:
        made = await client.embeddings.create(model="e", input="x")
    assert made.data[0].embedding == [1.0, 2.0]


async def test_a_client_cannot_tell_that_anything_stands_between() -> None:
    async def ask(served: Gateway) -> list[Any]:
        async with client_for(served) as client:
            model = (await client.models.list()).data[0].id
            plain = await client.chat.completions.create(model=model, messages=USER)
            stream = await client.chat.completions.create(
                model=model, messages=USER, stream=True, stream_options={"include_usage": True}
            )
            parts = [part async for part in stream]
            typed = await client.responses.create(model=model, input="Say hi", stream=True)
            events = [part async for part in typed]
            made = await client.embeddings.create(model="veneer-demo-embed", input="x")
        return [model, plain, *parts, *events, made]

    def clock() -> float:
        return 1.0

    async with (
        gateway(DemoServer(clock=clock)) as demo,
        gateway(stack_of(Upstream(demo.url, api_key="k"))) as served,
    ):
        assert await ask(served) == await ask(demo)


async def test_many_streams_at_once_do_not_mix() -> None:
    async def script(peer: Peer) -> None:
        while True:
            _, body = await peer.request()
            name = body.partition(b'"content":"')[2].partition(b'"')[0].decode()
            await peer.send(SSE)
            for index in range(5):
                await peer.send(chunked(chunk(f"{name}-{index} ")))
            await peer.send(chunked(chunk(finish="stop"), DONE), b"0\r\n\r\n")

    async with before(script) as served, client_for(served) as client:

        async def one(name: str) -> str:
            said: Any = [{"role": "user", "content": name}]
            stream = await client.chat.completions.create(model="m", messages=said, stream=True)
            return "".join([part.choices[0].delta.content or "" async for part in stream])

        answers = await asyncio.gather(*(one(f"n{index}") for index in range(60)))
    assert answers == ["".join(f"n{index}-{part} " for part in range(5)) for index in range(60)]


async def test_the_stack_under_a_mount_of_a_host() -> None:
    async with serving(Scripted(ok(compact(COMPLETION), JSON))) as server:
        host = Starlette(routes=[Mount("/api/v1", stack_of(Upstream(server.url + "/v1")))])
        async with gateway(host) as served:
            url = served.url.replace("/v1", "/api/v1")
            async with AsyncOpenAI(base_url=url, api_key="k", max_retries=0) as client:
                answer = await client.chat.completions.create(model="small", messages=USER)
    assert answer.choices[0].message.content == "Hi"


# Bytes on the wire.


async def test_headers_stand_once_and_framing_is_the_servers_own() -> None:
    answer = (
        b"HTTP/1.1 200 OK\r\nDate: x\r\nServer: there\r\ncontent-type: application/json\r\n"
        b"set-cookie: a=b\r\nx-request-id: theirs\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    script = Scripted(answer, chunked(compact(COMPLETION)), b"0\r\n\r\n")
    async with before(script) as served, Caller.to(served) as caller:
        caller.post(PLAIN)
        status, headers = await caller.head()
        names = [name for name, _ in headers]
        assert status == 200
        for name in (b"date", b"server", b"x-request-id", b"content-type"):
            assert names.count(name) == 1
        assert (b"server", b"uvicorn") in headers
        assert b"set-cookie" not in names
        assert (b"content-length" in names) is not (b"transfer-encoding" in names)
        # The connection serves on.
        await caller.until(b"}\r\n0\r\n\r\n")
        caller.post(PLAIN)
        assert (await caller.head())[0] == 200


async def test_a_stream_on_the_wire() -> None:
    async with before(streaming(*CHAT)) as served, Caller.to(served) as caller:
        caller.post(STREAM)
        _, headers = await caller.head()
        assert (b"x-accel-buffering", b"no") in headers
        assert (b"cache-control", b"no-cache, no-transform") in headers
        assert b"content-length" not in [name for name, _ in headers]
        body = await caller.until(b"\r\n0\r\n\r\n")
    for part in CHAT:
        assert part in body


@pytest.mark.parametrize(
    ("path", "events"), [("/v1/chat/completions", CHAT), ("/v1/responses", RESPONSES)]
)
@pytest.mark.parametrize("clean", [True, False])
async def test_a_stream_that_breaks_is_never_ended_on_the_wire(
    path: str, events: tuple[bytes, ...], *, clean: bool
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(SSE, chunked(events[0], events[1][:-3]))
        if clean:
            await peer.send(b"0\r\n\r\n")

    async with before(script) as served, Caller.to(served) as caller:
        caller.post({**STREAM, "input": "x"}, path)
        await caller.head()
        body = await caller.rest()
    assert body.count(b"upstream_interrupted") == 1
    assert b"[DONE]" not in body
    assert not body.endswith(b"0\r\n\r\n")
    assert events[1][:-3] not in body


async def test_a_body_that_breaks_off_after_the_bound_is_cut_on_the_wire() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        head = (
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9000000\r\n\r\n"
        )
        await peer.send(head, b"[" * 5_000_000)

    async with before(script) as served, Caller.to(served) as caller:
        caller.post({"model": "e", "input": "x"}, "/v1/embeddings")
        status, headers = await caller.head()
        body = await caller.rest()
    assert status == 200
    assert (b"content-length", b"9000000") in headers
    assert len(body) < 9_000_000


@pytest.mark.parametrize(
    "framing",
    [
        b"content-length: 2\r\ntransfer-encoding: chunked",
        b"content-length: 2\r\ncontent-length: 3",
        b"content-length: 99999999999999999999999",
        b"content-length: -1",
        b"transfer-encoding: gzip",
    ],
)
async def test_smuggling_shapes_are_refused_and_reach_nobody(framing: bytes) -> None:
    script = Scripted(ok(b"{}", JSON))
    async with before(script) as served, Caller.to(served) as caller:
        head = b"POST /v1/audio/transcriptions HTTP/1.1\r\nhost: x\r\n" + framing
        caller.send(head + b"\r\n\r\n{}")
        status, _ = await caller.head()
    assert status == 400
    assert script.heads == []


async def test_a_body_over_the_limit_is_refused_while_it_comes() -> None:
    script = Scripted(ok(b"{}", JSON))
    async with before(script) as served, Caller.to(served) as caller:
        caller.send(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
            b"content-type: application/json\r\ncontent-length: 50000000\r\n\r\n{"
        )
        status, headers = await caller.head()
        assert status == 413
        assert (b"connection", b"close") in headers
    assert script.heads == []


async def test_an_unencoded_query_reaches_the_upstream_or_is_refused() -> None:
    script = Scripted(ok(b"{}", JSON))
    async with before(script) as served, Caller.to(served) as caller:
        caller.send('GET /v1/models?q=\u00e9"<> HTTP/1.1\r\nhost: x\r\n\r\n'.encode())
        status, _ = await caller.head()
    assert status in (200, 400)


# Clients that leave, and slow ones.


@pytest.mark.parametrize("events", [(), (CHAT[0],)])
async def test_a_client_that_leaves_takes_its_upstream_connection_along(
    events: tuple[bytes, ...],
) -> None:
    closed: asyncio.Queue[float] = asyncio.Queue()
    asked = asyncio.Semaphore(0)
    delays: list[float] = []

    async def script(peer: Peer) -> None:
        await peer.request()
        if events:
            await peer.send(SSE, chunked(*events))
        asked.release()
        await peer.rest()
        closed.put_nowait(time.monotonic())

    entries: list[Any] = []
    async with before(script, Middleware(Ledger, entries=entries)) as served:
        # A machine that is busy elsewhere gets a second chance.
        while min(delays, default=PROMPT) >= PROMPT and len(delays) < 5:
            async with Caller.to(served) as caller:
                caller.post(STREAM if events else PLAIN)
                await asked.acquire()
                if events:
                    await caller.until(b"Hel")
                await asyncio.sleep(0.05)
                left = time.monotonic()
                caller.leave()
                delays.append(await asyncio.wait_for(closed.get(), 5) - left)
        await eventually(lambda: len(entries) == len(delays))
    assert min(delays) < PROMPT
    assert not entries[0][1].complete


async def test_a_kept_call_is_finished_without_its_client() -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(SSE, chunked(CHAT_WITH_USAGE[0]))
        asked.set()
        await go.wait()
        await peer.send(chunked(*CHAT_WITH_USAGE[1:]), b"0\r\n\r\n")

    entries: list[Any] = []
    async with before(script, Middleware(Ledger, entries=entries, keep=True)) as served:
        async with Caller.to(served) as caller:
            caller.post(STREAM)
            await asked.wait()
            caller.leave()
        await asyncio.sleep(0.1)
        go.set()
        await eventually(lambda: entries != [])
    usage, relayed = entries[0]
    assert usage.total_tokens == 8
    assert relayed.complete


async def test_a_client_that_leaves_at_done_has_had_a_whole_answer() -> None:
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(SSE, chunked(*CHAT_WITH_USAGE))
        await go.wait()

    entries: list[Any] = []
    async with before(script, Middleware(Ledger, entries=entries)) as served:
        async with Caller.to(served) as caller:
            caller.post(STREAM)
            await caller.until(DONE)
        await eventually(lambda: entries != [])
        go.set()
    assert entries[0][0].total_tokens == 8
    assert entries[0][1].complete


async def test_a_slow_reader_holds_its_upstream_back() -> None:
    offered = 0
    part = chunked(event({"choices": [{"delta": {"content": "x" * 65_000}}]}))
    stuck = asyncio.Event()

    async def script(peer: Peer) -> None:
        nonlocal offered
        await peer.request()
        await peer.send(SSE)
        with contextlib.suppress(TimeoutError):
            while offered < 400_000_000:
                async with asyncio.timeout(0.3):
                    await peer.send(part)
                offered += len(part)
        stuck.set()
        await peer.rest()

    async with before(script) as served, Caller.to(served) as caller:
        caller.post(STREAM)
        await asyncio.wait_for(stuck.wait(), 10)
    # What the buffers of four sockets hold (dozens of MB on Linux), and not much more.
    assert offered < 100_000_000


async def test_a_slow_upstream_holds_its_uploader_back() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await asyncio.Event().wait()

    timeouts = Timeouts(write=0.3)
    async with before(script, timeouts=timeouts) as served, Caller.to(served) as caller:
        caller.send(
            b"POST /v1/audio/transcriptions HTTP/1.1\r\nhost: x\r\n"
            b"content-type: multipart/form-data; boundary=x\r\ncontent-length: 400000000\r\n\r\n"
        )
        sent = 0
        while caller.unsent == 0 and sent < 400_000_000:
            caller.send(b"x" * 65_536)
            sent += 65_536
            await asyncio.sleep(0.001)
            if caller.unsent:
                await asyncio.sleep(0.1)
        assert sent < 100_000_000


async def test_a_client_that_stalls_in_its_header_hinders_nobody() -> None:
    async with (
        before(Scripted(ok(compact(COMPLETION), JSON))) as served,
        Caller.to(served) as slow,
        Caller.to(served) as caller,
    ):
        slow.send(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-le")
        caller.post(PLAIN)
        assert (await caller.head())[0] == 200


async def test_responses_data_is_not_changed_on_its_way() -> None:
    async with before(streaming(*RESPONSES)) as served, client_for(served) as client:
        stream = await client.responses.create(model="small", input="x", stream=True)
        last = [part async for part in stream][-1]
    assert last.type == "response.completed"
    assert last.response.id == COMPLETED["id"]
