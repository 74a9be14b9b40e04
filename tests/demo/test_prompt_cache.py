"""What the demo model has read before, and how long it takes to read the rest."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.demo.prompt_cache import BLOCK, PromptCache

from .drive import CHAT, post, server

LONG = "Once upon a time there was a model server. " * 100


def chat(*contents: str, **more: Any) -> dict[str, Any]:
    return {
        "model": CHAT,
        "messages": [{"role": "user", "content": content} for content in contents],
        **more,
    }


REQUESTS = {
    "/v1/chat/completions": chat(LONG),
    "/v1/completions": {"model": CHAT, "prompt": LONG},
    "/v1/responses": {"model": CHAT, "input": LONG},
}


def cached(usage: dict[str, Any]) -> tuple[int, int]:
    """Return the tokens of the prompt, and how many of them were cached."""
    if "input_tokens" in usage:
        return usage["input_tokens"], usage["input_tokens_details"]["cached_tokens"]
    return usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"]


@pytest.mark.parametrize("path", REQUESTS)
async def test_a_prompt_that_was_read_before_is_cached_almost_whole(path: str) -> None:
    app = server(prompt_cache=True)
    tokens, before = cached((await post(path, REQUESTS[path], app)).json["usage"])
    assert before == 0
    _, after = cached((await post(path, REQUESTS[path], app)).json["usage"])
    assert 0.9 * tokens < after <= tokens


@pytest.mark.parametrize("path", REQUESTS)
async def test_without_a_cache_nothing_is_cached(path: str) -> None:
    app = server()
    for _ in range(2):
        assert cached((await post(path, REQUESTS[path], app)).json["usage"])[1] == 0


async def test_a_later_turn_finds_the_earlier_ones() -> None:
    app = server(prompt_cache=True)
    first = (await post("/v1/chat/completions", chat(LONG), app)).json["usage"]
    stream = chat(LONG, LONG, stream=True, stream_options={"include_usage": True})
    second = (await post("/v1/chat/completions", stream, app)).chunks[-1]["usage"]
    assert cached(second)[1] == pytest.approx(first["prompt_tokens"], rel=0.1)


async def test_another_model_or_tool_has_read_nothing() -> None:
    app = server(prompt_cache=True)
    tool = {"type": "function", "function": {"name": "other"}}
    await post("/v1/chat/completions", chat(LONG), app)
    answered = await post("/v1/chat/completions", chat(LONG, tools=[tool]), app)
    assert cached(answered.json["usage"])[1] == 0


async def test_what_is_not_cached_takes_its_time_one_prompt_after_the_other() -> None:
    slept: list[float] = []
    now = 0

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += 1
        assert now == 1
        slept.append(seconds)
        await asyncio.sleep(0)
        now -= 1

    app = server(prompt_cache=True, prefill_tps=1000, sleep=sleep)
    posts = [post("/v1/chat/completions", chat(LONG + name), app) for name in "aab"]
    usages = [answered.json["usage"] for answered in await asyncio.gather(*posts)]
    read = [tokens - before for tokens, before in map(cached, usages)]
    assert slept == [tokens / 1000 for tokens in read if tokens]


@pytest.mark.parametrize("wrong", [0, -1, float("nan")])
def test_a_speed_that_cannot_be_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="more than 0"):
        server(prefill_tps=wrong)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), max_size=30), st.integers(1, 12))
def test_the_cache_is_bounded_and_knows_no_more_than_it_has_read(
    prompts: list[tuple[int, int]], most: int
) -> None:
    cache = PromptCache(most)
    longest = [0, 0, 0]
    for which, blocks in prompts:
        text = bytes([which]) * (blocks * BLOCK + 1)
        found = cache.read(text)
        assert found % BLOCK == 0
        assert found <= min(blocks, longest[which], most) * BLOCK
        longest[which] = max(longest[which], blocks)


@given(st.integers(0, 9), st.integers(0, 9))
def test_the_longest_common_beginning_is_cached(first: int, second: int) -> None:
    cache = PromptCache()
    cache.read(b"x" * (first * BLOCK) + b"a")
    assert cache.read(b"x" * (second * BLOCK) + b"b") == min(first, second) * BLOCK
