"""Reading responses, byte by byte where it matters."""

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.upstream.reader import ResponseReader
from veneer.upstream.response import H1Response
from veneer.upstream.transport import Headers, MalformedResponse


@dataclass
class SilentWire:
    """A connection that does nothing."""

    calls: list[str] = field(default_factory=list)

    def await_body(self) -> asyncio.Future[None]:
        """Refuse: what these tests read is there."""
        raise AssertionError("nothing here waits")

    def drained(self) -> None:
        """Count."""
        self.calls.append("drained")

    def abort(self) -> None:
        """Count."""
        self.calls.append("abort")


def reader(*, head_only: bool = False, max_header_bytes: int = 1000) -> ResponseReader:
    made = ResponseReader(SilentWire(), max_header_bytes)
    made.begin(b"HEAD" if head_only else b"GET")
    return made


def body_of(response: H1Response | None) -> bytes:
    """Take what has arrived; nothing here has to wait for it."""
    assert response is not None
    parts = []
    while response.unread:
        with pytest.raises(StopIteration) as stopped:
            response.read().send(None)
        parts.append(stopped.value.value)
    return b"".join(parts)


def feed_all(made: ResponseReader, pieces: list[bytes]) -> None:
    for piece in pieces:
        made.feed(piece)


names = st.from_regex(rb"x-[a-z]{1,5}", fullmatch=True)
values = st.from_regex(rb"([!-~\x80-\xff]([ -~]{0,5}[!-~])?)?", fullmatch=True)


@dataclass
class Message:
    """A response, as it is on the wire and as it has to be understood."""

    raw: bytes
    status: int
    headers: Headers
    body: bytes


@st.composite
def messages(draw: st.DrawFn) -> Message:
    status = draw(st.sampled_from([200, 201, 204, 304, 404, 500, 599]))
    headers = draw(st.lists(st.tuples(names, values), max_size=4))
    pieces = draw(st.lists(st.binary(min_size=1, max_size=20), max_size=4))
    body = b"".join(pieces)
    interim = draw(st.sampled_from([b"", b"HTTP/1.1 103 Early\r\nx-y: z\r\n\r\n"]))
    if status in (204, 304):
        body, raw_body = b"", b""
    elif draw(st.booleans()):
        headers.append((b"content-length", b"%d" % len(body)))
        raw_body = body
    else:
        headers.append((b"transfer-encoding", b"chunked"))
        chunks = [b"%x;a=b\r\n%b\r\n" % (len(piece), piece) for piece in pieces]
        raw_body = b"".join(chunks) + b"0\r\n" + draw(st.sampled_from([b"", b"t: u\r\n"])) + b"\r\n"
    blanks = draw(st.sampled_from([b"", b" ", b"\t "]))
    lines = [b"HTTP/1.1 %d Reason" % status]
    lines += [b"%b:%b%b%b" % (name, blanks, value, blanks) for name, value in headers[:-1]]
    lines += [b"%b: %b" % item for item in headers[-1:]]
    raw = interim + b"\r\n".join(lines) + b"\r\n\r\n" + raw_body
    return Message(raw, status, headers, body)


@given(st.lists(messages(), min_size=1, max_size=3), st.data())
def test_any_chunking_gives_the_same_responses(sent: list[Message], data: st.DataObject) -> None:
    made = reader()
    for message in sent:
        made.begin(b"GET")
        size = len(message.raw)
        cuts = sorted(data.draw(st.sets(st.integers(1, max(size - 1, 1)), max_size=size)))
        ends = [*[cut for cut in cuts if cut < size], size]
        for start, end in zip([0, *ends], ends, strict=False):
            assert not made.complete
            made.feed(message.raw[start:end])
        assert made.complete
        assert made.reusable
        assert made.response is not None
        assert (made.response.status, made.response.headers) == (message.status, message.headers)
        assert body_of(made.response) == message.body


@given(messages(), st.binary(min_size=1, max_size=5))
def test_what_follows_a_response_bars_the_connection_but_not_the_response(
    message: Message, surplus: bytes
) -> None:
    made = reader()
    made.feed(message.raw + surplus)
    assert made.complete
    assert body_of(made.response) == message.body
    # An empty line is what llhttp skips; the next response must not begin with one.
    assert not made.reusable or not surplus.strip(b"\r\n")


@given(st.binary(max_size=200), st.integers(1, 20))
def test_no_bytes_do_more_than_be_refused(data: bytes, size: int) -> None:
    made = reader()
    try:
        feed_all(made, [data[at : at + size] for at in range(0, len(data), size)])
    except MalformedResponse:
        return
    assert made.response is None or made.response.status >= 200


START = b"HTTP/1.1 200 OK\r\n"
CHUNKED = START + b"transfer-encoding: chunked\r\n\r\n"

MALFORMED = {
    "no HTTP": b"<html><body>",
    "HTTP/0.9 answer": b"hello",
    "another protocol": b"RTSP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
    "one more": b"ICE/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
    "an empty line before": b"\r\n" + START + b"content-length: 0\r\n\r\n",
    "version 0.9": b"HTTP/0.9 200 OK\r\ncontent-length: 0\r\n\r\n",
    "version 1.2": b"HTTP/1.2 200 OK\r\ncontent-length: 0\r\n\r\n",
    "version 2.0": b"HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n",
    "status 0": b"HTTP/1.1 000 OK\r\ncontent-length: 0\r\n\r\n",
    "status 99": b"HTTP/1.1 99 OK\r\ncontent-length: 0\r\n\r\n",
    "status 600": b"HTTP/1.1 600 OK\r\ncontent-length: 0\r\n\r\n",
    "status 1000": b"HTTP/1.1 1000 OK\r\ncontent-length: 0\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\ncontent-length: 0\r\n\r\n",
    "upgrade": b"HTTP/1.1 101 Go\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
    "upgrade without fields": b"HTTP/1.1 101 Go\r\n\r\n",
    "interim with length": b"HTTP/1.1 103 E\r\ncontent-length: 2\r\n\r\nok" + START,
    "interim with chunks": b"HTTP/1.1 100 C\r\ntransfer-encoding: chunked\r\n\r\n",
    "negative length": START + b"content-length: -1\r\n\r\n",
    "signed length": START + b"content-length: +1\r\n\r\n",
    "no length": START + b"content-length: \r\n\r\n",
    "hexadecimal length": START + b"content-length: 0x5\r\n\r\n",
    "absurd length": START + b"content-length: 99999999999999999999\r\n\r\n",
    "list of lengths": START + b"content-length: 2, 2\r\n\r\n",
    "different lengths": START + b"content-length: 2\r\ncontent-length: 3\r\n\r\n",
    "length and chunks": START + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n",
    "chunks and length": START + b"transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n",
    "another coding": START + b"transfer-encoding: gzip, chunked\r\n\r\n",
    "unknown coding": START + b"transfer-encoding: xchunked\r\n\r\n",
    "identity": START + b"transfer-encoding: identity\r\n\r\n",
    "chunked not last": START + b"transfer-encoding: chunked, gzip\r\n\r\n",
    "coding twice": START + b"transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n",
    "a blank after chunked": START + b"transfer-encoding: chunked \r\n\r\n",
    "chunked twice": START + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
    "chunks in 1.0": b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
    "folded field": START + b"a: b\r\n c\r\n\r\n",
    "folded at first": START + b" a: b\r\n\r\n",
    "blank before colon": START + b"a : b\r\n\r\n",
    "no colon": START + b"ab\r\n\r\n",
    "no name": START + b": b\r\n\r\n",
    "bad name": START + b"a\xc3: b\r\n\r\n",
    "NUL in a value": START + b"a: b\0c\r\n\r\n",
    "control in a value": START + b"a: b\x01c\r\n\r\n",
    "bare CR in a value": START + b"a: b\rc\r\n\r\n",
    "bare LF": START + b"a: b\nc: d\r\n\r\n",
    "bare LF in the status line": b"HTTP/1.1 200 OK\ncontent-length: 0\r\n\r\n",
    "bare LF at the end": START + b"content-length: 0\r\n\n",
    "chunk size missing": CHUNKED + b"\r\nok",
    "chunk size not hexadecimal": CHUNKED + b"xyz\r\n",
    "chunk size negative": CHUNKED + b"-2\r\nok\r\n",
    "chunk size with a blank": CHUNKED + b" 2\r\nok\r\n",
    "chunk size absurd": CHUNKED + b"fffffffffffffffff\r\nok\r\n",
    "chunk size line with LF": CHUNKED + b"2\nok\r\n0\r\n\r\n",
    "chunk longer than said": CHUNKED + b"2\r\noks\r\n0\r\n\r\n",
    "header too long": START + b"a: " + b"b" * 1000 + b"\r\n\r\n",
    "header too long with a body": START + b"a: " + b"b" * 1000 + b"\r\ncontent-length: 1\r\n\r\nx",
    "line without end": START + b"a: " + b"b" * 2000,
    "name without end": START + b"a" * 2000,
    "status line without end": b"HTTP/1.1 200 " + b"O" * 2000,
    "flood of fields": START + b"a: b\r\n" * 500,
    "flood of interim responses": b"HTTP/1.1 100 C\r\n\r\n" * 100,
}


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_responses_are_refused(raw: bytes, size: int) -> None:
    made = reader()
    with pytest.raises(MalformedResponse):
        feed_all(made, [raw[at : at + size] for at in range(0, len(raw), size)])
    assert not made.complete


def test_a_header_within_bounds_may_bring_a_large_body() -> None:
    made = reader()
    made.feed(START + b"content-length: 5000\r\n\r\n" + bytes(5000))
    assert made.complete
    assert len(body_of(made.response)) == 5000


@pytest.mark.parametrize(
    ("start", "more"),
    [(b"2;", b"x" * 100), (b"0\r\na: ", b"x" * 100), (b"0\r\n", b"a: b\r\n" * 15)],
    ids=["extension", "trailer", "trailers"],
)
def test_what_is_no_body_may_not_go_on_for_ever(start: bytes, more: bytes) -> None:
    made = reader()
    made.feed(CHUNKED + start)
    with pytest.raises(MalformedResponse):
        feed_all(made, [more] * 20)


def test_an_answer_to_head_ends_with_its_header() -> None:
    made = reader(head_only=True)
    made.feed(START + b"content-length: 2\r\n\r\n")
    assert (made.complete, made.reusable) == (True, False)


def test_a_body_after_an_answer_to_head_is_nobodys() -> None:
    made = reader(head_only=True)
    made.feed(START + b"content-length: 2\r\n\r\nok")
    assert (made.complete, made.reusable) == (True, False)
    assert body_of(made.response) == b""


@pytest.mark.parametrize(
    "raw",
    [
        START + b"connection: close\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 204 No\r\ncontent-length: 2\r\n\r\n",
        b"HTTP/1.1 204 No\r\ntransfer-encoding: chunked\r\n\r\n",
        START + b"content-length: 2\r\n\r\nok0",
        START + b"content-length: 2\r\n\r\nok" + START,
        START + b"connection: close\r\ncontent-length: 0\r\n\r\n" + START,
    ],
)
def test_some_connections_carry_no_other_request(raw: bytes) -> None:
    made = reader()
    made.feed(raw)
    assert (made.complete, made.reusable) == (True, False)


def test_a_body_without_length_ends_with_the_connection() -> None:
    made = reader()
    made.feed(START + b"\r\nabc")
    assert (made.complete, made.until_eof, made.reusable) == (False, True, False)
    assert body_of(made.response) == b"abc"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"timeout=5", 5.0),
        (b"max=100, Timeout = 30", 30.0),
        (b"max=100", None),
        (b"timeout=-1", None),
        (b"timeout=x", None),
        (b"xtimeout=5", None),
    ],
)
def test_what_the_upstream_promises_is_read(value: bytes, seconds: float | None) -> None:
    made = reader()
    made.feed(START + b"keep-alive: %b\r\ncontent-length: 0\r\n\r\n" % value)
    assert made.keepalive == seconds


def test_a_promise_lasts_until_the_next() -> None:
    made = reader()
    made.feed(START + b"keep-alive: timeout=5\r\ncontent-length: 0\r\n\r\n")
    made.begin(b"GET")
    made.feed(START + b"content-length: 0\r\n\r\n")
    assert made.keepalive == 5
