"""The client's body on its way upstream."""

import pytest

from tests.asgi import Exchange, http_scope
from veneer.client import ClientDisconnectedError
from veneer.errors import Error
from veneer.upstream.client_body import ClientBody, read_client_body
from veneer.upstream.forwarding import to_upstream, withheld


def exchange(*headers: tuple[bytes, bytes], parts: tuple[bytes, ...] = (b"",)) -> Exchange:
    return Exchange(http_scope(headers=headers), parts)


def framing_of(asked: Exchange) -> list[tuple[bytes, bytes]]:
    _, framing = to_upstream(asked.scope["headers"], "1.1", withheld(None))
    return framing


async def body_of(asked: Exchange) -> ClientBody:
    body = await read_client_body(framing_of(asked), asked.receive)
    assert isinstance(body, ClientBody)
    return body


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-length", b"3"), (b"transfer-encoding", b"chunked")],
        [(b"transfer-encoding", b"chunked"), (b"content-length", b"3")],
        [(b"content-length", b"3"), (b"content-length", b"4")],
        [(b"content-length", b"3"), (b"content-length", b"3")],
        [(b"transfer-encoding", b"gzip"), (b"transfer-encoding", b"chunked")],
        [(b"content-length", b"+3")],
        [(b"content-length", b"3, 3")],
        [(b"content-length", b"-1")],
        [(b"content-length", b"")],
        [(b"content-length", b"0x3")],
        [(b"content-length", b"9" * 5000)],
    ],
)
async def test_a_body_framed_in_two_ways_or_in_no_way_is_refused(
    headers: list[tuple[bytes, bytes]],
) -> None:
    asked = exchange(*headers, parts=(b"abc",))
    refused = await read_client_body(framing_of(asked), asked.receive)
    assert isinstance(refused, Error)
    await refused(asked.scope, asked.receive, asked.send)
    assert asked.status == 400
    assert asked.header("connection") == "close"


async def test_a_body_in_one_message_is_whole() -> None:
    body = await body_of(exchange((b"content-length", b"3"), parts=(b"abc",)))
    assert body == ClientBody(b"abc")


async def test_a_body_in_parts_is_streamed_with_its_length() -> None:
    body = await body_of(exchange((b"content-length", b"3"), parts=(b"a", b"", b"bc")))
    assert body.length == 3
    assert not isinstance(body.content, bytes)
    assert [part async for part in body.content] == [b"a", b"bc"]
    assert [part async for part in body.content] == []


async def test_a_chunked_body_has_no_length() -> None:
    body = await body_of(exchange((b"transfer-encoding", b"chunked"), parts=(b"a", b"bc")))
    assert body.length is None
    assert not isinstance(body.content, bytes)


async def test_a_request_without_a_body_is_read_to_its_end_from_where_its_client_is_watched() -> (
    None
):
    asked = exchange()
    assert await body_of(asked) == ClientBody(b"")
    assert asked._inbox == []


async def test_http_2_frames_bodies_without_these_fields() -> None:
    asked = Exchange(http_scope(http_version="2"), (b"ab", b"c"))
    body = await body_of(asked)
    assert body.length is None
    assert not isinstance(body.content, bytes)
    assert [part async for part in body.content] == [b"ab", b"c"]


async def test_a_client_that_leaves_in_its_body_is_noticed() -> None:
    asked = exchange((b"content-length", b"3"), parts=())
    asked.disconnect.set()
    with pytest.raises(ClientDisconnectedError):
        await read_client_body(framing_of(asked), asked.receive)
    asked = exchange((b"content-length", b"3"), parts=(b"a", b"b"))
    asked._inbox[1]["more_body"] = True
    asked.disconnect.set()
    body = await body_of(asked)
    assert not isinstance(body.content, bytes)
    with pytest.raises(ClientDisconnectedError):
        [part async for part in body.content]
