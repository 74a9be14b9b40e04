"""Heads of requests: what is written is one request, and the one meant."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.upstream.request_head import host_line, render_head
from veneer.upstream.transport import Request

HOST = host_line("upstream.test")

tokens = st.from_regex(rb"x-[a-z]{0,5}", fullmatch=True)
anything = st.binary(max_size=8) | st.sampled_from([b"a\r\nb: c", b"\r\n\r\nGET / HTTP/1.1", b"\n"])


def test_a_bodiless_head_is_three_lines() -> None:
    head = render_head(Request(b"GET", b"/v1/models", []), HOST)
    assert head == b"GET /v1/models HTTP/1.1\r\nhost: upstream.test\r\n\r\n"


@given(
    st.sampled_from([b"GET", b"POST", b"HEAD"]),
    st.from_regex(rb"/[!-~]{0,10}", fullmatch=True),
    st.lists(st.tuples(tokens, st.from_regex(rb"([!-~]([ -~]{0,5}[!-~])?)?", fullmatch=True))),
    st.binary(max_size=20),
)
def test_another_parser_reads_the_request_that_was_meant(
    method: bytes, target: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    reader = h11.Connection(h11.SERVER)
    reader.receive_data(render_head(Request(method, target, headers, body), HOST) + body)
    event = reader.next_event()
    assert isinstance(event, h11.Request)
    assert (event.method, event.target) == (method, target)
    ours = [(name, value) for name, value in event.headers if name.startswith(b"x-")]
    assert ours == headers
    read = b""
    while isinstance(event := reader.next_event(), h11.Data):
        read += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert read == body
    assert reader.trailing_data == (b"", False)


@given(anything, anything, anything, anything)
def test_a_request_is_refused_or_has_the_lines_it_should(
    method: bytes, target: bytes, name: bytes, value: bytes
) -> None:
    request = Request(method, target, [(name, value)], b"body")
    try:
        head = render_head(request, HOST)
    except ValueError:
        return
    assert head.split(b"\r\n") == [
        b"%b %b HTTP/1.1" % (method, target),
        b"host: upstream.test",
        b"%b: %b" % (name, value),
        b"content-length: 4",
        b"",
        b"",
    ]
    assert head.count(b"\n") == 5
    assert b"\0" not in head


@pytest.mark.parametrize("name", [b"host", b"content-length", b"transfer-encoding", b"connection"])
def test_fields_of_the_transport_are_its_own(name: bytes) -> None:
    with pytest.raises(ValueError, match="transport"):
        render_head(Request(b"POST", b"/", [(name, b"1")]), HOST)
