"""Usage in all its shapes, and the signs that a stream ends."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.facts import Usage
from veneer.wire.usage import (
    LARGEST,
    TERMINAL_TYPES,
    has_finish,
    is_terminal_event,
    is_usage_chunk,
    read_usage,
    usage_in_body,
    usage_in_event,
)

USAGE = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}
RAW = json.dumps(USAGE).encode()

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
MEMBER_NAMES = st.sampled_from(
    [
        "usage",
        "response",
        "choices",
        "type",
        "error",
        "prompt_tokens",
        "input_tokens",
        "total_tokens",
        "prompt_tokens_details",
        "cached_tokens",
        "finish_reason",
        "seconds",
    ]
)
OBJECTS = st.recursive(
    JSON,
    lambda inner: st.one_of(
        st.dictionaries(MEMBER_NAMES, inner, max_size=4), st.lists(inner, max_size=2)
    ),
    max_leaves=8,
)


def dumped(anything: Any) -> bytes:
    return json.dumps(anything).encode()


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        (USAGE, Usage(input_tokens=9, output_tokens=12, total_tokens=21)),
        (
            {
                **USAGE,
                "prompt_tokens_details": {
                    "cached_tokens": 1,
                    "cache_write_tokens": 2,
                    "audio_tokens": 3,
                    "image_tokens": 4,
                    "text_tokens": 5,
                },
                "completion_tokens_details": {
                    "reasoning_tokens": 6,
                    "audio_tokens": 7,
                    "accepted_prediction_tokens": 8,
                    "rejected_prediction_tokens": None,
                },
            },
            Usage(
                input_tokens=9,
                output_tokens=12,
                total_tokens=21,
                cached_input_tokens=1,
                cache_write_tokens=2,
                input_audio_tokens=3,
                input_image_tokens=4,
                reasoning_tokens=6,
                output_audio_tokens=7,
            ),
        ),
        (
            {
                "input_tokens": 36,
                "input_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 2},
                "output_tokens": 87,
                "output_tokens_details": {"reasoning_tokens": 64},
                "total_tokens": 123,
            },
            Usage(
                input_tokens=36,
                output_tokens=87,
                total_tokens=123,
                cached_input_tokens=30,
                cache_write_tokens=2,
                reasoning_tokens=64,
            ),
        ),
        ({"prompt_tokens": 8, "total_tokens": 8}, Usage(input_tokens=8, total_tokens=8)),
        (
            {
                "input_tokens": 50,
                "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
                "output_tokens": 60,
                "output_tokens_details": {"image_tokens": 55, "text_tokens": 5},
                "total_tokens": 110,
            },
            Usage(
                input_tokens=50,
                output_tokens=60,
                total_tokens=110,
                input_image_tokens=40,
                output_image_tokens=55,
            ),
        ),
        (
            {
                "type": "tokens",
                "input_tokens": 14,
                "input_token_details": {"text_tokens": 0, "audio_tokens": 14},
                "output_tokens": 45,
                "total_tokens": 59,
            },
            Usage(input_tokens=14, output_tokens=45, total_tokens=59, input_audio_tokens=14),
        ),
        ({"type": "duration", "seconds": 9.5}, Usage(seconds=9.5)),
        ({"type": "duration", "seconds": 9}, Usage(seconds=9.0)),
        (
            {**USAGE, "total_tokens": None, "prompt_tokens_details": None},
            Usage(input_tokens=9, output_tokens=12, total_tokens=21),
        ),
        ({}, Usage()),
    ],
    ids=[
        "chat",
        "chat with details",
        "responses",
        "embeddings",
        "images",
        "transcription by tokens",
        "transcription by duration",
        "duration in whole seconds",
        "null members",
        "nothing",
    ],
)
def test_usage_is_read_in_every_shape(usage: dict[str, Any], counts: Usage) -> None:
    assert read_usage(dumped(usage), Usage) == counts


def test_no_usage_is_none() -> None:
    assert read_usage(b"null", Usage) is None


def test_of_old_and_new_names_the_larger_counts() -> None:
    usage = {"prompt_tokens": 0, "input_tokens": 5, "completion_tokens": 7, "output_tokens": 0}
    assert read_usage(dumped(usage), Usage) == Usage(
        input_tokens=5, output_tokens=7, total_tokens=12
    )


@pytest.mark.parametrize("number", ["9.0", "9", "0.9e1"])
def test_a_whole_number_counts_however_it_is_written(number: str) -> None:
    counts = read_usage(b'{"prompt_tokens":%b}' % number.encode(), Usage)
    assert counts == Usage(input_tokens=9, total_tokens=9)
    assert type(counts.input_tokens) is int


@pytest.mark.parametrize("member", ["-1", "1.5", "-0.5", '"9"', "true", "[9]", "{}"])
def test_what_is_no_count_counts_nothing_and_is_told(member: str) -> None:
    raw = b'{"prompt_tokens":%b,"completion_tokens":3}' % member.encode()
    assert read_usage(raw, Usage) == Usage(output_tokens=3, total_tokens=3, malformed=True)


@pytest.mark.parametrize("number", [b"9007199254740993", b"1e300", b"9" * 200])
def test_a_number_beyond_all_counts_is_bounded(number: bytes) -> None:
    counts = read_usage(b'{"prompt_tokens":1,"total_tokens":' + number + b"}", Usage)
    assert counts == Usage(input_tokens=1, total_tokens=LARGEST, malformed=True)


@pytest.mark.parametrize(
    "raw",
    [
        b"5",
        b"[]",
        b'"text"',
        b"{",
        b"",
        b'{"prompt_tokens":NaN}',
        b'{"prompt_tokens":1e999}',
        b'{"prompt_tokens_details":[1]}',
        b'{"seconds":"1"}',
        b'{"seconds":-1}',
        b'{"seconds":true}',
        b"[" * 100_000,
    ],
    ids=lambda raw: raw[:30].decode(),
)
def test_usage_that_cannot_be_read_is_malformed(raw: bytes) -> None:
    assert read_usage(raw, Usage) == Usage(malformed=True)


@given(OBJECTS)
def test_whatever_usage_holds_it_counts_within_bounds(usage: Any) -> None:
    counts = read_usage(json.dumps(usage).encode(), Usage)
    if counts is None:
        assert usage is None
        return
    for name in Usage.__struct_fields__:
        assert 0 <= getattr(counts, name) <= 2 * LARGEST
    assert all(type(getattr(counts, name)) is int for name in Usage.__struct_fields__[:-2])


@given(OBJECTS)
def test_no_function_raises_whatever_an_event_holds(event: Any) -> None:
    data = json.dumps(event).encode()
    for text in (data, data[:-1], data + b"}"):
        found = usage_in_event(text)
        assert found is None or found.startswith(b"{")
        assert has_finish(text) in {True, False}
        assert is_usage_chunk(text) in {True, False}
        assert is_terminal_event(text) in {True, False}


@given(OBJECTS, st.sampled_from([(",", ":"), (", ", ": ")]))
def test_what_is_passed_over_without_decoding_has_nothing(
    event: Any, separators: tuple[str, str]
) -> None:
    data = json.dumps(event, separators=separators).encode()
    assert usage_in_event(data) == usage_in_body(data)


@pytest.mark.parametrize(
    "event",
    [
        {"id": "c", "choices": [], "usage": USAGE},
        {"type": "response.completed", "response": {"id": "r", "usage": USAGE}},
        {"type": "response.incomplete", "response": {"usage": USAGE}},
        {"type": "response.failed", "response": {"usage": USAGE}, "usage": None},
        {"type": "image_generation.completed", "b64_json": "AA", "usage": USAGE},
        {"type": "image_edit.completed", "usage": USAGE},
        {"type": "transcript.text.done", "text": "a", "usage": USAGE},
        {"type": "speech.audio.done", "usage": USAGE},
        {"id": "run_1", "object": "thread.run", "usage": USAGE},
    ],
)
def test_usage_is_found_where_each_kind_of_event_has_it(event: dict[str, Any]) -> None:
    for data in (dumped(event), json.dumps(event, separators=(",", ":")).encode()):
        found = usage_in_event(data)
        assert found is not None
        assert json.loads(found) == USAGE
        assert usage_in_body(data) == found


@pytest.mark.parametrize(
    "event",
    [
        {"choices": [{"delta": {"content": '{"usage": {"prompt_tokens": 5}}'}}]},
        {"choices": [{"delta": {"content": '"usage"'}}], "usage": None},
        {"choices": [{"message": {"usage": USAGE}}]},
        {"usage": None},
        {"usage": 5},
        {"usage": [USAGE]},
        {"type": "response.created", "response": {"usage": None}},
        {"type": "response.created", "response": None, "metadata": {"usage": USAGE}},
        {"response": "text", "metadata": {"usage": USAGE}},
        {"response": [{"usage": USAGE}]},
        [{"usage": USAGE}],
    ],
)
def test_text_and_other_members_of_that_name_are_not_taken_for_usage(event: Any) -> None:
    for data in (dumped(event), json.dumps(event, separators=(",", ":")).encode()):
        assert usage_in_event(data) is None
        assert usage_in_body(data) is None
        assert not is_usage_chunk(data)


def test_usage_after_a_nested_null_is_found() -> None:
    data = b'{"choices":[{"usage":null}],"usage":' + RAW + b"}"
    assert usage_in_event(data) == RAW


@pytest.mark.parametrize(
    "data",
    [b"", b"[DONE]", b'{"usage":', b'{"usage":{}', b'"usage"', b'{"x":' * 100_000 + b'"usage"'],
    ids=lambda data: data[:10].decode(),
)
def test_what_is_not_json_has_no_usage(data: bytes) -> None:
    assert usage_in_event(data) is None
    assert usage_in_body(data) is None


def test_text_cut_within_an_emoji_does_not_hide_what_stands_beside_it() -> None:
    choice = rb'"choices":[{"delta":{"content":"\ud83d"},"finish_reason":"stop"}]'
    data = b"{" + choice + b',"usage":' + RAW + b"}"
    assert usage_in_event(data) == RAW
    assert has_finish(data)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"choices":[],"usage":' + RAW + b"}", True),
        (b'{"choices": [ ] ,"usage":' + RAW + b"}", True),
        (b'{"choices":[{"delta":{}}],"usage":' + RAW + b"}", False),
        (b'{"choices":[],"usage":null}', False),
        (b'{"choices":[]}', False),
        (b'{"choices":null,"usage":' + RAW + b"}", False),
        (b'{"usage":' + RAW + b"}", False),
        (b'{"usage"', False),
    ],
)
def test_the_usage_chunk_has_usage_and_no_choices(data: bytes, *, expected: bool) -> None:
    assert is_usage_chunk(data) is expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"choices":[{"delta":{},"finish_reason":"stop"}]}', True),
        (b'{"choices":[{"finish_reason":null},{"finish_reason":"length"}]}', True),
        (b'{"choices":[{"finish_reason":null}]}', False),
        (b'{"choices":[{"finish_reason": null},{"finish_reason":null}]}', False),
        (b'{"choices":[{"finish_reason":""}]}', False),
        (b'{"choices":[{"delta":{"content":"\\"finish_reason\\":1"}}]}', False),
        (b'{"choices":[{"delta":{"finish_reason":"stop"}}]}', False),
        (b'{"finish_reason":"stop","choices":[]}', False),
        (b'{"finish_reason":"stop","choices":null}', False),
        (b'{"finish_reason"', False),
    ],
)
def test_a_finish_is_a_reason_in_some_choice(data: bytes, *, expected: bool) -> None:
    assert has_finish(data) is expected


@pytest.mark.parametrize("kind", sorted(TERMINAL_TYPES))
def test_typed_streams_end_with_one_of_these(kind: str) -> None:
    assert is_terminal_event(dumped({"sequence_number": 1, "type": kind}))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"error":{"message":"overloaded"}}', True),
        (b'{"error":"overloaded"}', True),
        (b'{"type":"response.created","error":null}', False),
        (b'{"type":"response.output_text.delta","delta":"error"}', False),
        (b'{"type":"response.output_item.done","item":{"type":"error"}}', False),
        (b'{"type":["error"]}', False),
        (b'{"response":{"type":"response.completed"}}', False),
        (b"[DONE]", False),
        (b"", False),
        (b"[" * 100_000, False),
    ],
    ids=lambda value: value[:30].decode() if isinstance(value, bytes) else None,
)
def test_an_error_ends_a_typed_stream_and_nothing_else_does(data: bytes, *, expected: bool) -> None:
    assert is_terminal_event(data) is expected
