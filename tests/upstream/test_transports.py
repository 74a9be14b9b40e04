"""What holds for every transport, over real sockets."""

import asyncio
import importlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable

import pytest
import trustme

from tests.upstream.conftest import needs_uvloop
from tests.upstream.servers import Peer, answering, eventually, ok, serving
from veneer.upstream.h1 import H1Transport
from veneer.upstream.httpx_transport import HttpxTransport
from veneer.upstream.tls import client_context
from veneer.upstream.transport import (
    BodyMismatch,
    ConnectFailed,
    HeaderTimeout,
    MalformedResponse,
    ReadTimeout,
    Request,
    Response,
    Timeouts,
    Transport,
    TransportError,
    Truncated,
    WriteTimeout,
)

Make = Callable[..., Transport]

QUICK = Timeouts(connect=5, write=0.1, response_header=0.1, read=0.1, pool=5)


@pytest.fixture(params=["h1", pytest.param("h1-uvloop", marks=needs_uvloop), "httpx", "httpx2"])
def kind(request: pytest.FixtureRequest) -> str:
    """Return the kind of transport to test."""
    assert isinstance(request.param, str)
    return request.param


@pytest.fixture
def anyio_backend(kind: str) -> object:
    """Run on uvloop only what is written for it, too."""
    return "asyncio", {"use_uvloop": kind.endswith("uvloop")}


@pytest.fixture
async def make(kind: str) -> AsyncIterator[Make]:
    """Return what makes a transport of each kind; they are closed after the test."""
    made: list[Transport] = []

    def make_one(
        url: str, timeouts: Timeouts | None = None, tls: ssl.SSLContext | None = None
    ) -> Transport:
        transport: Transport
        if kind.startswith("h1"):
            transport = H1Transport(url, timeouts=timeouts, ssl_context=tls)
        else:
            module = importlib.import_module(kind)
            client = module.AsyncClient(verify=client_context() if tls is None else tls)
            transport = HttpxTransport(client, url, timeouts=timeouts, close_client=True)
        made.append(transport)
        return transport

    yield make_one
    for transport in made:
        await transport.aclose()


def get(target: bytes = b"/", *fields: tuple[bytes, bytes]) -> Request:
    return Request(b"GET", target, list(fields))


async def body_of(response: Response) -> bytes:
    """Read a response to its end."""
    parts = []
    while data := await response.read():
        parts.append(data)
    assert response.ended
    assert await response.read() == b""
    return b"".join(parts)


async def parts(*items: bytes) -> AsyncIterator[bytes]:
    for item in items:
        await asyncio.sleep(0)
        yield item


async def test_a_request_goes_out_as_it_is(make: Make) -> None:
    seen: list[tuple[bytes, bytes]] = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.request())
        await peer.send(ok())

    async with serving(script) as server:
        transport = make(server.url)
        fields = [(b"x-b", b"1"), (b"x-a", b"\xe9"), (b"x-b", b"2"), (b"user-agent", b"us")]
        target = b"/a/../b//%7e%2F?q=%20&q=a'b"
        response = await transport.request(Request(b"POST", target, fields, b"{}"))
        assert await body_of(response) == b"ok"
        lines = [
            b"POST " + target + b" HTTP/1.1",
            b"host: " + server.url.removeprefix("http://").encode(),
            b"x-b: 1",
            b"x-a: \xe9",
            b"x-b: 2",
            b"user-agent: us",
            b"content-length: 2",
        ]
        assert seen == [(b"\r\n".join(lines) + b"\r\n\r\n", b"{}")]


async def test_a_get_has_no_framing_and_a_post_always_has(make: Make) -> None:
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        for _ in range(2):
            seen.append((await peer.request())[0])
            await peer.send(ok())

    async with serving(script) as server:
        transport = make(server.url)
        await body_of(await transport.request(get()))
        await body_of(await transport.request(Request(b"POST", b"/", [])))
    assert b"content-length" not in seen[0]
    assert b"transfer-encoding" not in seen[0]
    assert b"content-length: 0\r\n" in seen[1]


async def test_fields_of_a_response_keep_order_and_number(make: Make) -> None:
    raw = ok(b"", b"X-B: 1", b"Set-Cookie: a=1", b"x-a: \xe9", b"set-cookie: b=2", b"X-Empty:")
    async with serving(answering(raw)) as server:
        response = await make(server.url).request(get())
        assert response.status == 200
        assert response.headers == [
            (b"x-b", b"1"),
            (b"set-cookie", b"a=1"),
            (b"x-a", b"\xe9"),
            (b"set-cookie", b"b=2"),
            (b"x-empty", b""),
            (b"content-length", b"0"),
        ]
        assert await body_of(response) == b""


async def test_cookies_of_one_response_do_not_go_with_the_next_request(make: Make) -> None:
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        for _ in range(2):
            seen.append((await peer.request())[0])
            await peer.send(ok(b"", b"set-cookie: a=1"))

    async with serving(script) as server:
        transport = make(server.url)
        await body_of(await transport.request(get()))
        await body_of(await transport.request(get()))
    assert seen[0] == seen[1]


async def test_redirects_come_back(make: Make) -> None:
    raw = b"HTTP/1.1 307 Elsewhere\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n"
    async with serving(answering(raw)) as server:
        response = await make(server.url).request(get())
        assert response.status == 307
        assert await body_of(response) == b""


async def test_a_compressed_body_stays_compressed(make: Make) -> None:
    async with serving(answering(ok(b"\x1f\x8bnot", b"content-encoding: gzip"))) as server:
        assert await body_of(await make(server.url).request(get())) == b"\x1f\x8bnot"


@pytest.mark.parametrize(
    "framed",
    [
        b"content-length: 10\r\n\r\n0123456789",
        b"transfer-encoding: chunked\r\n\r\n4\r\n0123\r\n6;x=y\r\n456789\r\n0\r\nt: u\r\n\r\n",
        b"connection: close\r\n\r\n0123456789",
    ],
    ids=["length", "chunks", "end"],
)
async def test_bodies_arrive_whole(make: Make, framed: bytes) -> None:
    async with serving(answering(b"HTTP/1.1 200 OK\r\n" + framed)) as server:
        assert await body_of(await make(server.url).request(get())) == b"0123456789"


@pytest.mark.parametrize("status", [204, 304])
async def test_some_statuses_have_no_body(make: Make, status: int) -> None:
    async with serving(answering(b"HTTP/1.1 %d X\r\n\r\n" % status)) as server:
        response = await make(server.url).request(get())
        assert response.status == status
        assert await body_of(response) == b""


async def test_an_answer_to_head_has_no_body(make: Make) -> None:
    async with serving(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n")) as server:
        response = await make(server.url).request(Request(b"HEAD", b"/", []))
        assert response.headers == [(b"content-length", b"10")]
        assert await body_of(response) == b""


async def test_interim_responses_do_not_show(make: Make) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"
    async with serving(answering(interim + ok())) as server:
        response = await make(server.url).request(get())
        assert (response.status, response.headers) == (200, [(b"content-length", b"2")])
        assert await body_of(response) == b"ok"


async def test_events_flow_as_they_come(make: Make) -> None:
    more = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for number in range(3):
            await more.wait()
            more.clear()
            await peer.send(b"1\r\n%d\r\n" % number)
        await peer.send(b"0\r\n\r\n")

    async with serving(script) as server:
        response = await make(server.url).request(get())
        for expected in (b"0", b"1", b"2"):
            assert not response.ended
            more.set()
            assert await response.read() == expected
        assert await body_of(response) == b""


async def test_a_body_of_known_length_is_streamed(make: Make) -> None:
    seen: list[tuple[bytes, bytes]] = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.request())
        await peer.send(ok())

    async with serving(script) as server:
        request = Request(b"POST", b"/", [], parts(b"abc", b"", b"defg"), 7)
        assert await body_of(await make(server.url).request(request)) == b"ok"
    assert b"content-length: 7\r\n" in seen[0][0]
    assert seen[0][1] == b"abcdefg"


async def test_a_body_of_unknown_length_is_chunked(make: Make) -> None:
    seen: list[tuple[bytes, bytes]] = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.request())
        await peer.send(ok())

    async with serving(script) as server:
        request = Request(b"POST", b"/", [], parts(b"abc", b"", b"0123456789abcdef"))
        assert await body_of(await make(server.url).request(request)) == b"ok"
    assert b"transfer-encoding: chunked\r\n" in seen[0][0]
    assert seen[0][1] == b"3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"


@pytest.mark.parametrize("size", [65_536, 65_537, 3_000_000])
async def test_large_bodies_arrive_whole(make: Make, size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        seen.append((await peer.request())[1])
        await peer.send(ok(body))

    async with serving(script) as server:
        request = Request(b"POST", b"/", [], body)
        assert await body_of(await make(server.url).request(request)) == body
    assert seen == [body]


@pytest.mark.parametrize("items", [[b"abc"], [b"abc", b"def", b"g"], [b"abcdefg"], []])
async def test_a_body_of_another_length_is_never_completed(make: Make, items: list[bytes]) -> None:
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.head()
        seen.append(await peer.rest())

    async with serving(script) as server:
        with pytest.raises(BodyMismatch):
            await make(server.url).request(Request(b"POST", b"/", [], parts(*items), 5))
        await eventually(lambda: bool(seen))
    assert len(seen[0]) < 5


async def test_what_the_body_raises_comes_out_and_closes_the_connection(make: Make) -> None:
    closed = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.rest()
        closed.set()

    async def broken() -> AsyncIterator[bytes]:
        yield b"abc"
        raise LookupError("the client is gone")

    async with serving(script) as server:
        with pytest.raises(LookupError, match="gone"):
            await make(server.url).request(Request(b"POST", b"/", [], broken()))
        async with asyncio.timeout(5):
            await closed.wait()


@pytest.mark.parametrize(
    "cut",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\n0123\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\n0123\r\n0\r\n",
    ],
)
async def test_a_body_cut_short_is_truncated(make: Make, cut: bytes) -> None:
    async with serving(answering(cut)) as server:
        response = await make(server.url).request(get())
        assert await response.read() == b"0123"
        for _ in range(2):
            with pytest.raises(Truncated):
                await response.read()
        assert not response.ended


async def test_a_reset_in_the_body_is_truncated(make: Make) -> None:
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\n0123")
        await go.wait()
        peer.reset()

    async with serving(script) as server:
        response = await make(server.url).request(get())
        assert await response.read() == b"0123"
        go.set()
        with pytest.raises(Truncated):
            await response.read()


@pytest.mark.parametrize("cut", [b"", b"HTTP/1.1 200 OK\r\ncontent"])
async def test_an_end_before_the_header_is_truncated(make: Make, cut: bytes) -> None:
    async with serving(answering(cut)) as server:
        with pytest.raises(Truncated):
            await make(server.url).request(get())


@pytest.mark.parametrize(
    "raw",
    [
        b"<html>\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nx y: z\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_malformed(make: Make, raw: bytes) -> None:
    async with serving(answering(raw)) as server:
        with pytest.raises(MalformedResponse):
            await make(server.url).request(get())


async def test_bad_chunks_are_malformed(make: Make) -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    async with serving(
        answering(
            head + b"1\r\na\r\n",
        )
    ) as server:
        response = await make(server.url).request(get())
        assert await response.read() == b"a"
        await response.aclose()
    async with serving(answering(head + b"xyz\r\n")) as server:
        with pytest.raises(MalformedResponse):
            await body_of(await make(server.url).request(get()))


async def test_a_silent_upstream_times_out_before_the_header(make: Make) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.rest()

    async with serving(script) as server:
        with pytest.raises(HeaderTimeout):
            await make(server.url, QUICK).request(get())


async def test_a_header_that_dribbles_in_times_out(make: Make) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n")
        while True:
            await peer.send(b"x: y\r\n")
            await asyncio.sleep(0.02)

    async with serving(script) as server:
        with pytest.raises(HeaderTimeout):
            await make(server.url, QUICK).request(get())


async def test_the_body_has_a_time_of_its_own(make: Make) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n")
        for _ in range(4):
            await peer.send(b"0")
            await asyncio.sleep(0.05)
        await peer.rest()

    async with serving(script) as server:
        response = await make(server.url, QUICK).request(get())
        read = b""
        while len(read) < 4:
            read += await response.read()
        with pytest.raises(ReadTimeout):
            await response.read()


async def test_a_slow_reader_is_not_the_upstreams_silence(make: Make) -> None:
    async with serving(answering(ok(b"0123456789"))) as server:
        response = await make(server.url, QUICK).request(get())
        await asyncio.sleep(0.25)
        assert await body_of(response) == b"0123456789"


async def test_an_upstream_that_stops_taking_the_request_times_out(make: Make) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await asyncio.sleep(60)

    async with serving(script) as server:
        with pytest.raises(WriteTimeout):
            await make(server.url, QUICK).request(Request(b"POST", b"/", [], bytes(50_000_000)))


async def test_a_slow_upload_is_not_a_silent_upstream(make: Make) -> None:
    async def slow() -> AsyncIterator[bytes]:
        for _ in range(3):
            await asyncio.sleep(0.1)
            yield b"x"

    async with serving(answering(ok())) as server:
        response = await make(server.url, QUICK).request(Request(b"POST", b"/", [], slow(), 3))
        assert await body_of(response) == b"ok"


async def test_an_upload_waits_for_a_slow_upstream(make: Make) -> None:
    given = 0
    go = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        nonlocal given
        for _ in range(2000):
            given += 1
            yield bytes(16_384)

    async def script(peer: Peer) -> None:
        await peer.head()
        await go.wait()
        await peer.rest()

    async with serving(script) as server:
        task = asyncio.create_task(
            make(server.url).request(Request(b"POST", b"/", [], endless(), 2000 * 16_384))
        )
        before = -1
        while before != given or not given:
            before = given
            await asyncio.sleep(0.1)
        # The buffers of two sockets and a little more, of 33 MB.
        assert given < 1200
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go.set()


async def test_a_slow_reader_slows_the_upstream(make: Make) -> None:
    total = 40_000_000
    stuck = 0

    async def script(peer: Peer) -> None:
        nonlocal stuck
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % total)
        stuck = peer.offer(bytes(total))
        for _ in range(3):
            await asyncio.sleep(0.1)
            stuck = peer.stuck
        await peer.send(b"")

    async with serving(script) as server:
        response = await make(server.url).request(get())
        await asyncio.sleep(0.4)
        assert stuck > total / 2
        assert len(await body_of(response)) == total


async def test_closing_a_response_early_closes_its_connection(make: Make) -> None:
    closed = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n")
        await peer.rest()
        closed.set()

    async with serving(script) as server:
        response = await make(server.url).request(get())
        await response.aclose()
        await response.aclose()
        async with asyncio.timeout(5):
            await closed.wait()
        with pytest.raises(Truncated):
            await response.read()
        assert not response.ended


async def test_a_connection_is_used_again(make: Make) -> None:
    async with serving(answering(*[ok()] * 5)) as server:
        transport = make(server.url)
        for _ in range(5):
            response = await transport.request(get())
            assert await body_of(response) == b"ok"
            await response.aclose()
        assert server.connections == 1


async def test_a_connection_that_says_close_is_not_used_again(make: Make) -> None:
    async with serving(answering(ok(b"ok", b"connection: close"))) as server:
        transport = make(server.url)
        for _ in range(3):
            assert await body_of(await transport.request(get())) == b"ok"
        assert server.connections == 3


async def test_nobody_listening_is_a_failure_to_connect(make: Make) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectFailed):
            await make(f"http://127.0.0.1:{unused.getsockname()[1]}").request(get())


@pytest.mark.parametrize("phase", ["header", "body"])
async def test_cancelling_closes_the_connection(make: Make, phase: str) -> None:
    closed = asyncio.Event()
    waiting = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        if phase == "body":
            await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n")
        waiting.set()
        await peer.rest()
        closed.set()

    async def call(transport: Transport) -> None:
        response = await transport.request(get())
        await response.read()

    async with serving(script) as server:
        task = asyncio.create_task(call(make(server.url)))
        await waiting.wait()
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(5):
            await closed.wait()


@pytest.mark.parametrize(
    "request_",
    [
        Request(b"GET", b"/ HTTP/1.1\r\nx: y", []),
        Request(b"GET", b"/a b", []),
        Request(b"GET", b"", []),
        Request(b"GET /x", b"/", []),
        Request(b"CONNECT", b"/", []),
        Request(b"GET", b"/", [(b"x", b"y\r\nz: a")]),
        Request(b"GET", b"/", [(b"x", b"y\nz: a")]),
        Request(b"GET", b"/", [(b"x", b"y\0")]),
        Request(b"GET", b"/", [(b"x\r\n", b"y")]),
        Request(b"GET", b"/", [(b"host", b"elsewhere")]),
        Request(b"POST", b"/", [(b"content-length", b"5")], b"abc"),
        Request(b"POST", b"/", [(b"transfer-encoding", b"chunked")], b"abc"),
    ],
)
async def test_a_request_that_could_be_read_as_another_is_not_sent(
    make: Make, request_: Request
) -> None:
    async with serving(answering(ok())) as server:
        with pytest.raises(ValueError, match=r"request|transport"):
            await make(server.url).request(request_)
        assert server.connections == 0


def server_context(authority: trustme.CA, host: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    return context


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Return a certificate authority that only these tests know."""
    return trustme.CA()


async def test_tls_is_verified_against_the_authority_given(
    make: Make, authority: trustme.CA
) -> None:
    with authority.cert_pem.tempfile() as ca_file:
        context = client_context(ca_file)
    script = answering(ok(), ok(bytes(1_000_000)))
    async with serving(script, tls=server_context(authority, "127.0.0.1")) as server:
        transport = make(server.url, tls=context)
        assert await body_of(await transport.request(get())) == b"ok"
        assert len(await body_of(await transport.request(get()))) == 1_000_000


async def test_large_uploads_go_over_tls(make: Make, authority: trustme.CA) -> None:
    context = client_context()
    authority.configure_trust(context)
    async with serving(answering(ok()), tls=server_context(authority, "127.0.0.1")) as server:
        transport = make(server.url, tls=context)
        request = Request(b"POST", b"/", [], bytes(3_000_000))
        assert await body_of(await transport.request(request)) == b"ok"


async def test_an_unknown_authority_is_refused(make: Make, authority: trustme.CA) -> None:
    async with serving(answering(ok()), tls=server_context(authority, "127.0.0.1")) as server:
        with pytest.raises(ConnectFailed):
            await make(server.url).request(get())


async def test_a_certificate_for_another_host_is_refused(make: Make, authority: trustme.CA) -> None:
    context = client_context()
    authority.configure_trust(context)
    async with serving(answering(ok()), tls=server_context(authority, "else.test")) as server:
        with pytest.raises(ConnectFailed):
            await make(server.url, tls=context).request(get())


async def test_a_server_without_tls_is_refused(make: Make) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 400 Bad\r\ncontent-length: 0\r\n\r\n")

    async with serving(script) as server:
        with pytest.raises(TransportError):
            await make(server.url.replace("http:", "https:")).request(get())


async def test_ipv6_addresses_work(make: Make) -> None:
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.head())
        await peer.send(ok())

    try:
        async with serving(script, host="::1") as server:
            assert await body_of(await make(server.url).request(get())) == b"ok"
            assert b"host: [::1]:%d\r\n" % server.port in seen[0]
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
