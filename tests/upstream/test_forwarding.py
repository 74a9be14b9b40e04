"""Which header fields cross the proxy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.upstream.forwarding import to_client, to_upstream, withheld

KEYED = withheld(b"authorization")
PLAIN = withheld(None)
VIA = (b"via", b"1.1 veneer")
PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def sent(*headers: tuple[bytes, bytes], dropped: frozenset[bytes] = KEYED) -> object:
    """Return what goes upstream, without our Via."""
    kept, _ = to_upstream(list(headers), "1.1", dropped)
    assert kept.pop() == VIA
    return kept


@pytest.mark.parametrize(
    "name",
    [
        b"connection",
        b"keep-alive",
        b"proxy-authorization",
        b"proxy-connection",
        b"proxy-anything",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"host",
        b"content-length",
        b"expect",
        b"forwarded",
        b"x-forwarded-for",
        b"x-real-ip",
        b"cf-connecting-ip",
    ],
)
def test_hop_by_hop_fields_framing_and_addresses_stay_here(name: bytes) -> None:
    for dropped in (KEYED, PLAIN):
        assert sent((name, b"x"), (b"accept", b"*/*"), dropped=dropped) == [(b"accept", b"*/*")]


@pytest.mark.parametrize(
    "name",
    [
        b"authorization",
        b"api-key",
        b"x-api-key",
        b"cookie",
        b"openai-organization",
        b"openai-project",
    ],
)
def test_credentials_go_on_only_to_an_upstream_without_a_key_of_its_own(name: bytes) -> None:
    assert sent((name, b"x")) == []
    assert sent((name, b"x"), dropped=PLAIN) == [(name, b"x")]


def test_the_field_of_our_key_is_never_the_clients() -> None:
    dropped = withheld(b"x-goog-api-key")
    assert sent((b"x-goog-api-key", b"theirs"), dropped=dropped) == []
    assert sent((b"authorization", b"theirs"), dropped=dropped) == []


def test_fields_that_connection_nominates_stay_here() -> None:
    headers = [
        (b"connection", b"X-One , close,"),
        (b"x-one", b"1"),
        (b"connection", b"x-two, content-type"),
        (b"x-two", b"2"),
        (b"content-type", b"application/json"),
    ]
    assert sent(*headers) == [(b"content-type", b"application/json")]


def test_repeated_fields_keep_their_order() -> None:
    headers = [(b"x-a", b"1"), (b"x-b", b"2"), (b"x-a", b"3")]
    assert sent(*headers) == headers
    assert to_client(headers).headers == headers


def test_via_is_added_after_those_of_earlier_hops() -> None:
    headers = [(b"via", b"1.0 a, 1.1 b"), (b"via", b"2 c")]
    assert to_upstream(headers, "2", PLAIN) == ([(b"via", b"1.0 a, 1.1 b, 2 c, 2 veneer")], [])


def test_a_valid_trace_goes_on() -> None:
    trace = [(b"traceparent", PARENT), (b"tracestate", b"a=1"), (b"tracestate", b"b=2")]
    assert sent(*trace) == trace


@pytest.mark.parametrize(
    "trace",
    [
        [(b"traceparent", b"ff" + PARENT[2:]), (b"tracestate", b"a=1")],
        [(b"tracestate", b"a=1"), (b"traceparent", b"junk")],
        [(b"traceparent", PARENT), (b"traceparent", PARENT), (b"tracestate", b"a=1")],
        [(b"tracestate", b"a=1")],
    ],
)
def test_an_invalid_trace_goes_no_further(trace: list[tuple[bytes, bytes]]) -> None:
    assert sent(*trace, (b"accept", b"*/*")) == [(b"accept", b"*/*")]


@pytest.mark.parametrize(
    "name",
    [
        b"connection",
        b"keep-alive",
        b"transfer-encoding",
        b"trailer",
        b"date",
        b"server",
        b"set-cookie",
        b"set-cookie2",
        b"openai-organization",
        b"openai-project",
        b"x-request-id",
        b"alt-svc",
        b"authorization",
        b"clear-site-data",
        b"strict-transport-security",
        b"access-control-allow-origin",
        b"access-control-expose-headers",
    ],
)
def test_what_is_the_upstreams_own_does_not_reach_the_client(name: bytes) -> None:
    seen = to_client([(name, b"x"), (b"content-length", b"3")])
    assert seen.headers == [(b"content-length", b"3")]


def test_what_a_response_nominates_stays_here_except_its_framing() -> None:
    headers = [
        (b"x-hop", b"1"),
        (b"connection", b"x-hop, content-length, content-encoding"),
        (b"content-length", b"3"),
        (b"content-encoding", b"gzip"),
        (b"retry-after", b"1"),
    ]
    assert to_client(headers).headers == headers[2:]


def test_what_frames_the_body_is_kept_apart() -> None:
    framing = [(b"content-length", b"3"), (b"transfer-encoding", b"chunked")]
    for dropped in (KEYED, PLAIN):
        kept, apart = to_upstream([framing[0], (b"x-a", b"1"), framing[1]], "1.1", dropped)
        assert kept == [(b"x-a", b"1"), VIA]
        assert apart == framing


def test_names_next_to_what_stays_go_on() -> None:
    headers = [(b"proxy", b"1"), (b"proxyx", b"2"), (b"access-control", b"3"), (b"", b"4")]
    assert sent(*headers) == headers
    assert to_client(headers).headers == headers


def test_the_first_content_type_and_request_id_of_an_answer_are_told() -> None:
    kind, other = (b"content-type", b"a/b"), (b"content-type", b"c/d")
    head = to_client([(b"x-request-id", b"1"), kind, (b"x-request-id", b"2"), other])
    assert (head.headers, head.content_type, head.request_id) == ([kind, other], b"a/b", b"1")
    head = to_client([])
    assert (head.headers, head.content_type, head.request_id) == ([], None, None)


NAMES = st.sampled_from(
    [b"connection", b"via", b"x-a", b"x-b", b"authorization", b"te", b"cookie", b"accept"]
)


@given(st.lists(st.tuples(NAMES, st.sampled_from([b"", b"x-a", b"a, b", b"close"]))))
def test_what_goes_on_is_a_selection_in_order(headers: list[tuple[bytes, bytes]]) -> None:
    (*kept, via), _ = to_upstream(headers, "1.1", KEYED)
    rest = iter(headers)
    assert all(pair in rest for pair in kept)
    assert via[1].endswith(b"1.1 veneer")
    assert not {name for name, _ in kept} & {b"authorization", b"cookie", b"te", b"connection"}
