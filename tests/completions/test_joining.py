"""Chunks of streams, joined to the completions that plain calls would have got."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.layers.streams import CHAT, DONE, USAGE, chunk, compact, cut, event, usage_chunk
from veneer.completions.joining import Joining

LIMIT = 100_000
HEAD = {"id": "chatcmpl-1", "created": 7, "model": "small"}
TEXTS = st.text(max_size=12)
PIECES = st.integers(1, 4)


def joined(*events: bytes, limit: int = LIMIT) -> Joining:
    joining = Joining(limit)
    for part in events:
        joining.feed(part)
    return joining


def split(text: str, pieces: int) -> list[str]:
    """Return a text in so many pieces, of which some may be empty."""
    size = -(-len(text) // pieces) or 1
    return [text[at : at + size] for at in range(0, len(text), size)] or [""]


def tool(name: str, arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"id": f"call_{name}", "type": "function", "function": function}


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": None}
    tools = draw(st.lists(st.builds(tool, st.text("abc", min_size=1, max_size=3), TEXTS)))
    if tools:
        message["tool_calls"] = tools
    if not tools or draw(st.booleans()):
        # A text that is empty beside tools is none.
        message["content"] = draw(st.text(min_size=1 if tools else 0, max_size=20))
    if draw(st.booleans()):
        message["refusal"] = draw(st.none() | TEXTS)
    if draw(st.booleans()):
        message["reasoning_content"] = draw(TEXTS)
    return message


@st.composite
def completions(draw: st.DrawFn) -> dict[str, Any]:
    choices = []
    for index, message in enumerate(draw(st.lists(messages(), min_size=1, max_size=3))):
        reason = draw(st.sampled_from(["stop", "length", "tool_calls"]))
        choice = {"index": index, "message": message, "finish_reason": reason}
        if draw(st.booleans()):
            tokens = st.fixed_dictionaries({"token": TEXTS, "logprob": st.just(-1.5)})
            choice["logprobs"] = {"content": draw(st.lists(tokens, min_size=1)), "refusal": None}
        choices.append(choice)
    whole: dict[str, Any] = {**HEAD, "object": "chat.completion", "choices": choices}
    if draw(st.booleans()):
        whole["usage"] = {**USAGE, "credits_charged": 0.5}
    if draw(st.booleans()):
        whole["system_fingerprint"] = "fp"
    return whole


def deltas(message: dict[str, Any], pieces: int) -> list[dict[str, Any]]:
    """Return the deltas of a message as OpenAI sends them: what is said once, then texts."""
    tools = message.get("tool_calls", [])
    found: list[dict[str, Any]] = [{"role": "assistant", "content": "" if tools else None}]
    for name in ("content", "refusal", "reasoning_content"):
        if name in message:
            text = message[name]
            found += [{name: text}] if text is None else [{name: p} for p in split(text, pieces)]
    for index, each in enumerate(tools):
        function = {**each["function"], "arguments": ""}
        found.append({"tool_calls": [{**each, "index": index, "function": function}]})
        for piece in split(each["function"]["arguments"], pieces):
            found.append({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    return found


def chunks_of(whole: dict[str, Any], pieces: int) -> list[dict[str, Any]]:
    """Return the chunks of a completion, of its choices in turn."""
    extra = {name: whole[name] for name in ("system_fingerprint",) if name in whole}
    head = {**HEAD, **extra, "object": "chat.completion.chunk"}
    parts: list[tuple[int, dict[str, Any]]] = []
    for choice in whole["choices"]:
        index = choice["index"]
        for at, delta in enumerate(deltas(choice["message"], pieces)):
            parts.append((at, {"index": index, "delta": delta, "finish_reason": None}))
        for token in choice.get("logprobs", {}).get("content", ()):
            logprobs = {"content": [token], "refusal": None}
            parts.append((10**6, {"index": index, "delta": {}, "logprobs": logprobs}))
        end = {"index": index, "delta": {}, "finish_reason": choice["finish_reason"]}
        parts.append((10**7, end))
    parts.sort(key=lambda part: part[0])
    found: list[dict[str, Any]] = [{**head, "choices": [choice]} for _, choice in parts]
    if "usage" in whole:
        found = [{**each, "usage": None} for each in found]
        found.append({**head, "choices": [], "usage": whole["usage"]})
    return found


@given(completions(), PIECES, st.lists(st.integers(0, 5000), max_size=20))
def test_a_stream_is_joined_to_what_a_plain_call_gets(
    whole: dict[str, Any], pieces: int, places: list[int]
) -> None:
    stream = b"".join([*map(event, chunks_of(whole, pieces)), DONE])
    joining = joined(*cut(stream, places))
    assert joining.completion() == whole
    assert joining.done
    assert joining.finished
    assert not joining.overflowed
    assert joining.error is None


@given(st.lists(st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["choices", "delta", "index", "id", "usage", "content", "error", "a"]),
        inner,
        max_size=4,
    ),
    max_leaves=20,
), max_size=6))  # fmt: skip
def test_no_stream_is_too_odd_to_be_joined(values: list[Any]) -> None:
    joining = joined(*(event(value) for value in values))
    completion = joining.completion()
    assert completion["object"] == "chat.completion"
    assert isinstance(completion["choices"], list)
    compact(completion)


@given(st.integers(0, 400), completions())
def test_what_is_kept_is_bounded(limit: int, whole: dict[str, Any]) -> None:
    stream = [event(each) for each in chunks_of(whole, 1)]
    joining = joined(*stream, limit=limit)
    completion = joining.completion()
    if not joining.overflowed:
        assert completion == whole
        return
    assert [each["finish_reason"] for each in completion["choices"]] == [
        each["finish_reason"] for each in whole["choices"]
    ]
    assert {each["message"]["content"] for each in completion["choices"]} == {None}
    assert completion.get("usage") == whole.get("usage")


def test_a_stream_that_goes_on_is_not_finished() -> None:
    joining = joined(CHAT[0], chunk("x", index=1, finish="stop"))
    assert joining.unfinished == [0]
    assert not joining.finished
    assert not joining.done
    assert not joined().finished


def test_what_the_first_chunk_leaves_out_is_taken_from_the_next() -> None:
    first = event({"id": "", "model": "", "created": 0, "choices": []})
    completion = joined(first, event({**HEAD, "choices": []})).completion()
    assert completion == {**HEAD, "object": "chat.completion", "choices": []}


def test_of_what_stands_beside_the_choices_the_last_word_counts() -> None:
    stream = [chunk("a", routing={"n": 1}), usage_chunk(routing={"n": 2}, other=None)]
    completion = joined(*stream).completion()
    assert (completion["routing"], completion["usage"]) == ({"n": 2}, USAGE)
    assert "other" not in completion


def test_an_error_is_no_part_of_the_completion() -> None:
    error = {"type": "server_error", "code": "x", "message": "gone"}
    joining = joined(chunk("a"), event({"error": error, "choices": [{"index": 5}]}))
    assert joining.error == error
    assert len(joining.completion()["choices"]) == 1


@pytest.mark.parametrize("data", [b"{", b"[1]", b'"x"', b"{" * 2000, b'{"a":\xff}', b"null"])
def test_what_is_no_chunk_is_left_out(data: bytes) -> None:
    joining = joined(b"data: %b\n\n" % data, *CHAT)
    assert joining.completion() == joined(*CHAT).completion()


@pytest.mark.parametrize("index", [-1, 10**9, "0", 1.5, None])
def test_an_absurd_index_takes_no_room(index: Any) -> None:
    odd = event({"choices": [{"index": index, "delta": {"content": "x"}}]})
    assert joined(odd).completion()["choices"] == []


def test_a_long_answer_is_joined_in_time_that_grows_with_it() -> None:
    """A text that is added to piece by piece would be copied each time."""
    joining = joined(*[chunk("word ")] * 20_000, limit=10**6)
    assert joining.completion()["choices"][0]["message"]["content"] == "word " * 20_000


def test_an_event_beyond_all_bounds_ends_the_joining() -> None:
    joining = joined(chunk("a"), b"data: " + b"x" * (5 * 1024 * 1024))
    assert joining.overflowed
