"""A stream in the words of its client, however it is cut."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.compat.test_answers import CALLED, CITY, tool_call
from tests.layers.streams import CHAT_WITH_USAGE, DONE, chunk, cut, event, members, usage_chunk
from veneer.compat.answers import Translator
from veneer.compat.stream import StreamTranslation


def piece(delta: Any, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return event({"id": "chatcmpl-1", "choices": [choice], "usage": None})


STREAM = b"".join(
    [
        b": hello\n\n",
        piece({"role": "assistant", "content": None}),
        piece({"tool_calls": [tool_call({**CALLED, "arguments": ""}, index=0)]}),
        piece({"tool_calls": [{"index": 0, "function": {"arguments": CALLED["arguments"]}}]}),
        piece({"tool_calls": [tool_call(CITY, index=1)]}),
        piece({}, "tool_calls"),
        usage_chunk(),
        DONE,
    ]
)
SHOWN = b"".join(
    [
        b": hello\n\n",
        piece({"role": "assistant", "content": None}),
        piece({"function_call": {**CALLED, "arguments": ""}}),
        piece({"function_call": {"arguments": CALLED["arguments"]}}),
        piece({}, "function_call"),
        usage_chunk(),
        DONE,
    ]
)


def shown(parts: list[bytes], **options: Any) -> bytes:
    stream = StreamTranslation(Translator("functions"), **options)
    return b"".join([*map(stream.feed, parts), stream.close()])


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_a_stream_says_the_same_however_it_is_cut(places: list[int]) -> None:
    assert shown(cut(STREAM, places)) == SHOWN


def test_events_that_say_nothing_of_calls_are_the_same_objects() -> None:
    stream = StreamTranslation(Translator("functions"))
    for part in CHAT_WITH_USAGE:
        assert stream.feed(part) is part
    error = event({"error": {"message": "no"}})
    assert stream.feed(error) is error


def test_an_event_is_told_at_once() -> None:
    stream = StreamTranslation(Translator("functions"))
    assert stream.feed(piece({"tool_calls": [tool_call(CALLED, index=0)]})) != b""
    assert stream.feed(piece({}, "tool_calls")) == piece({}, "function_call")


def test_the_last_event_may_have_no_blank_line() -> None:
    assert shown([piece({}, "tool_calls")[:-2]]) == piece({}, "function_call")
    assert shown([b"data: {"]) == b"data: {"


def test_what_is_too_large_passes_as_it_is() -> None:
    large = chunk("x" * 200)
    after = piece({}, "tool_calls")
    parts = [chunk("a"), large[:150], large[150:], after]
    assert shown(parts, limit=120) == b"".join(parts)


def test_the_first_events_of_a_chunk_are_told_although_the_rest_is_too_large() -> None:
    parts = [piece({}, "tool_calls") + b"data: " + b"x" * 300]
    first, rest = shown(parts, limit=200).split(b"\n\n")
    assert members(first + b"\n\n")[0]["choices"][0]["finish_reason"] == "function_call"
    assert rest == b"data: " + b"x" * 300
