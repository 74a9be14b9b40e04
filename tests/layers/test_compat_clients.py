"""The openai package, unmodified, before the configured stack around the demo server.

The demo server knows functions and tools alike, so what it says to one is what a client must see
of the other.
"""

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from openai import AsyncOpenAI, BadRequestError, InternalServerError
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.asgi import read_body
from tests.gateway import gateway
from veneer.config import build, parse
from veneer.demo import DemoServer
from veneer.lifetime import lifespan
from veneer.stack import Stack

CHAT, EMBEDDING = "veneer-demo-1", "veneer-demo-embed"
WEATHER: Any = {
    "name": "weather",
    "description": "The weather in a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
TOOL: Any = {"type": "function", "function": WEATHER}
USER: Any = [{"role": "user", "content": "What is the weather in Rome?"}]


class Recorded:
    """An app that notes the bodies that it gets; one with a member of `unknown` it refuses."""

    def __init__(self, app: ASGIApp, *unknown: str) -> None:
        self.app = app
        self.unknown = unknown
        self.bodies: list[dict[str, Any]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        text = await read_body(receive)
        body = json.loads(text or b"{}")
        self.bodies.append(body)
        given = [*body, *(value for value in body.values() if isinstance(value, str))]
        if not set(given).isdisjoint(self.unknown):
            await send({"type": "http.response.start", "status": 500, "headers": []})
            await send({"type": "http.response.body", "body": b"what is that?"})
            return

        handed = False

        async def again() -> Any:
            nonlocal handed
            if handed:
                return await receive()
            handed = True
            return {"type": "http.request", "body": text, "more_body": False}

        await self.app(scope, again, send)


def configured(app: ASGIApp, **tables: Any) -> Stack:
    return build(parse({"upstream": {"url": "http://127.0.0.1:9"}, **tables}), app)


@contextlib.asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[AsyncOpenAI]:
    """Serve an app, and yield a client of it."""

    async def without_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await app(scope, receive, send)

    async with lifespan(app), gateway(without_lifespan) as at, client_for(at.url) as client:
        yield client


def client_for(url: str) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=url, api_key="sk-client", max_retries=0, timeout=10)


def plain(model: Any) -> Any:
    """Return what was said, without what differs between any two answers."""
    document = model.model_dump(exclude_unset=True)
    return {name: document[name] for name in ("choices",)}


ASKED: list[dict[str, Any]] = [
    {"messages": USER, "functions": [WEATHER]},
    {"messages": USER, "functions": [WEATHER], "function_call": {"name": "weather"}},
    {"messages": USER, "functions": [WEATHER], "function_call": "none"},
    {"messages": USER, "functions": [WEATHER], "n": 2},
    {
        "messages": [
            *USER,
            {
                "role": "assistant",
                "content": None,
                "function_call": {"name": "weather", "arguments": '{"city": "Rome"}'},
            },
            {"role": "function", "name": "weather", "content": "sun"},
        ],
        "functions": [WEATHER],
    },
]


async def both(app: ASGIApp, ask: Callable[[Any], Awaitable[Any]]) -> tuple[Any, Any]:
    """Return what the stack before an app says, and what the demo server does."""
    found = []
    for served_app in (configured(app), DemoServer()):
        async with served(served_app) as client:
            found.append(await ask(client.chat.completions))
    return found[0], found[1]


@pytest.mark.parametrize("asked", ASKED)
async def test_functions_are_answered_by_tools_as_they_would_be_by_functions(asked: Any) -> None:
    app = Recorded(DemoServer(), "functions", "function_call")
    found, wanted = await both(app, lambda chat: chat.create(model=CHAT, **asked))
    assert plain(found) == plain(wanted)
    assert app.bodies[0]["tools"] == [TOOL]


@pytest.mark.parametrize("asked", ASKED)
async def test_streamed_functions_are_what_they_would_be(asked: Any) -> None:
    async def ask(chat: Any) -> list[Any]:
        options = {"include_usage": True}
        stream = await chat.create(model=CHAT, stream=True, stream_options=options, **asked)
        return [part async for part in stream]

    app = Recorded(DemoServer(), "functions", "function_call")
    found, wanted = await both(app, ask)
    assert said(found) == said(wanted)
    assert found[-1].choices == []
    assert found[-1].usage is not None


def said(parts: list[Any]) -> dict[int, tuple[str, str, str, list[str]]]:
    """Return what each choice of a stream says: text, name, arguments and how it ends."""
    found: dict[int, tuple[str, str, str, list[str]]] = {}
    for part in parts:
        for choice in part.choices:
            assert choice.delta.tool_calls is None
            text, name, arguments, ends = found.get(choice.index, ("", "", "", []))
            called = choice.delta.function_call
            found[choice.index] = (
                text + (choice.delta.content or ""),
                name + ((called and called.name) or ""),
                arguments + ((called and called.arguments) or ""),
                [*ends, choice.finish_reason] if choice.finish_reason else ends,
            )
    return found


@pytest.mark.parametrize("stream", [False, True])
async def test_tools_are_answered_by_functions(stream: bool) -> None:  # noqa: FBT001 - both ways
    app = Recorded(DemoServer(), "tools", "tool_choice", "parallel_tool_calls")
    stack = configured(app, compat={"functions_only": True})
    messages: list[Any] = list(USER)
    async with served(stack) as client:
        asked: Any = {"model": CHAT, "tools": [TOOL], "parallel_tool_calls": False}
        if stream:
            async with client.chat.completions.stream(messages=messages, **asked) as events:
                first: Any = await events.get_final_completion()
        else:
            first = await client.chat.completions.create(messages=messages, **asked)
        [call] = first.choices[0].message.tool_calls
        assert first.choices[0].finish_reason == "tool_calls"
        messages += [
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [call.model_dump(include={"id", "type", "function"})],
            },
            {"role": "tool", "tool_call_id": call.id, "content": "sun"},
        ]
        second = await client.chat.completions.create(messages=messages, **asked)
    assert call.function.name == "weather"
    assert json.loads(call.function.arguments).keys() == {"city"}
    assert "sun" in (second.choices[0].message.content or "")
    assert [message["role"] for message in app.bodies[1]["messages"]] == [
        "user",
        "assistant",
        "function",
    ]


async def test_one_name_of_the_cap_and_one_role_are_known() -> None:
    app = Recorded(DemoServer(), "max_completion_tokens")
    stack = configured(app, compat={"max_tokens": "max_tokens", "developer_role": False})
    async with served(stack) as client:
        answer = await client.chat.completions.create(
            model=CHAT,
            messages=[{"role": "developer", "content": "Be brief"}, *USER],
            max_completion_tokens=2,
        )
    assert answer.choices[0].finish_reason == "length"
    assert app.bodies[0]["max_tokens"] == 2
    assert app.bodies[0]["messages"][0]["role"] == "system"


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": USER, "tools": [TOOL], "tool_choice": "always"}, "tool_choice"),
        ({"messages": USER, "tools": [TOOL], "functions": [WEATHER]}, "functions"),
        (
            {"messages": [{"role": "function", "name": "weather", "content": ""}]},
            "messages[0].role",
        ),
    ],
)
async def test_bad_calls_are_refused_at_their_member(asked: Any, param: str) -> None:
    app = Recorded(DemoServer())
    async with served(configured(app)) as client:
        with pytest.raises(BadRequestError) as refused:
            await client.chat.completions.create(model=CHAT, **asked)
    assert refused.value.param == param
    assert app.bodies == []


# Embeddings, for which the package asks for base64 unless it is told not to.


async def vectors(app: ASGIApp, given: Any, **tables: Any) -> Any:
    async with served(configured(app, **tables)) as client:
        return await client.embeddings.create(model=EMBEDDING, input=given, dimensions=8)


def known(*capabilities: str) -> dict[str, Any]:
    model = {"id": EMBEDDING, "kind": "embedding", "capabilities": list(capabilities)}
    return {"models": [model]}


TEXTS = [f"text number {number}" for number in range(12)]


async def test_base64_is_there_whoever_writes_it() -> None:
    wanted = await vectors(DemoServer(), TEXTS)
    app = Recorded(DemoServer(), "base64")
    found = await vectors(app, TEXTS, embeddings={"encoding": "local"})
    assert [row.embedding for row in found.data] == [row.embedding for row in wanted.data]
    assert app.bodies[0]["encoding_format"] == "float"
    with pytest.raises(InternalServerError):
        await vectors(app, TEXTS)


async def test_a_batch_is_fanned_out_to_a_model_that_takes_none() -> None:
    wanted = await vectors(DemoServer(), TEXTS)
    app = Recorded(DemoServer())
    tables = {"catalog": known(), "embeddings": {"batches": "fan-out"}}
    found = await vectors(app, TEXTS, **tables)
    assert [row.embedding for row in found.data] == [row.embedding for row in wanted.data]
    assert [row.index for row in found.data] == list(range(12))
    assert found.usage == wanted.usage
    assert sorted(body["input"] for body in app.bodies) == sorted(TEXTS)


async def test_a_batch_is_refused_unless_it_is_a_list_of_one_that_may_be() -> None:
    with pytest.raises(BadRequestError) as refused:
        await vectors(DemoServer(), ["a"], catalog=known())
    assert refused.value.code == "embeddings_batch_not_supported"
    allowed = {"allow_singleton_list": True}
    found = await vectors(DemoServer(), ["a"], catalog=known(), embeddings=allowed)
    assert len(found.data[0].embedding) == 8


async def test_a_fan_out_is_charged_as_one_call() -> None:
    prices = {"models": [{"model": EMBEDDING, "input": "1"}]}
    tables = {
        "catalog": known(),
        "embeddings": {"batches": "fan-out"},
        "prices": prices,
        "cost": {"ledger": "memory://"},
        "dialect": {"name": "aurous"},
    }
    found = await vectors(DemoServer(), TEXTS, **tables)
    alone = await vectors(DemoServer(), TEXTS, **{**tables, "catalog": known("embeddings_batch")})
    assert found.usage.total_tokens == alone.usage.total_tokens
    assert found.usage.model_extra["credits_charged"] == alone.usage.model_extra["credits_charged"]
