"""Properties and examples of the event splitter and the event functions."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.wire.sse import (
    BOM,
    EventSplitter,
    data_of,
    replace_data,
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
    assert splitter.rest == last.rest


@given(STREAMS.map(b"".join), CUTS)
def test_the_events_say_what_the_standard_says(stream: bytes, places: list[int]) -> None:
    events, splitter = split(cut(stream, places))
    said = [data_of(event) for event in events if decode(event)]
    assert said == [data for _, data in decode(stream[: len(stream) - len(splitter.rest)])]
    assert not decode(splitter.rest) or splitter.rest.endswith(b"\n\r")


@given(STREAMS.map(b"".join), st.text(max_size=12).map(str.encode))
def test_replaced_data_is_read_back_and_the_rest_stays(stream: bytes, data: bytes) -> None:
    for event in split([stream])[0]:
        changed = replace_data(event, data)
        assert decode(changed)[-1][1] == re.sub(rb"\r\n|\r", b"\n", data)
        others = [(name, value) for name, value in raw_lines(event) if name != b"data"]
        assert [pair for pair in raw_lines(changed) if pair[0] != b"data"] == others
        # It still is one event, wherever it stands.
        assert split([changed + b"data: next\n\n"])[0][0] == changed


def raw_lines(event: bytes) -> list[tuple[bytes, bytes]]:
    lines = re.findall(rb"([^\r\n]*)(?:\r\n|\r|\n)", event.removeprefix(BOM))
    return [(line.partition(b":")[0], line) for line in lines]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_one_event_a_chunk_comes_back_as_it_is(end: bytes) -> None:
    splitter = EventSplitter()
    event = b"data: {}" + end + end
    for _ in range(3):
        assert splitter.feed(event) == [event]
    assert splitter.rest == b""


def test_the_line_feed_of_a_cut_line_end_is_waited_for() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: a\r\n\r") == []
    assert splitter.feed(b"\n") == [b"data: a\r\n\r\n"]


def test_an_event_ended_by_two_carriage_returns_is_not_held_back() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: a\r\r") == [b"data: a\r\r"]
    assert splitter.feed(b"") == []
    assert splitter.feed(b"\n") == []
    assert splitter.feed(b"data: b\n\n") == [b"\ndata: b\n\n"]
    assert data_of(b"\ndata: b\n\n") == b"b"


def test_past_its_limit_the_splitter_lets_the_bytes_flow() -> None:
    splitter = EventSplitter(limit=10)
    assert splitter.feed(b"data: a\n\ndata: 456") == [b"data: a\n\n"]
    assert splitter.feed(b"78") == [b"data: 45678"]
    assert splitter.overflowed
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
    ("event", "data"),
    [
        (b"data: x\n\n", b"x"),
        (b"data:x\n\n", b"x"),
        (b"data:\n\n", b""),
        (b"data\n\n", b""),
        (b": c\n\n", b""),
        (b"data: a\ndata:  b\n\n", b"a\n b"),
        (b"event: e\ndata: x\n\n", b"x"),
        (b"event:e\r\ndata: x\r\n\r\n", b"x"),
        (b"event: e\nevent: f\ndata: x\n\n", b"x"),
        (b"event: e\nevents: f\ndata: x\n\n", b"x"),
        (b"data: event\nevent: g\n\n", b"event"),
        (b"data: a\rdata: b\n\n", b"a\nb"),
        (BOM + b"data: x\n\n", b"x"),
    ],
)
def test_the_data_of_an_event(event: bytes, data: bytes) -> None:
    assert data_of(event) == data


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
