"""Properties and examples of the event splitter and the event functions."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.wire.sse import (
    BOM,
    KEEP_ALIVE,
    KEEP_ALIVE_LINE,
    EventSplitter,
    data_of,
    field_of,
    format_event,
    is_done,
    replace_data,
    type_of,
)

LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
LINES = st.one_of(
    st.just(b""),
    st.sampled_from(
        [
            b"data",
            b"data:",
            b"data: ",
            b"data:  two",
            b"data: x",
            b"data:y:z",
            b"event: ping",
            b"event:",
            b"id: 7",
            b"id",
            b"identity: 7",
            b"retry: 10",
            b": comment",
            b":",
            b"Data: other",
        ]
    ),
    st.binary(max_size=8).map(lambda raw: raw.replace(b"\n", b"").replace(b"\r", b"")),
)
TEXTS = st.lists(st.tuples(LINES, LINE_ENDS).map(b"".join), max_size=12).map(b"".join)
STREAMS = st.tuples(st.sampled_from([b"", BOM]), st.one_of(TEXTS, st.binary(max_size=40)))
CUTS = st.lists(st.integers(0, 400), max_size=8)


def lines_of(stream: bytes) -> list[bytes]:
    """Read, byte by byte, the lines of a stream that have an end."""
    lines, line, at = [], b"", 3 if stream[:3] == BOM else 0
    while at < len(stream):
        one = stream[at : at + 1]
        if one in {b"\r", b"\n"}:
            lines.append(line)
            line = b""
            at += 2 if stream[at : at + 2] == b"\r\n" else 1
        else:
            line += one
            at += 1
    return lines


def decode(stream: bytes) -> list[tuple[bytes, bytes]]:
    """Decode (type, data) of every event, step by step as the text of WHATWG HTML §9.2.6 says."""
    events, data, kind = [], b"", b""
    for line in lines_of(stream):
        name, value = line, b""
        if b":" in line:
            colon = line.index(b":")
            name, value = line[:colon], line[colon + 1 :]
            if value[:1] == b" ":
                value = value[1:]
        if line == b"":
            if data != b"":
                events.append((kind, data[:-1]))
            data, kind = b"", b""
        elif name == b"event":
            kind = value
        elif name == b"data":
            data += value + b"\n"
    return events


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    at = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    return [stream[a:b] for a, b in itertools.pairwise(at)]


def split(chunks: list[bytes]) -> tuple[list[bytes], EventSplitter]:
    splitter = EventSplitter()
    return [event for chunk in chunks for event in splitter.feed(chunk)], splitter


@given(STREAMS.map(b"".join), CUTS)
def test_any_chunking_yields_the_same_events_and_every_byte(
    stream: bytes, places: list[int]
) -> None:
    whole, _ = split([stream])
    pieces, splitter = split(cut(stream, places))
    bytewise, last = split([stream[i : i + 1] for i in range(len(stream))])
    assert b"".join(pieces) + splitter.rest == stream
    assert pieces == whole == bytewise
    assert splitter.at_boundary == last.at_boundary
    assert splitter.ids_seen == last.ids_seen


@given(STREAMS.map(b"".join), CUTS)
def test_the_events_say_what_the_standard_says(stream: bytes, places: list[int]) -> None:
    events, splitter = split(cut(stream, places))
    said = [(type_of(event), data_of(event)) for event in events if decode(event)]
    assert said == decode(stream[: len(stream) - len(splitter.rest)])
    assert not decode(splitter.rest) or splitter.rest.endswith(b"\n\r")


@given(STREAMS.map(b"".join))
def test_what_is_inserted_at_a_boundary_changes_no_event(stream: bytes) -> None:
    splitter = EventSplitter()
    patched = b""
    for at in range(len(stream)):
        splitter.feed(stream[at : at + 1])
        patched += stream[at : at + 1]
        if splitter.at_boundary:
            patched += KEEP_ALIVE_LINE if splitter.ids_seen else KEEP_ALIVE
    assert decode(patched) == decode(stream)


@given(STREAMS.map(b"".join))
def test_an_id_is_seen_as_soon_as_its_line_is_whole(stream: bytes) -> None:
    _, splitter = split([stream])
    ended = re.findall(rb"([^\r\n]*)(?:\r\n|\r(?!\Z)|\n)", stream.removeprefix(BOM))
    assert splitter.ids_seen == (b"id" in [line.partition(b":")[0] for line in ended])


@given(STREAMS.map(b"".join), st.text(max_size=12).map(str.encode))
def test_replaced_data_is_read_back_and_the_rest_stays(stream: bytes, data: bytes) -> None:
    for event in split([stream])[0]:
        changed = replace_data(event, data)
        assert decode(changed)[-1:] == [(type_of(event), re.sub(rb"\r\n|\r", b"\n", data))]
        others = [(name, value) for name, value in raw_lines(event) if name != b"data"]
        assert [pair for pair in raw_lines(changed) if pair[0] != b"data"] == others
        # It still is one event, wherever it stands.
        assert split([changed + b"data: next\n\n"])[0][0] == changed


def raw_lines(event: bytes) -> list[tuple[bytes, bytes]]:
    lines = re.findall(rb"([^\r\n]*)(?:\r\n|\r|\n)", event.removeprefix(BOM))
    return [(line.partition(b":")[0], line) for line in lines]


@given(st.binary(max_size=30), st.sampled_from([None, b"ping", b"response.completed"]))
def test_a_written_event_is_read_back(data: bytes, kind: bytes | None) -> None:
    event = format_event(data, kind)
    assert decode(event) == [(kind or b"", re.sub(rb"\r\n|\r", b"\n", data))]
    assert split([event])[0] == [event]


def test_an_event_type_of_two_lines_is_refused() -> None:
    with pytest.raises(ValueError, match="line end"):
        format_event(b"{}", b"ping\ndata: x")


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_one_event_a_chunk_comes_back_as_it_is(end: bytes) -> None:
    splitter = EventSplitter()
    event = b"data: {}" + end + end
    for _ in range(3):
        assert splitter.feed(event) == [event]
    assert splitter.rest == b""
    assert splitter.at_boundary == (end != b"\r")


def test_the_line_feed_of_a_cut_line_end_is_waited_for() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: a\r\n\r") == []
    assert not splitter.at_boundary
    assert splitter.feed(b"\n") == [b"data: a\r\n\r\n"]
    assert splitter.at_boundary


def test_an_event_ended_by_two_carriage_returns_is_not_held_back() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: a\r\r") == [b"data: a\r\r"]
    assert not splitter.at_boundary
    assert splitter.feed(b"") == []
    assert not splitter.at_boundary
    assert splitter.feed(b"\n") == []
    assert splitter.at_boundary
    assert splitter.feed(b"data: b\n\n") == [b"\ndata: b\n\n"]
    assert data_of(b"\ndata: b\n\n") == b"b"


def test_whole_comment_lines_leave_the_stream_at_a_boundary() -> None:
    splitter = EventSplitter()
    splitter.feed(b"data: a\n\n: ping\n")
    assert splitter.rest == b": ping\n"
    assert splitter.at_boundary
    splitter.feed(b": pi")
    assert not splitter.at_boundary
    splitter.feed(b"ng\ndata: b\n")
    assert not splitter.at_boundary


def test_a_field_that_only_begins_like_an_id_is_none() -> None:
    splitter = EventSplitter()
    splitter.feed(b"identity: 1\ndata: id: 2\n\n")
    assert not splitter.ids_seen
    splitter.feed(b"data: a\nid\n\n")
    assert splitter.ids_seen


def test_an_id_right_after_the_byte_order_mark_is_seen() -> None:
    splitter = EventSplitter()
    splitter.feed(BOM + b"id: 1\n\n")
    assert splitter.ids_seen


def test_past_its_limit_the_splitter_lets_the_bytes_flow() -> None:
    splitter = EventSplitter(limit=10)
    assert splitter.feed(b"data: a\n\ndata: 456") == [b"data: a\n\n"]
    assert splitter.feed(b"78") == [b"data: 45678"]
    assert splitter.overflowed
    assert not splitter.at_boundary
    assert splitter.rest == b""
    assert splitter.feed(b"") == []
    assert splitter.feed(b"data: b\n\ndata: c\n\n") == [b"data: b\n\ndata: c\n\n"]


def test_a_complete_event_may_be_longer_than_the_limit() -> None:
    splitter = EventSplitter(limit=10)
    assert splitter.feed(b"data: 0123456789\n\n") == [b"data: 0123456789\n\n"]
    assert not splitter.overflowed


def test_a_limit_below_one_byte_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        EventSplitter(limit=0)


@pytest.mark.parametrize(
    ("event", "kind", "data"),
    [
        (b"data: x\n\n", b"", b"x"),
        (b"data:x\n\n", b"", b"x"),
        (b"data:\n\n", b"", b""),
        (b"data\n\n", b"", b""),
        (b": c\n\n", b"", b""),
        (b"data: a\ndata:  b\n\n", b"", b"a\n b"),
        (b"event: e\ndata: x\n\n", b"e", b"x"),
        (b"event:e\r\ndata: x\r\n\r\n", b"e", b"x"),
        (b"event: e\nevent: f\ndata: x\n\n", b"f", b"x"),
        (b"event: e\nevents: f\ndata: x\n\n", b"e", b"x"),
        (b"data: event\nevent: g\n\n", b"g", b"event"),
        (b"data: a\rdata: b\n\n", b"", b"a\nb"),
        (BOM + b"data: x\n\n", b"", b"x"),
    ],
)
def test_type_and_data_of_an_event(event: bytes, kind: bytes, data: bytes) -> None:
    assert type_of(event) == kind
    assert data_of(event) == data


def test_the_last_field_of_a_name_counts() -> None:
    event = b"id: 1\nid: 2\nretry: 5\ndata: x\n\n"
    assert field_of(event, b"id") == b"2"
    assert field_of(event, b"retry") == b"5"
    assert field_of(event, b"event") == b""


@pytest.mark.parametrize(
    ("event", "done"),
    [
        (b"data: [DONE]\n\n", True),
        (b"data:[DONE]\r\n\r\n", True),
        (b"data: [DONE] \n\n", True),
        (b"event: done\ndata: [DONE]\n\n", True),
        (b"data: x [DONE]\n\n", False),
        (b'data: {"content":"[DONE]"}\n\n', False),
        (b'event: x\ndata: {"content":"[DONE]"}\n\n', False),
        (b": [DONE]\n\n", False),
    ],
)
def test_the_end_of_a_stream_is_known_by_its_data(event: bytes, *, done: bool) -> None:
    assert is_done(event) is done


@pytest.mark.parametrize(
    ("event", "changed"),
    [
        (b"data: a\n\n", b"data: new\n\n"),
        (BOM + b"data:a\r\n\r\n", BOM + b"data: new\r\n\r\n"),
        (b"id: 1\ndata: a\n: c\ndata: b\nretry: 1\n\n", b"id: 1\n: c\ndata: new\nretry: 1\n\n"),
        (b"event: x\n\n", b"event: x\ndata: new\n\n"),
        (b"data: a\rdata: b\n\n", b"data: new\n\n"),
    ],
)
def test_only_the_data_of_an_event_is_replaced(event: bytes, changed: bytes) -> None:
    assert replace_data(event, b"new") == changed
