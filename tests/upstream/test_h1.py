"""What only our own transport promises."""

import asyncio
import gc
import ssl
import weakref
from collections.abc import AsyncIterator, Awaitable, Generator
from typing import cast

import pytest
import trustme

from tests.upstream.servers import Peer, Script, answering, eventually, ok, serving
from veneer.upstream.h1 import H1Transport
from veneer.upstream.response import H1Response
from veneer.upstream.tls import client_context
from veneer.upstream.transport import (
    ConnectFailed,
    ConnectTimeout,
    HeaderTimeout,
    PoolLimits,
    PoolTimeout,
    Request,
    Timeouts,
    Truncated,
    WriteTimeout,
)

GET = Request(b"GET", b"/", [])
START = b"HTTP/1.1 200 OK\r\n"


async def settle(transport: H1Transport, *, opened: int, idle: int = 0, waiting: int = 0) -> None:
    """Wait until the counters are as told."""
    expected = (opened, idle, waiting)
    await eventually(lambda: (transport.open, transport.idle, transport.waiting) == expected)


async def get(transport: H1Transport) -> bytes:
    response = await transport.request(GET)
    body = await response.read()
    assert response.ended
    return body


async def test_a_whole_response_frees_its_connection_before_it_is_read() -> None:
    async with serving(answering(ok(), ok())) as server:
        transport = H1Transport(server.url)
        first = await transport.request(GET)
        assert (transport.open, transport.idle) == (1, 1)
        second = await transport.request(GET)
        assert await first.read() == b"ok"
        assert first.ended
        await first.aclose()
        assert await second.read() == b"ok"
        assert server.connections == 1
        await transport.aclose()
        assert (transport.open, transport.idle, transport.waiting) == (0, 0, 0)


async def test_a_response_without_body_has_ended_at_once() -> None:
    async with serving(answering(ok(b""))) as server:
        transport = H1Transport(server.url)
        response = await transport.request(GET)
        assert response.ended
        await transport.aclose()


async def test_read_returns_all_that_has_come() -> None:
    chunks = b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n"
    async with serving(answering(START + chunks)) as server:
        transport = H1Transport(server.url)
        response = await transport.request(GET)
        await asyncio.sleep(0.02)
        assert await response.read() == b"abc"
        await transport.aclose()


async def test_the_last_used_connection_is_used_first() -> None:
    served: list[int] = []

    async def script(peer: Peer) -> None:
        number = len(served)
        served.append(0)
        while True:
            await peer.request()
            served[number] += 1
            await asyncio.sleep(0.01)
            await peer.send(ok())

    async with serving(script) as server:
        transport = H1Transport(server.url)
        await asyncio.gather(get(transport), get(transport))
        for _ in range(5):
            await get(transport)
        assert sorted(served) == [1, 6]
        await transport.aclose()


async def test_an_idle_connection_expires() -> None:
    async with serving(answering(*[ok()] * 3)) as server:
        transport = H1Transport(server.url, limits=PoolLimits(keepalive_expiry=0.05))
        await get(transport)
        assert transport.idle == 1
        await settle(transport, opened=0)
        await get(transport)
        assert server.connections == 2
        await transport.aclose()


async def test_an_expired_connection_is_not_taken_even_before_it_is_swept() -> None:
    async with serving(answering(*[ok()] * 3)) as server:
        # An upstream that promises a second gets half of one, one of none is not waited for.
        fields = (b"keep-alive: timeout=0",)
        async with serving(answering(*[ok(b"ok", *fields)] * 3)) as other:
            transport = H1Transport(other.url)
            await get(transport)
            assert (transport.open, transport.idle) == (0, 0)
            await transport.aclose()
        transport = H1Transport(server.url, limits=PoolLimits(keepalive_expiry=0))
        await get(transport)
        await get(transport)
        assert server.connections == 2
        await transport.aclose()


async def test_no_more_than_so_many_connections_idle() -> None:
    async with serving(answering(ok(), ok())) as server:
        transport = H1Transport(server.url, limits=PoolLimits(max_idle=1))
        await asyncio.gather(*[get(transport) for _ in range(5)])
        assert (transport.open, transport.idle) == (1, 1)
        await transport.aclose()


@pytest.mark.parametrize("sends", [b"", b"HTTP/1.1 408 Too slow\r\n\r\n", b"\r\n"])
async def test_an_idle_connection_that_says_anything_is_dropped(sends: bytes) -> None:
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(ok())
        await go.wait()
        await peer.send(sends)
        if sends:
            await peer.rest()

    async with serving(script) as server:
        transport = H1Transport(server.url)
        await get(transport)
        assert transport.idle == 1
        go.set()
        await settle(transport, opened=0)
        assert await get(transport) == b"ok"
        assert server.connections == 2
        await transport.aclose()


async def test_a_second_response_is_for_nobody() -> None:
    async with serving(answering(ok() + ok(b"poison"))) as server:
        transport = H1Transport(server.url)
        for _ in range(2):
            assert await get(transport) == b"ok"
            assert transport.open == 0
        await transport.aclose()


async def test_what_comes_before_the_request_is_not_its_answer() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(ok(b"poison"))
        await peer.rest()

    async with serving(script) as server:
        transport = H1Transport(server.url)
        pool = transport._bound_pool()
        connection = await transport._connect()
        await eventually(lambda: connection.closed)
        assert pool.open == 0
        await transport.aclose()


async def test_callers_wait_their_turn_and_no_longer_than_they_may() -> None:
    go = asyncio.Event()
    order: list[int] = []

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await go.wait()
            await peer.send(ok())

    async def call(transport: H1Transport, number: int) -> None:
        await get(transport)
        order.append(number)

    async with serving(script) as server:
        limits = PoolLimits(max_connections=1, max_waiting=3)
        transport = H1Transport(server.url, limits=limits, timeouts=Timeouts(pool=5))
        calls = [asyncio.create_task(call(transport, number)) for number in range(4)]
        await settle(transport, opened=1, waiting=3)
        with pytest.raises(PoolTimeout, match="too many"):
            await transport.request(GET)
        go.set()
        await asyncio.gather(*calls)
        assert order == [0, 1, 2, 3]
        assert server.connections == 1
        await transport.aclose()


async def test_a_wait_for_a_connection_ends() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.rest()

    async with serving(script) as server:
        transport = H1Transport(
            server.url, limits=PoolLimits(max_connections=1), timeouts=Timeouts(pool=0.05)
        )
        first = asyncio.create_task(transport.request(GET))
        await settle(transport, opened=1)
        with pytest.raises(PoolTimeout, match="in time"):
            await transport.request(GET)
        assert transport.waiting == 0
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert transport.open == 0
        await transport.aclose()


async def test_a_failure_to_connect_gives_the_place_to_the_next() -> None:
    async with serving(answering(ok())) as server:
        url = server.url
    transport = H1Transport(url, limits=PoolLimits(max_connections=1))
    results = await asyncio.gather(
        *[transport.request(GET) for _ in range(5)], return_exceptions=True
    )
    assert {type(result) for result in results} == {ConnectFailed}
    assert (transport.open, transport.waiting) == (0, 0)
    await transport.aclose()


async def test_an_early_answer_ends_the_upload_and_the_connection() -> None:
    given = 0
    ended = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        nonlocal given
        try:
            while True:
                given += 1
                yield bytes(1000)
                await asyncio.sleep(0.001)
        finally:
            ended.set()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 413 Too large\r\ncontent-length: 4\r\n\r\nstop")
        await peer.rest()

    async with serving(script) as server:
        transport = H1Transport(server.url)
        response = await transport.request(Request(b"POST", b"/", [], endless()))
        assert (response.status, await response.read()) == (413, b"stop")
        assert ended.is_set()
        assert transport.open == 0
        await transport.aclose()


async def test_an_early_answer_to_bytes_ends_the_upload_too() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 413 Too large\r\ncontent-length: 4\r\n\r\nstop")
        await asyncio.sleep(0.2)

    async with serving(script) as server:
        transport = H1Transport(server.url)
        response = await transport.request(Request(b"POST", b"/", [], bytes(50_000_000)))
        assert (response.status, await response.read()) == (413, b"stop")
        assert transport.open == 0
        await transport.aclose()


@pytest.mark.parametrize("fails", [False, True])
async def test_an_answer_in_the_moment_an_upload_ends(*, fails: bool) -> None:
    async def body() -> None:
        if fails:
            raise LookupError

    async with serving(answering(ok(), b"")) as server:
        transport = H1Transport(server.url)
        await get(transport)
        connection = transport._pool.take()  # type: ignore[union-attr]  # it has sent a request
        assert connection is not None
        waiter = connection.send(GET, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        connection.uploading = asyncio.create_task(body())
        await asyncio.wait([connection.uploading])
        connection.data_received(ok(b"early"))
        assert await (await waiter).read() == b"early"
        # Half a request is on the wire if the body failed: nothing may follow it.
        assert connection.closed == fails
        await transport.aclose()


async def test_a_body_that_fails_when_nobody_waits_any_more() -> None:
    go = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        await go.wait()
        raise LookupError
        yield b""

    async with serving(answering(b"")) as server:
        transport = H1Transport(server.url)
        connection = await transport._bound_pool().acquire()
        request = Request(b"POST", b"/", [], body())
        waiter = connection.send(request, b"POST / HTTP/1.1\r\nhost: x\r\n\r\n")
        waiter.cancel()
        go.set()
        await eventually(lambda: connection.closed)
        connection.resume_writing()
        await transport.aclose()


async def test_a_body_that_is_cancelled_cancels_the_request() -> None:
    async def cancelled() -> AsyncIterator[bytes]:
        yield b"abc"
        raise asyncio.CancelledError

    async with serving(answering(ok())) as server:
        transport = H1Transport(server.url)
        with pytest.raises(asyncio.CancelledError):
            await transport.request(Request(b"POST", b"/", [], cancelled()))
        assert transport.open == 0
        await transport.aclose()


async def test_a_small_body_that_is_not_taken_times_out_as_written() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(ok())
        await asyncio.sleep(60)

    async with serving(script) as server:
        transport = H1Transport(server.url, timeouts=Timeouts(write=0.1, response_header=5, read=5))
        # Fill what the sockets hold, by a request on the same connection that is answered early.
        await get(transport)
        connection = transport._pool.take()  # type: ignore[union-attr]  # it has sent a request
        assert connection is not None
        connection.pause_writing()
        waiter = connection.send(GET, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        with pytest.raises(WriteTimeout):
            await waiter
        await transport.aclose()


async def test_once_a_small_body_is_taken_the_header_is_waited_for() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(ok())
        await asyncio.sleep(60)

    async with serving(script) as server:
        transport = H1Transport(server.url, timeouts=Timeouts(write=5, response_header=0.1))
        await get(transport)
        connection = transport._pool.take()  # type: ignore[union-attr]  # it has sent a request
        assert connection is not None
        connection.pause_writing()
        waiter = connection.send(GET, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        connection.resume_writing()
        with pytest.raises(HeaderTimeout):
            await waiter
        await transport.aclose()


async def test_trailers_that_dribble_in_do_not_prolong_the_wait() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(START + b"transfer-encoding: chunked\r\n\r\n0\r\n")
        while True:
            await peer.send(b"t: u\r\n")
            await asyncio.sleep(0.02)

    async with serving(script) as server:
        transport = H1Transport(server.url, timeouts=Timeouts(read=0.1))
        response = await transport.request(GET)
        async with asyncio.timeout(5):
            with pytest.raises(Exception, match="silent"):
                await response.read()
        await transport.aclose()


async def test_unread_bytes_are_bounded() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(START + b"content-length: 50000000\r\n\r\n")
        peer.offer(bytes(50_000_000))
        await asyncio.sleep(60)

    async with serving(script) as server:
        transport = H1Transport(server.url)
        response = await transport.request(GET)
        seen = 0
        while seen < 50_000_000:
            await asyncio.sleep(0)
            assert response.unread <= 65_536 + 262_144
            seen += len(await response.read())
        assert response.ended
        assert transport.idle == 1
        await transport.aclose()


async def test_what_comes_while_reading_is_paused_is_not_lost() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(START + b"content-length: 100002\r\n\r\n" + bytes(100_000))
        await peer.request()
        await peer.send(ok())

    async with serving(script) as server:
        transport = H1Transport(server.url)
        connection = await transport._bound_pool().acquire()
        response = await connection.send(GET, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await eventually(lambda: response.unread == 100_000)
        # TLS hands over what it has decrypted already.
        connection.data_received(b"ok")
        assert await response.read() == bytes(100_000) + b"ok"
        assert response.ended
        assert await get(transport) == b"ok"
        assert server.connections == 1
        await transport.aclose()


async def test_a_response_has_one_reader() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(START + b"content-length: 5\r\n\r\n")
        await peer.rest()

    async with serving(script) as server:
        transport = H1Transport(server.url)
        response = await transport.request(GET)
        first = asyncio.create_task(response.read())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="read already"):
            await response.read()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert transport.open == 0
        await transport.aclose()


@pytest.mark.parametrize("steps", range(12))
async def test_cancelling_at_any_step_leaves_nothing_behind(steps: int) -> None:
    async with serving(answering(*[ok()] * 20)) as server:
        transport = H1Transport(server.url, limits=PoolLimits(max_connections=2, max_idle=0))
        tasks = [asyncio.create_task(get(transport)) for _ in range(5)]
        for _ in range(steps):
            await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert [task.result() for task in tasks[1::2]] == [b"ok", b"ok"]
        assert (transport.open, transport.waiting) == (0, 0)
        await transport.aclose()


class CancelledAt:
    """Awaits `inner`, and cancels it when what it waits for at that `step` has come."""

    def __init__(self, inner: Awaitable[object], step: int) -> None:
        self._inner = inner
        self._step = step

    def __await__(self) -> Generator[object, None, object]:
        running = cast("Generator[object, None, object]", self._inner.__await__())
        for _ in range(self._step + 1):
            try:
                yield next(running)
            except StopIteration as end:
                return end.value
        first = running.throw(asyncio.CancelledError())
        yield first
        return (yield from running)


@pytest.mark.parametrize("step", range(10))
async def test_an_answer_to_an_upload_is_dropped_wherever_its_caller_is_cancelled(
    step: int,
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(START, b"transfer-encoding: chunked\r\n\r\n2\r\nok\r\n")
        await peer.rest()

    async with serving(script) as server:
        transport = H1Transport(server.url, limits=PoolLimits(max_idle=0))
        upload = Request(b"POST", b"/", [], b"a" * 70_000)
        try:
            response = await CancelledAt(transport.request(upload), step)
        except asyncio.CancelledError:
            pass
        else:
            assert isinstance(response, H1Response)
            await response.aclose()
            assert step > 1
        await settle(transport, opened=0)
        await transport.aclose()


async def test_cancelling_an_upload_ends_its_task() -> None:
    ended = asyncio.Event()

    async def stuck() -> AsyncIterator[bytes]:
        yield b"abc"
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.rest()

    async with serving(script) as server:
        transport = H1Transport(server.url)
        task = asyncio.create_task(transport.request(Request(b"POST", b"/", [], stuck())))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.is_set()
        assert transport.open == 0
        await transport.aclose()


async def test_closing_the_transport_ends_what_is_under_way() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(START + b"content-length: 5\r\n\r\n")
        await peer.rest()

    async with serving(script) as server:
        transport = H1Transport(server.url, limits=PoolLimits(max_connections=1))
        response = await transport.request(GET)
        reading = asyncio.create_task(response.read())
        waiting = asyncio.create_task(transport.request(GET))
        await settle(transport, opened=1, waiting=1)
        await transport.aclose()
        for task in (reading, waiting):
            with pytest.raises(Truncated):
                await task
        assert (transport.open, transport.waiting) == (0, 0)
        with pytest.raises(ConnectFailed, match="closed"):
            await transport.request(GET)
        await transport.aclose()


async def test_a_transport_that_was_never_used_can_be_closed() -> None:
    transport = H1Transport("http://127.0.0.1:1")
    assert (transport.open, transport.idle, transport.waiting) == (0, 0, 0)
    await transport.aclose()


def test_a_transport_belongs_to_one_loop() -> None:
    transport = H1Transport("http://127.0.0.1:1")

    async def call() -> None:
        with pytest.raises(ConnectFailed):
            await transport.request(GET)

    asyncio.run(call())

    async def call_again() -> None:
        with pytest.raises(RuntimeError, match="another event loop"):
            await transport.request(GET)

    asyncio.run(call_again())


async def test_connecting_has_its_time() -> None:
    never = asyncio.Event()

    async def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await never.wait()
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    # It accepts, and never answers the TLS handshake.
    transport = H1Transport(f"https://127.0.0.1:{port}", timeouts=Timeouts(connect=0.1))
    with pytest.raises(ConnectTimeout):
        await transport.request(GET)
    assert transport.open == 0
    never.set()
    server.close()
    await server.wait_closed()
    await transport.aclose()


async def test_a_connection_made_too_late_is_closed() -> None:
    async with serving(answering(ok())) as server:
        transport = H1Transport(server.url)
        task = asyncio.create_task(transport.request(GET))
        await asyncio.sleep(0)
        await transport.aclose()
        with pytest.raises(Truncated):
            await task
        assert transport.open == 0
        await asyncio.sleep(0.01)


async def test_a_closed_connection_leaves_no_garbage() -> None:
    async with serving(answering(ok())) as server:
        transport = H1Transport(server.url)
        await get(transport)
        assert transport._pool is not None
        connection = transport._pool.take()
        assert connection is not None
        gone = weakref.ref(connection)
        connection.abort()
        await asyncio.sleep(0.01)
        del connection
        gc.collect()
        assert gone() is None
        await transport.aclose()


def tls_server(authority: trustme.CA, *protocols: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    context.set_alpn_protocols(protocols)
    return context


async def test_over_tls_only_the_upstream_can_end_a_body_without_length() -> None:
    authority = trustme.CA()
    trusting = client_context()
    authority.configure_trust(trusting)
    hangs_up = False

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(START + b"\r\nhalf")
        await asyncio.sleep(0.02)
        if hangs_up:
            peer.hang_up()
            await peer.rest()

    async with serving(script, tls=tls_server(authority, "http/1.1")) as server:
        transport = H1Transport(server.url, ssl_context=trusting)
        response = await transport.request(GET)
        assert await response.read() == b"half"
        assert await response.read() == b""
        assert response.ended
        hangs_up = True
        response = await transport.request(GET)
        assert await response.read() == b"half"
        with pytest.raises(Truncated):
            await response.read()
        await transport.aclose()


async def test_alpn_offers_http_1_1_and_no_other_is_taken() -> None:
    authority = trustme.CA()
    trusting = client_context()
    authority.configure_trust(trusting)
    async with serving(answering(ok()), tls=tls_server(authority, "h2", "http/1.1")) as server:
        transport = H1Transport(server.url, ssl_context=trusting)
        assert await get(transport) == b"ok"
        await transport.aclose()
    greedy = ssl.create_default_context()
    greedy.set_alpn_protocols(["h2", "http/1.1"])
    authority.configure_trust(greedy)
    async with serving(answering(ok()), tls=tls_server(authority, "h2")) as server:
        transport = H1Transport(server.url, ssl_context=greedy)
        with pytest.raises(ConnectFailed, match="ALPN"):
            await transport.request(GET)
        assert transport.open == 0
        await transport.aclose()


async def test_one_address_of_a_name_is_asked_in_the_name() -> None:
    """Host, TLS and the certificate go by the name, which need not even resolve."""
    authority = trustme.CA()
    trusting = client_context()
    authority.configure_trust(trusting)
    heads = []

    async def script(peer: Peer) -> None:
        heads.append((await peer.request())[0])
        await peer.send(ok())

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("models.test").configure_cert(context)
    async with serving(script, tls=context) as server:
        url = f"https://models.test:{server.port}"
        transport = H1Transport(url, ssl_context=trusting, address="127.0.0.1")
        assert await get(transport) == b"ok"
        assert f"\r\nhost: models.test:{server.port}\r\n".encode() in heads[0]
        await transport.aclose()
    transport = H1Transport(url, ssl_context=trusting, address="127.0.0.1")
    with pytest.raises(ConnectFailed, match=r"models\.test:\d+ \(127\.0\.0\.1\)"):
        await transport.request(GET)


def test_a_context_without_tls_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="https"):
        H1Transport("http://upstream.test", ssl_context=client_context())


def scripts_that_end_badly() -> list[Script]:
    async def silent(peer: Peer) -> None:
        await peer.request()
        await peer.rest()

    return [answering(), answering(b"garbage"), answering(START), silent]


async def test_many_calls_with_every_ending_leave_no_connection() -> None:
    for script in scripts_that_end_badly():
        async with serving(script) as server:
            transport = H1Transport(
                server.url,
                limits=PoolLimits(max_connections=3),
                timeouts=Timeouts(response_header=0.05),
            )
            results = await asyncio.gather(
                *[transport.request(GET) for _ in range(12)], return_exceptions=True
            )
            assert all(isinstance(result, Exception) for result in results)
            assert (transport.open, transport.waiting) == (0, 0)
            await transport.aclose()
