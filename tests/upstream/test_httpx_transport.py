"""What only the transport over an httpx client has to do."""

import asyncio
import subprocess
import sys

import httpx
import httpx2
import pytest

from veneer.upstream.httpx_transport import HttpxTransport
from veneer.upstream.transport import (
    ConnectFailed,
    ConnectTimeout,
    HeaderTimeout,
    MalformedResponse,
    PoolTimeout,
    ReadTimeout,
    Request,
    Timeouts,
    TransportError,
    Truncated,
    WriteTimeout,
)

GET = Request(b"GET", b"/v1/models?x=%2F", [(b"x-a", b"1")])


async def test_mock_transports_and_auth_are_honoured() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(201, headers=[("X-B", "2")], stream=httpx.ByteStream(b"ok"))

    async with httpx.AsyncClient(
        transport=httpx.MockTransport(answer),
        auth=("user", "pass"),
        headers={"x-c": "3"},
        cookies={"a": "b"},
    ) as client:
        transport = HttpxTransport(client, "http://upstream.test/v1")
        response = await transport.request(GET)
        assert response.status == 201
        assert (b"x-b", b"2") in response.headers
        assert await response.read() == b"ok"
        await transport.aclose()
        assert not client.is_closed
    assert str(seen[0].url) == "http://upstream.test/v1/models?x=%2F"
    names = [name.lower() for name, _ in seen[0].headers.raw]
    assert names == [b"host", b"x-a", b"authorization"]


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (httpx2.ConnectTimeout, ConnectTimeout),
        (httpx2.ConnectError, ConnectFailed),
        (httpx2.ProxyError, ConnectFailed),
        (httpx2.UnsupportedProtocol, ConnectFailed),
        (httpx2.PoolTimeout, PoolTimeout),
        (httpx2.WriteTimeout, WriteTimeout),
        (httpx2.ReadTimeout, HeaderTimeout),
        (httpx2.ReadError, Truncated),
        (httpx2.WriteError, Truncated),
        (httpx2.RemoteProtocolError, MalformedResponse),
        (httpx2.LocalProtocolError, TransportError),
    ],
)
async def test_exceptions_are_translated(
    raised: type[httpx2.TransportError], expected: type[TransportError]
) -> None:
    def fail(_request: httpx2.Request) -> httpx2.Response:
        raise raised("why")

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(fail)) as client:
        with pytest.raises(expected, match="why") as caught:
            await HttpxTransport(client, "http://upstream.test").request(GET)
    assert type(caught.value) is expected


async def test_a_read_timeout_of_the_client_is_one_of_the_body() -> None:
    class Silent(httpx.AsyncByteStream):
        async def __aiter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204 - httpx's own
            yield b"a"
            raise httpx.ReadTimeout("silent")

    def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=Silent())

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        response = await HttpxTransport(client, "http://upstream.test").request(GET)
        assert await response.read() == b"a"
        with pytest.raises(ReadTimeout):
            await response.read()
        await response.aclose()


async def test_a_timeout_that_is_not_ours_passes() -> None:
    def fail(_request: httpx.Request) -> httpx.Response:
        raise TimeoutError("the mock's own")

    async with httpx.AsyncClient(transport=httpx.MockTransport(fail)) as client:
        with pytest.raises(TimeoutError, match="own"):
            await HttpxTransport(client, "http://upstream.test").request(GET)


async def test_a_derived_client_is_known_and_another_object_is_not() -> None:
    class Ours(httpx2.AsyncClient):
        pass

    def fail(_request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("why")

    async with Ours(transport=httpx2.MockTransport(fail)) as client:
        with pytest.raises(ConnectFailed):
            await HttpxTransport(client, "http://upstream.test").request(GET)
    with pytest.raises(TypeError, match="AsyncClient"):
        HttpxTransport(object(), "http://upstream.test")  # type: ignore[arg-type]  # no client


async def test_a_target_that_httpx_cannot_parse_is_refused() -> None:
    async with httpx.AsyncClient() as client:
        with pytest.raises(ValueError, match="target"):
            await HttpxTransport(client, "http://upstream.test").request(
                Request(b"GET", b"/\x01", [])
            )


async def test_timeouts_without_end_are_passed_on() -> None:
    seen: list[object] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.extensions["timeout"])
        return httpx.Response(200)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        for timeouts in (
            Timeouts(connect=1, write=2, response_header=3, read=4, pool=5),
            Timeouts(connect=None, write=None, response_header=None, read=4, pool=None),
        ):
            transport = HttpxTransport(client, "http://upstream.test", timeouts=timeouts)
            await (await transport.request(GET)).aclose()
    assert seen == [
        {"connect": 1, "write": 2, "read": 4, "pool": 5},
        {"connect": None, "write": None, "read": None, "pool": None},
    ]


async def test_the_client_is_closed_where_that_is_wanted() -> None:
    client = httpx.AsyncClient()
    await HttpxTransport(client, "http://upstream.test", close_client=True).aclose()
    assert client.is_closed


async def test_importing_the_transports_imports_no_client() -> None:
    code = (
        "import sys, veneer.upstream.h1, veneer.upstream.httpx_transport;"
        "assert not {'httpx', 'httpx2', 'httpcore'} & set(sys.modules)"
    )
    process = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code], check=False, capture_output=True
    )
    assert process.returncode == 0, process.stderr
