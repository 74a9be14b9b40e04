"""Header fields: what goes on to the next hop, and what may be written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.wire.fields import (
    HOP_BY_HOP,
    NOT_NOMINATED,
    get,
    get_all,
    is_event_stream,
    is_json,
    is_token,
    is_traceparent,
    media_type,
    nominated,
)

TRACE = b"4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
NAMES = st.sampled_from([*HOP_BY_HOP, *NOT_NOMINATED, b"x-a", b"x-b", b"accept"])
FIELDS = st.lists(
    st.one_of(
        st.tuples(NAMES, st.just(b"1")),
        st.tuples(
            st.just(b"connection"),
            st.lists(NAMES, max_size=3).map(lambda names: b" , ".join(names).title()),
        ),
    ),
    max_size=8,
)


@given(FIELDS)
def test_connection_nominates_what_it_names_and_no_other(
    fields: list[tuple[bytes, bytes]],
) -> None:
    named = {
        option.strip().lower()
        for name, value in fields
        if name == b"connection"
        for option in value.split(b",")
    }
    # Those that never go on need not be named.
    assert nominated(fields) | HOP_BY_HOP == named - NOT_NOMINATED | HOP_BY_HOP


def test_connection_cannot_nominate_away_what_the_body_means_or_who_calls() -> None:
    fields = [(b"x-hop", b"1"), (b"connection", b"content-type,Authorization,x-hop")]
    assert nominated(fields) == {b"x-hop"}


def test_fields_are_found_by_name() -> None:
    fields = [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]
    assert get(fields, b"a") == b"1"
    assert get(fields, b"c") is None
    assert get_all(fields, b"a") == [b"1", b"3"]
    assert get_all(fields, b"c") == []


@pytest.mark.parametrize(
    ("value", "media"),
    [
        (b"application/json", b"application/json"),
        (b" Application/JSON ; charset=utf-8", b"application/json"),
        (b"text/event-stream;charset=utf-8", b"text/event-stream"),
        (b"", b""),
    ],
)
def test_a_media_type_is_read_without_case_and_parameters(value: bytes, media: bytes) -> None:
    assert media_type(value) == media


def test_json_comes_under_several_media_types() -> None:
    assert is_json(b"application/json")
    assert is_json(b"application/problem+json")
    assert not is_json(b"application/jsonl")
    assert not is_json(b"text/plain")
    assert is_event_stream(b"text/event-stream")
    assert not is_event_stream(b"text/plain")


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        (b"00-" + TRACE, True),
        (b"cc-" + TRACE, True),
        (b"cc-" + TRACE + b"-what comes later", True),
        (b"00-" + TRACE + b"-more", False),
        (b"cc-" + TRACE + b".more", False),
        (b"ff-" + TRACE, False),
        (b"00-" + TRACE.upper(), False),
        (b"00-" + b"0" * 32 + TRACE[32:], False),
        (b"00-" + TRACE.replace(b"00f067aa0ba902b7", b"0" * 16), False),
        (b"00-" + TRACE[:-1], False),
        (b"00-" + TRACE + b"\n", False),
        (b"", False),
    ],
)
def test_a_traceparent_is_judged_as_a_whole(value: bytes, *, valid: bool) -> None:
    assert is_traceparent(value) is valid


@given(st.binary(max_size=5))
def test_tokens_have_no_character_that_could_end_them(text: bytes) -> None:
    controls = {*range(32), 127}
    separators = set(b'"(),/:;<=>?@[\\]{} \t')
    assert is_token(text) == (
        bool(text) and all(c < 128 and c not in controls | separators for c in text)
    )
