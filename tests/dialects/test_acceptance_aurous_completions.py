"""Aurous' completions, asked for again and cancelled by the real client of OpenAI over sockets."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from starlette.types import Receive, Scope, Send

from tests.asgi import read_body
from tests.dialects.served import ALIAS, CHAT, SAYS_HELLO, Served, served
from tests.layers.streams import chunk
from tests.listening import listening
from veneer.auth.static import digest_of
from veneer.config import build, parse

KEYS = {"ann": "red", "bob": "red", "eve": "blue"}


@pytest.fixture(scope="module")
def stack() -> Iterator[Served]:
    with served({"name": "aurous"}) as found:
        yield found


@pytest.fixture
async def client(stack: Served) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=stack.url, api_key=stack.key, max_retries=0) as made:
        yield made


async def endless(scope: Scope, receive: Receive, send: Send) -> None:
    """Be a model server that writes until its connection is closed."""
    if scope["type"] != "http":
        return
    await read_body(receive)
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    gone = asyncio.ensure_future(receive())
    for number in itertools.count():
        if gone.done():
            return
        await send({"type": "http.response.body", "body": chunk(f"{number} "), "more_body": True})
        await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def writing() -> Iterator[str]:
    """Give the address of a stack before a model server that never comes to an end."""
    with listening(endless) as upstream:
        keys = [
            {"id": name, "digest": digest_of(f"al_test_{name}"), "team": team}
            for name, team in KEYS.items()
        ]
        document = {
            "dialect": {"name": "aurous"},
            "upstream": {"url": f"http://127.0.0.1:{upstream}/v1"},
            "log": {"enabled": False},
            "auth": {"keys": keys},
            "prices": {"models": [{"model": "*", "input": "0.15", "output": "0.60"}]},
        }
        with listening(build(parse(document))) as port:
            yield f"http://127.0.0.1:{port}/v1"


def of(url: str, name: str) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=url, api_key=f"al_test_{name}", max_retries=0)


async def test_a_plain_answer_is_retrieved(client: AsyncOpenAI) -> None:
    made = await client.chat.completions.create(model=ALIAS, messages=SAYS_HELLO)
    found = await client.chat.completions.retrieve(made.id)
    assert made.id.startswith("cmp_")
    assert found.model_dump() == {**made.model_dump(), "status": "completed"}
    usage: Any = found.usage
    assert usage.model_extra["credits_charged"] > 0


async def test_a_stream_is_retrieved_whole(client: AsyncOpenAI) -> None:
    plain = await client.chat.completions.create(model=CHAT, messages=SAYS_HELLO)
    stream = await client.chat.completions.create(model=CHAT, messages=SAYS_HELLO, stream=True)
    chunks = [each async for each in stream]
    found = await client.chat.completions.retrieve(chunks[0].id)
    assert {each.id for each in chunks} == {found.id}
    assert found.choices[0].message.content == plain.choices[0].message.content
    assert found.usage == plain.usage


async def test_what_there_is_not_is_said_in_its_words(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        await client.chat.completions.retrieve("cmp_1")
    assert unknown.value.code == "resource_not_found"
    with pytest.raises(openai.NotFoundError) as nothing:
        await client.post("/chat/completions/cmp_1/cancel", cast_to=object)
    assert nothing.value.code == "chat_cancel_target_not_found"
    made = await client.chat.completions.create(model=CHAT, messages=SAYS_HELLO)
    with pytest.raises(openai.ConflictError) as over:
        await client.post(f"/chat/completions/{made.id}/cancel", cast_to=object)
    assert over.value.code == "chat_cancel_target_already_terminal"


async def test_a_stream_is_cancelled_by_another_of_the_team(writing: str) -> None:
    async with of(writing, "ann") as ann, of(writing, "bob") as bob, of(writing, "eve") as eve:
        stream = await ann.chat.completions.create(model="m", messages=SAYS_HELLO, stream=True)
        chunks: list[Any] = [await anext(stream), await anext(stream)]
        name = chunks[0].id
        running = await bob.chat.completions.retrieve(name)
        assert running.model_dump()["status"] == "in_progress"
        with pytest.raises(openai.NotFoundError):
            await eve.chat.completions.retrieve(name)
        with pytest.raises(openai.NotFoundError):
            await eve.post(f"/chat/completions/{name}/cancel", cast_to=object)
        told: Any = await bob.post(f"/chat/completions/{name}/cancel", cast_to=object)
        chunks += [each async for each in stream]
        found = await ann.chat.completions.retrieve(name)
    last = chunks[-1]
    assert (told["status"], told["finish_reason"]) == ("cancelled", "cancelled")
    assert last.choices[0].finish_reason == "cancelled"
    assert last.usage.model_extra["credits_charged"] == told["usage"]["credits_charged"] > 0
    text = "".join(each.choices[0].delta.content or "" for each in chunks)
    assert found.choices[0].message.content == text == told["choices"][0]["message"]["content"]


async def test_a_caller_is_told_of_its_team(writing: str) -> None:
    async with of(writing, "ann") as ann:
        told: Any = await ann.get("/team", cast_to=object)
    assert told == {
        "object": "team",
        "id": "red",
        "default_api_version": "2026-05-15",
        "billing_mode": "exempt",
    }
