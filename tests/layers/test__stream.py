"""The pure half of relaying a stream, fed in any way that a network can think of."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.layers.streams import (
    CHAT,
    CHAT_WITH_USAGE,
    DONE,
    RESPONSES,
    USAGE,
    chunk,
    compact,
    cut,
    event,
    members,
    usage_chunk,
)
from veneer.edits import Edits
from veneer.layers._stream import StreamRelay

PLACES = st.lists(st.integers(0, 2000), max_size=40)
ODD = b'id: 7\r\n\r\n: hello\n: again\ndata: {"choices":[]}\r\n\r\nevent: ping\n\nretry: 3\n\n\n'
STREAMS = [
    ("chat.completions", b"".join(CHAT)),
    ("chat.completions", b"".join(CHAT_WITH_USAGE)),
    ("chat.completions", b"".join(CHAT_WITH_USAGE).replace(b"\n", b"\r\n")),
    ("chat.completions", b"".join(CHAT_WITH_USAGE).replace(b"\n", b"\r")),
    ("completions", b"\xef\xbb\xbf" + ODD + b"".join(CHAT)),
    ("responses", b"".join(RESPONSES)),
    ("responses", b"".join(RESPONSES).replace(b"\n", b"\r\n")),
]
BOUND = 1024 * 1024


def relay_of(
    operation: str = "chat.completions",
    edits: Edits | None = None,
    *,
    limit: int = BOUND,
    withhold_usage: bool = False,
) -> StreamRelay:
    return StreamRelay(operation, edits or Edits(), limit=limit, withhold_usage=withhold_usage)


def fed(relay: StreamRelay, *parts: bytes) -> bytes:
    return b"".join(map(relay.feed, parts))


def receipt(*, shown: bool = False, model: str | None = None) -> Edits:
    """Return the edits of a layer that shows what a call has cost."""
    edits = Edits()
    edits.usage_shown = shown
    edits.in_usage.append(lambda usage: b'"cost":%d' % usage.total_tokens)
    edits.at_end.append(lambda usage: b'"receipt":%s' % (b"null" if usage is None else b'"r"'))
    if model is not None:
        edits.show_model(model)
    return edits


@pytest.mark.parametrize(("operation", "stream"), STREAMS)
@given(places=PLACES)
def test_without_edits_the_bytes_are_those_of_the_upstream(
    operation: str, stream: bytes, places: list[int]
) -> None:
    relay = relay_of(operation)
    assert fed(relay, *cut(stream, places)) + relay.close() == stream
    assert relay.complete
    assert relay.observed


@pytest.mark.parametrize(("operation", "stream"), STREAMS)
@given(places=PLACES)
def test_edits_are_the_same_however_the_stream_is_cut(
    operation: str, stream: bytes, places: list[int]
) -> None:
    whole = relay_of(operation, receipt(shown=True, model="big"), withhold_usage=True)
    pieces = relay_of(operation, receipt(shown=True, model="big"), withhold_usage=True)
    once = whole.feed(stream) + whole.close()
    assert fed(pieces, *cut(stream, places)) + pieces.close() == once


@pytest.mark.parametrize(("operation", "stream"), STREAMS)
@given(places=PLACES)
def test_counts_do_not_depend_on_how_the_stream_is_cut(
    operation: str, stream: bytes, places: list[int]
) -> None:
    whole, pieces = relay_of(operation), relay_of(operation)
    whole.feed(stream)
    fed(pieces, *cut(stream, places))
    assert (pieces.usage, pieces.events, pieces.done) == (whole.usage, whole.events, whole.done)
    if b'"total_tokens"' in stream:
        assert pieces.usage is not None
        assert pieces.usage.total_tokens == 8


@pytest.mark.parametrize("stream", [CHAT, CHAT_WITH_USAGE, RESPONSES])
def test_an_event_is_out_before_the_next_comes(stream: tuple[bytes, ...]) -> None:
    relay = relay_of("responses" if stream is RESPONSES else "chat.completions")
    for part in stream:
        assert relay.feed(part) == part


def test_an_event_is_out_as_soon_as_its_last_byte_is_in() -> None:
    relay = relay_of()
    first = CHAT[0]
    assert relay.feed(first[:-1]) == b""
    assert relay.feed(first[-1:] + b"data: {") == first


@given(place=st.integers(0, 2000))
@example(place=0)
def test_a_chat_that_just_stops_is_complete_only_once_it_has_finished(place: int) -> None:
    stream = b"".join(CHAT_WITH_USAGE)
    relay = relay_of()
    out = relay.feed(stream[:place]) + relay.close()
    finished = len(b"".join(CHAT_WITH_USAGE[:3]))
    with_usage = len(b"".join(CHAT_WITH_USAGE[:4]))
    proper = (
        place >= len(stream) - 2  # [DONE] is there, though its blank line may not be
        # An event that is but its name, or not yet that, is nothing that was cut off.
        or finished <= place < finished + 7
        or with_usage <= place < with_usage + 7
        or finished - 2 <= place <= finished
    )
    assert relay.complete is proper
    if proper:
        assert out == stream[:place]
    else:
        assert stream.startswith(out)
        assert out == b"" or out.endswith(b"\n\n")


@given(place=st.integers(0, 2000))
def test_a_responses_stream_is_complete_only_with_its_terminal_event(place: int) -> None:
    stream = b"".join(RESPONSES)
    relay = relay_of("responses")
    out = relay.feed(stream[:place]) + relay.close()
    assert relay.complete is (place >= len(stream) - 2)
    assert out == stream[:place] or (not relay.complete and stream.startswith(out))


@pytest.mark.parametrize(
    "last",
    [
        {"type": "response.incomplete", "response": {"usage": {"total_tokens": 8}}},
        {"type": "response.failed", "response": {"usage": {"total_tokens": 8}}},
    ],
)
def test_a_terminal_event_carries_usage_and_ends_the_stream(last: Any) -> None:
    relay = relay_of("responses")
    relay.feed(event(last, last["type"]))
    assert relay.done
    assert relay.usage is not None
    assert relay.usage.total_tokens == 8


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("images.generations", "image_generation.completed"),
        ("images.edits", "image_edit.completed"),
        ("audio.transcriptions", "transcript.text.done"),
        ("audio.speech", "speech.audio.done"),
    ],
)
def test_usage_is_read_from_the_last_event_of_images_and_audio(operation: str, kind: str) -> None:
    relay = relay_of(operation)
    relay.feed(event({"type": "speech.audio.delta", "audio": "AAAA"}))
    assert not relay.complete
    relay.feed(event({"type": kind, "usage": {"input_tokens": 5, "output_tokens": 3}}, kind))
    assert relay.complete
    assert relay.usage is not None
    assert relay.usage.total_tokens == 8


def test_usage_is_the_last_that_was_said() -> None:
    relay = relay_of()
    for total in (1, 2, 3):
        relay.feed(chunk("x", usage={"total_tokens": total}))
    assert relay.usage is not None
    assert relay.usage.total_tokens == 3


def test_an_event_behind_a_comment_is_read() -> None:
    relay = relay_of()
    relay.feed(b": keep-alive\n" + usage_chunk() + b": keep-alive\n" + DONE)
    assert relay.done
    assert relay.events == 2
    assert relay.usage is not None


def test_comments_and_events_without_data_are_no_events() -> None:
    relay = relay_of()
    relay.feed(b": hi\n\nretry: 3\n\nevent: ping\n\nid: 4\n\n")
    assert relay.events == 0


def test_a_comment_passes_while_the_finish_chunk_is_held() -> None:
    relay = relay_of(edits=receipt())
    assert relay.feed(chunk(finish="stop")) == b""
    assert relay.feed(b": keep-alive\n\n") == b": keep-alive\n\n"
    assert members(relay.feed(DONE))[0]["receipt"] is None


def test_the_usage_chunk_that_nobody_asked_for_is_withheld() -> None:
    relay = relay_of(withhold_usage=True)
    assert fed(relay, *CHAT_WITH_USAGE) + relay.close() == b"".join(CHAT)
    assert relay.usage is not None


def test_nulls_that_stand_for_usage_are_withheld_in_any_spelling() -> None:
    relay = relay_of(withhold_usage=True)
    spaced = b'data: {"usage" : null, "choices": [{"delta": {"content": "a"}}]}\n\n'
    last = b'data: {"choices":[{"finish_reason":"stop"}],"usage":  null}\r\n\r\n'
    out = relay.feed(spaced + last)
    assert members(out) == [
        {"choices": [{"delta": {"content": "a"}}]},
        {"choices": [{"finish_reason": "stop"}]},
    ]


@pytest.mark.parametrize("null", [b'"usage":null,', b'"usage": null, ', b'"usage" : null,'])
def test_chunks_with_such_a_null_are_the_same_alone_and_in_one(null: bytes) -> None:
    texts = [chunk("a"), chunk(' "usage":null, '), chunk("b"), chunk(finish="stop"), DONE]
    stream = [text.replace(b"{", b"{" + null, 1) for text in texts]
    for withheld in (False, True):
        for model in (None, "mine", "small"):
            alone = relay_of(edits=receipt(model=model), withhold_usage=withheld)
            in_one = relay_of(edits=receipt(model=model), withhold_usage=withheld)
            assert fed(alone, *stream) == fed(in_one, b"".join(stream))
            assert alone.events == in_one.events


def test_usage_in_every_chunk_is_left_there() -> None:
    stream = [chunk(c, usage={"total_tokens": i}) for i, c in enumerate("abc")]
    relay = relay_of(withhold_usage=True)
    assert fed(relay, *stream, usage_chunk(), DONE) == b"".join([*stream, DONE])


def test_chunks_without_choices_and_usage_pass() -> None:
    first = event({"choices": [], "prompt_filter_results": [{"usage": 1}], "model": ""})
    relay = relay_of(withhold_usage=True)
    assert relay.feed(first) == first


def test_usage_is_merged_into_the_finish_chunk() -> None:
    relay = relay_of(edits=receipt(shown=True), withhold_usage=True)
    out = members(fed(relay, *CHAT_WITH_USAGE))
    assert len(out) == 4
    assert out[2]["choices"][0]["finish_reason"] == "stop"
    assert out[2]["usage"] == {**USAGE, "cost": 8}
    assert out[2]["receipt"] == "r"
    assert "receipt" not in out[1]
    assert out[3] == "[DONE]"


def test_a_client_that_asked_finds_everything_in_the_usage_chunk() -> None:
    relay = relay_of(edits=receipt(shown=True))
    out = members(fed(relay, *CHAT_WITH_USAGE))
    assert out[2]["usage"] is None
    assert "receipt" not in out[2]
    assert out[3]["usage"] == {**USAGE, "cost": 8}
    assert out[3]["receipt"] == "r"
    assert len(out) == 5


def test_the_receipt_stands_in_the_finish_chunk_of_an_upstream_without_usage() -> None:
    relay = relay_of(edits=receipt(shown=True), withhold_usage=True)
    out = members(fed(relay, *CHAT))
    assert out[2]["receipt"] is None
    assert "usage" not in out[2]


def test_a_null_usage_in_the_finish_chunk_breaks_no_receipt() -> None:
    relay = relay_of(edits=receipt())
    out = members(fed(relay, chunk(finish="stop", usage=None), DONE))
    assert out[0]["receipt"] is None
    relay = relay_of(edits=receipt(), withhold_usage=True)
    out = members(fed(relay, *[part.replace(b":null", b": null") for part in CHAT_WITH_USAGE]))
    assert out[2]["receipt"] == "r"
    assert "usage" not in out[2]


def test_of_several_finish_chunks_the_last_carries_the_receipt() -> None:
    relay = relay_of(edits=receipt(shown=True), withhold_usage=True)
    stream = [chunk("a"), chunk("b", index=1), chunk(finish="stop")]
    stream += [chunk("c", index=1), chunk(finish="length", index=1), usage_chunk(), DONE]
    out = members(fed(relay, *stream))
    assert [("receipt" in item) for item in out[:-1]] == [False, False, False, False, True]
    assert out[4]["choices"][0]["finish_reason"] == "length"
    assert out[4]["usage"]["cost"] == 8


def test_a_chunk_after_the_finish_chunk_carries_the_receipt_in_its_place() -> None:
    relay = relay_of(edits=receipt(shown=True), withhold_usage=True)
    late = event({"choices": [{"index": 0, "delta": {}, "content_filter_offsets": {}}]})
    out = members(fed(relay, chunk("a"), chunk(finish="stop"), late, usage_chunk(), DONE))
    assert "receipt" not in out[1]
    assert out[2]["receipt"] == "r"
    assert out[2]["usage"] == {**USAGE, "cost": 8}


def test_what_was_held_is_out_when_the_stream_ends_without_done() -> None:
    relay = relay_of(edits=receipt())
    assert relay.feed(chunk(finish="stop")) == b""
    out = relay.close()
    assert relay.complete
    assert members(out)[0]["receipt"] is None


def test_what_was_held_is_out_unedited_when_the_stream_breaks() -> None:
    relay = relay_of(edits=receipt())
    relay.feed(chunk(finish="stop") + b"data: {half")
    assert relay.give_up() == chunk(finish="stop")
    assert relay.give_up() == b""


def test_the_model_is_shown_by_another_name_in_every_chunk() -> None:
    edits = Edits()
    edits.show_model("gro\u00df")
    out = members(fed(relay_of(edits=edits), *CHAT_WITH_USAGE))
    assert [item["model"] for item in out[:-1]] == ["gro\u00df"] * 4


def test_another_model_name_is_found_even_where_chunks_differ() -> None:
    edits = Edits()
    edits.show_model("shown")
    relay = relay_of(edits=edits)
    stream = [
        event({"choices": [], "model": ""}),
        chunk('"model":"small"'),
        b'data: {"model" : "other","choices":[{"x":{"model":"small"}}]}\n\n',
        b'data: {"mod\\u0065l":"small","choices":[]}\n\n',
        b'data: {"nested":{"model":"small"},"model":"small","choices":[]}\n\n',
        b'data: {"choices":[]}\n\n',
        b"data: {broken\n\n",
        b'data: {"model":"a",\ndata: "choices":[]}\n\n',
    ]
    outs = [relay.feed(part) for part in stream]
    names = [json.loads(out[6:]).get("model") for out in outs[:6]]
    assert names == ["shown"] * 5 + [None]
    assert json.loads(outs[1][6:])["choices"][0]["delta"]["content"] == '"model":"small"'
    assert json.loads(outs[2][6:])["choices"][0]["x"]["model"] == "small"
    assert json.loads(outs[4][6:])["nested"]["model"] == "small"
    assert outs[6] == stream[6]
    assert b'"shown"' in outs[7]


def test_the_response_in_responses_events_is_edited() -> None:
    relay = relay_of("responses", receipt(model="big"))
    outs = [relay.feed(part) for part in RESPONSES]
    assert outs[1] == RESPONSES[1]
    first, _, last = members(b"".join(outs))
    assert first["response"]["model"] == "big"
    assert first["response"]["usage"] is None
    assert last["response"]["usage"]["cost"] == 8
    assert last["response"]["receipt"] == "r"
    assert outs[2].startswith(b"event: response.completed\n")


def test_an_error_event_is_not_edited() -> None:
    error = event({"type": "error", "code": "x", "message": "y", "response": {}}, "error")
    assert relay_of("responses", receipt()).feed(error) == error


@pytest.mark.parametrize(
    "bad",
    [
        b"{broken",
        b'{"choices":[{"finish_reason":"stop"}],"model":"a","model":"b"}',
        b'{"choices":[{"finish_reason":"stop"}],"usage":{"total_tokens":1},"usage":{}}',
        b'{"choices":' + b"[" * 50_000,
        b'{"response":"none","type":"response.completed","usage":{"total_tokens":1}}',
        b'{"error"',
        b'"text"',
        b"\xff\xfe",
        b'{"choices":[],"usage":{"total_tokens":1},"usage":{"total_tokens":1}}',
    ],
)
@pytest.mark.parametrize("operation", ["chat.completions", "responses", "images.generations"])
def test_what_cannot_be_edited_passes(operation: str, bad: bytes) -> None:
    stream = b"data: " + bad + b"\n\n"
    for withhold in (False, True):
        relay = relay_of(operation, receipt(shown=True, model="m"), withhold_usage=withhold)
        out = relay.feed(stream) + relay.feed(DONE) + relay.close() + relay.give_up()
        assert out.startswith((b"data: ", b"")), "nothing is raised"
        assert bad[:6] in out or b'"usage"' in bad


@pytest.mark.parametrize(
    ("operation", "error"),
    [
        ("chat.completions", event({"error": {"message": "no"}})),
        ("chat.completions", event({"error": "no"})),
        ("responses", event({"type": "error", "message": "no"}, "error")),
        ("responses", event({"error": {"message": "no"}})),
        ("images.generations", event({"type": "error", "error": {"message": "no"}})),
    ],
)
def test_an_error_of_the_upstream_ends_its_stream(operation: str, error: bytes) -> None:
    relay = relay_of(operation)
    relay.feed(error)
    assert relay.failed
    assert relay.complete


def test_an_error_behind_the_finish_chunk_is_out_at_once_and_unedited() -> None:
    relay = relay_of(edits=receipt())
    error = event({"error": {"message": "no"}})
    assert relay.feed(chunk(finish="stop")) == b""
    assert relay.feed(error) == chunk(finish="stop") + error
    assert relay.close() == b""


def test_a_null_error_is_none() -> None:
    relay = relay_of()
    relay.feed(event({"error": None, "choices": []}))
    assert not relay.failed


def test_text_that_speaks_of_errors_is_no_error() -> None:
    relay = relay_of()
    relay.feed(chunk('{"error": {"message": "no"}} "error"'))
    assert not relay.failed


def test_an_event_beyond_the_limit_passes_with_all_that_follows() -> None:
    relay = relay_of(edits=receipt(), limit=1000)
    big = chunk("x" * 2000)
    parts = [chunk("a"), chunk(finish="stop"), big[:1500], big[1500:], usage_chunk(), DONE]
    out = fed(relay, *parts) + relay.close()
    assert not relay.observed
    assert relay.complete
    assert relay.usage is None
    assert out.endswith(big + usage_chunk() + DONE)
    assert members(out)[1]["choices"][0]["finish_reason"] == "stop"


def test_after_an_event_beyond_the_limit_ours_stands_by_itself() -> None:
    relay = relay_of(limit=1000)
    assert relay.feed(b"data: " + b"x" * 1500)
    assert relay.give_up() == b"\n\n"


def test_bytes_beyond_the_limit_come_in_order() -> None:
    relay = relay_of(limit=100)
    first = b"data: {}\n\n"
    assert relay.feed(first + b"data: " + b"x" * 200) == first + b"data: " + b"x" * 200
    assert relay.events == 1


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=8))
def test_no_bytes_at_all_break_the_relay(data: bytes, places: list[int]) -> None:
    plain = relay_of()
    assert fed(plain, *cut(data, places)) + plain._splitter.rest == data
    plain.close()
    edited = relay_of("responses", receipt(shown=True, model="m"), limit=200)
    fed(edited, *cut(data, places))
    edited.close()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "usage", "model", "response", "error", "type", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=5), st.sampled_from(["chat.completions", "responses"]))
def test_no_json_at_all_breaks_the_relay(values: list[Any], operation: str) -> None:
    relay = relay_of(operation, receipt(shown=True, model="m"), withhold_usage=True)
    for value in values:
        relay.feed(b"data: " + compact(value) + b"\n\n")
    relay.feed(DONE)
    relay.close()


@pytest.mark.parametrize("operation", ["chat.completions", "responses"])
def test_edits_know_how_many_events_there_were(operation: str) -> None:
    chunks = {"chat.completions": CHAT, "responses": RESPONSES}[operation]
    edits = Edits()
    known: list[int | None] = []

    def note(_usage: object) -> bytes:
        known.append(edits.events)
        return b""

    edits.at_end.append(note)
    relay = relay_of(operation, edits)
    fed(relay, *chunks)
    assert known == [relay.events] == [len(chunks)]
