"""Our cycle writes what uvicorn's does, in fewer parts."""

import asyncio
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from veneer.cli.cycle import Cycle

START: Any = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]}
STREAM: Any = {"type": "http.response.start", "status": 200, "headers": []}


class Transport(asyncio.Transport):
    """Keeps what is written, each part by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        """Keep a part."""
        self.parts.append(bytes(data))

    def is_closing(self) -> bool:
        """Tell whether it was closed."""
        return self.closed

    def close(self) -> None:
        """Note it."""
        self.closed = True


def a_cycle(
    kind: type[RequestResponseCycle], *, method: str = "POST", keep_alive: bool = True
) -> tuple[RequestResponseCycle, Transport]:
    transport = Transport()
    scope: Any = {"type": "http", "method": method}
    logger = logging.getLogger("tests")
    cycle = kind(
        scope=scope,
        transport=transport,
        flow=FlowControl(transport),
        logger=logger,
        access_logger=logger,
        access_log=False,
        default_headers=[(b"date", b"now")],
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=keep_alive,
        on_response=lambda: None,
    )
    return cycle, transport


def body(part: bytes, *, more: bool = False) -> Any:
    return {"type": "http.response.body", "body": part, "more_body": more}


async def told(
    cycle: RequestResponseCycle, transport: Transport, messages: list[Any]
) -> tuple[bytes, bool, bool, bool]:
    """Return what is written, and whether it failed, ended and closed."""
    failed = False
    try:
        for message in messages:
            await cycle.send(message)
    except RuntimeError:
        failed = True
    return b"".join(transport.parts), failed, cycle.response_complete, transport.closed


fields = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from([b"x-a", b"Content-Type", b"x b", b"x:y", b""]),
            st.sampled_from(
                [b"1", b"", b"a\tb", b"a\nb", b"a\r\nset-cookie: b", b"\x7f", b"\xff", b"a b"]
            ),
        ),
        st.just((b"content-length", b"4")),
        st.just((b"Content-Length", b"4")),
        st.just((b"transfer-encoding", b"chunked")),
        st.sampled_from([(b"connection", b"close"), (b"Connection", b"x, Close")]),
    ),
    max_size=4,
    unique_by=lambda pair: pair[0].lower(),
)
KNOWN_LENGTH = {b"content-length", b"transfer-encoding"}


@given(
    headers=fields,
    parts=st.lists(st.binary(max_size=4), max_size=3),
    method=st.sampled_from(["GET", "HEAD", "POST"]),
    status=st.sampled_from([200, 204, 304, 404, 599]),
    keep_alive=st.booleans(),
)
def test_the_bytes_are_uvicorn_s(
    headers: list[tuple[bytes, bytes]],
    parts: list[bytes],
    method: str,
    status: int,
    keep_alive: bool,  # noqa: FBT001 - drawn by hypothesis
) -> None:
    names = {name.lower() for name, _ in headers}
    if names >= KNOWN_LENGTH or b"" in names:
        # Two framings at once are the app's error, and an empty name is one that uvicorn misses.
        return
    messages = [{"type": "http.response.start", "status": status, "headers": headers}]
    messages += [body(part, more=True) for part in parts]
    messages.append(body(b""))
    results = []
    for kind in (RequestResponseCycle, Cycle):
        cycle, transport = a_cycle(kind, method=method, keep_alive=keep_alive)
        results.append(asyncio.run(told(cycle, transport, messages)))
    (theirs, failed, *ended), (ours, also_failed, *also_ended) = results
    assert (also_failed, also_ended) == (failed, ended)
    if failed:
        assert theirs.startswith(ours) or ours.startswith(theirs)
    else:
        assert ours == theirs


async def test_a_header_goes_with_the_first_part_of_a_body_of_known_length() -> None:
    cycle, transport = a_cycle(Cycle)
    await cycle.send(START)
    assert not transport.parts
    await cycle.send(body(b"ab", more=True))
    await cycle.send(body(b"cd"))
    assert [part[-2:] for part in transport.parts] == [b"ab", b"cd"]


async def test_a_stream_s_header_does_not_wait() -> None:
    cycle, transport = a_cycle(Cycle)
    await cycle.send(STREAM)
    await cycle.send(body(b"data", more=True))
    await cycle.send(body(b""))
    head, *rest = transport.parts
    assert head.endswith(b"transfer-encoding: chunked\r\n\r\n")
    assert rest == [b"4\r\ndata\r\n", b"0\r\n\r\n"]


async def test_an_answer_without_a_body_is_written_all_the_same() -> None:
    cycle, transport = a_cycle(Cycle, method="HEAD")
    await cycle.send(START)
    await cycle.send(body(b""))
    assert transport.parts == [b"HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: 4\r\n\r\n"]


async def test_what_is_said_to_a_client_that_is_gone_goes_nowhere() -> None:
    cycle, transport = a_cycle(Cycle)
    cycle.disconnected = True
    await cycle.send(START)
    await cycle.send(body(b"abcd"))
    assert not transport.parts


async def test_a_full_connection_is_waited_for() -> None:
    cycle, transport = a_cycle(Cycle)
    await cycle.send(START)
    cycle.flow.pause_writing()
    sending = asyncio.ensure_future(cycle.send(body(b"abcd")))
    await asyncio.sleep(0)
    assert not transport.parts
    cycle.flow.resume_writing()
    await sending
    assert transport.parts


@pytest.mark.parametrize("messages", [[body(b"")], [START, START], [STREAM, {"type": "x"}]])
async def test_messages_out_of_turn_are_the_app_s_error(messages: list[Any]) -> None:
    *earlier, last = messages
    cycle, _ = a_cycle(Cycle)
    for message in earlier:
        await cycle.send(message)
    with pytest.raises(RuntimeError, match="out of turn"):
        await cycle.send(last)


async def test_a_field_with_a_line_of_its_own_is_none() -> None:
    cycle, transport = a_cycle(Cycle)
    evil: Any = {**STREAM, "headers": [(b"x-a", b"b\r\nset-cookie: c=1")]}
    with pytest.raises(RuntimeError, match="is none"):
        await cycle.send(evil)
    assert not transport.parts


async def test_what_is_said_in_place_of_a_bad_header_has_a_framing_of_its_own() -> None:
    cycle, transport = a_cycle(Cycle)
    bad: Any = {**STREAM, "headers": [(b"transfer-encoding", b"chunked"), (b"x", b"\n")]}
    with pytest.raises(RuntimeError, match="is none"):
        await cycle.send(bad)
    await cycle.send_500_response()
    assert b"".join(transport.parts).endswith(b"connection: close\r\n\r\nInternal Server Error")


async def test_a_client_that_waits_to_be_asked_is_asked_before_its_header() -> None:
    cycle, transport = a_cycle(Cycle)
    cycle.waiting_for_100_continue = True
    await cycle.send(START)
    cycle.message_event.set()
    await cycle.receive()
    await cycle.send(body(b"abcd"))
    asked, answered = transport.parts
    assert asked == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answered.startswith(b"HTTP/1.1 200 OK")


async def test_an_app_that_fails_before_its_body_is_answered_for() -> None:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send(START)
        raise ValueError

    cycle, transport = a_cycle(Cycle)
    await cycle.run_asgi(app)
    written = b"".join(transport.parts)
    assert written.startswith(b"HTTP/1.1 500 ")
    assert written.endswith(b"\r\n\r\nInternal Server Error")
    assert transport.closed


async def test_what_is_large_is_not_copied() -> None:
    cycle, transport = a_cycle(Cycle)
    large = bytes(100_000)
    start: Any = {**START, "headers": [(b"content-length", b"100000")]}
    await cycle.send(start)
    await cycle.send(body(large))
    assert [len(part) for part in transport.parts][1:] == [100_000]


async def test_nothing_comes_after_the_end() -> None:
    cycle, transport = a_cycle(Cycle)
    for message in (START, body(b"abcd"), body(b"more")):
        await cycle.send(message)
    assert b"".join(transport.parts).endswith(b"\r\n\r\nabcd")
