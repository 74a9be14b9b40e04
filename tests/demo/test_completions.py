"""POST /v1/completions."""

from typing import Any

import pytest

from .drive import CHAT, NOW, Answered, post


async def complete(prompt: object = "hi", /, **members: Any) -> Answered:
    return await post("/v1/completions", {"model": CHAT, "prompt": prompt, **members})


async def test_a_prompt_is_completed_within_sixteen_tokens() -> None:
    completion = (await complete("hello")).json
    assert completion["object"] == "text_completion"
    assert completion["id"].startswith("cmpl-")
    assert completion["created"] == NOW
    [choice] = completion["choices"]
    assert choice["text"].startswith('You said "hello"')
    assert choice["finish_reason"] == "length"
    assert completion["usage"]["prompt_tokens"] == 2
    assert completion["usage"]["completion_tokens"] == 16
    assert completion["usage"]["total_tokens"] == 18


async def test_a_higher_limit_lets_the_answer_end() -> None:
    [choice] = (await complete(max_tokens=100)).json["choices"]
    assert choice["finish_reason"] == "stop"


async def test_a_stop_sequence_ends_the_answer_before_it() -> None:
    [choice] = (await complete(stop="said")).json["choices"]
    assert (choice["text"], choice["finish_reason"]) == ("You ", "stop")


@pytest.mark.parametrize(
    ("prompt", "tokens"), [(["a", "b"], 2), ([1, 2, 3], 3), ([[1], [2, 3]], 3)]
)
async def test_each_prompt_of_a_list_has_its_choices(prompt: list[Any], tokens: int) -> None:
    completion = (await complete(prompt, n=2)).json
    prompts = 1 if isinstance(prompt[0], int) else 2
    assert [choice["index"] for choice in completion["choices"]] == list(range(2 * prompts))
    assert completion["usage"]["prompt_tokens"] == tokens


async def test_the_chunks_of_a_stream_join_to_the_plain_answer() -> None:
    asked = {"n": 2, "max_tokens": 100}
    plain = (await complete(["a", "b"], **asked)).json
    streamed = await complete(
        ["a", "b"], **asked, stream=True, stream_options={"include_usage": True}
    )
    *chunks, last = streamed.chunks
    assert last["choices"] == []
    assert last["usage"] == plain["usage"]
    assert all(chunk["usage"] is None for chunk in chunks)
    pieces = [chunk["choices"][0] for chunk in chunks]
    for choice in plain["choices"]:
        mine = [piece for piece in pieces if piece["index"] == choice["index"]]
        assert "".join(piece["text"] for piece in mine) == choice["text"]
        assert mine[-1]["finish_reason"] == choice["finish_reason"]


async def test_usage_is_in_the_stream_only_if_asked_for() -> None:
    assert all("usage" not in chunk for chunk in (await complete(stream=True)).chunks)


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": ["a"] * 65, "n": 2}, "n"),
        ({"prompt": "x" * 600_000}, "prompt"),
        ({"stream_options": {}}, "stream_options"),
        ({"stop": ""}, "stop"),
        ({"max_tokens": "3"}, "max_tokens"),
    ],
)
async def test_a_bad_member_is_refused_by_its_name(members: dict[str, Any], param: str) -> None:
    answered = await post("/v1/completions", {"model": CHAT, "prompt": "hi", **members})
    assert (answered.status, answered.error["param"]) == (400, param)
