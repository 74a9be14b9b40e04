"""Requests that no model could serve, in every dialect, as the real client of OpenAI takes them."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.dialects.served import CHAT, EMBEDDING, SAYS_HELLO, Served, served

TYPES = {
    "openai": "invalid_request_error",
    "aurous": "invalid_request",
    "auriko": "invalid_request_error",
}
FUNCTION: Any = {"name": "weather", "parameters": {"type": "object", "properties": {}}}
TOOL: Any = {"type": "function", "function": FUNCTION}
ORPHAN: Any = [*SAYS_HELLO, {"role": "function", "name": "weather", "content": "sun"}]


@pytest.fixture(scope="module", params=list(TYPES))
def spoken(request: pytest.FixtureRequest) -> Iterator[tuple[str, Served]]:
    """Serve a dialect; give what it calls a bad request."""
    with served({"name": request.param}) as stack:
        yield TYPES[request.param], stack


def refused(stack: Served, path: str, body: Any) -> openai.BadRequestError:
    """Return what the client raises for a body, which is a 400."""
    with (
        OpenAI(base_url=stack.url, api_key=stack.key, max_retries=0) as client,
        pytest.raises(openai.BadRequestError) as caught,
    ):
        client.post(path, cast_to=object, body=body)
    return caught.value


MODELS: dict[str, Any] = {
    "number": 5,
    "list": [CHAT],
    "object": {"id": CHAT},
    "true": True,
    "missing": None,
    "long": "x" * 10_240,
    "controls": "veneer\x00demo\x1b[31m",
    "newline": f"{CHAT}\n",
}


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_a_model_that_is_no_name_is_refused_at_its_member(
    spoken: tuple[str, Served],
    model: Any,
    stream: bool,  # noqa: FBT001 - both ways
) -> None:
    kind, stack = spoken
    body = {"messages": SAYS_HELLO, "stream": stream}
    error = refused(stack, "/chat/completions", body if model is None else {"model": model, **body})
    assert (error.type, error.param) == (kind, "model")
    assert error.code
    # What is no name is not repeated either.
    assert "\x1b" not in error.message
    assert len(error.message) < 1000


@pytest.mark.parametrize(
    ("path", "rest"),
    [
        ("/responses", {"input": "Hello!"}),
        ("/embeddings", {"input": "Hello!"}),
        ("/completions", {"prompt": "Hello!"}),
    ],
)
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_so_it_is_in_every_operation(
    spoken: tuple[str, Served], path: str, rest: Any, model: Any
) -> None:
    kind, stack = spoken
    error = refused(stack, path, {"model": model, **rest})
    assert (error.type, error.param) == (kind, "model")


CALLS: dict[str, tuple[dict[str, Any], str]] = {
    "no messages": ({"messages": []}, "messages"),
    "messages of null": ({"messages": None}, "messages"),
    "messages of text": ({"messages": "Hello!"}, "messages"),
    "functions and tools": ({"functions": [FUNCTION], "tools": [TOOL]}, "functions"),
    "orphan": ({"messages": ORPHAN}, "messages[1].role"),
    "unknown choice": ({"tools": [TOOL], "tool_choice": "always"}, "tool_choice"),
    "choice of a number": ({"tools": [TOOL], "tool_choice": 1}, "tool_choice"),
    "choice of a list": ({"tools": [TOOL], "tool_choice": ["auto"]}, "tool_choice"),
    "unknown function": (
        {"functions": [FUNCTION], "function_call": "always"},
        "function_call",
    ),
    "stream of text": ({"stream": "yes"}, "stream"),
}


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(("body", "param"), CALLS.values(), ids=CALLS)
def test_a_call_that_cannot_be_is_refused_at_its_member(
    spoken: tuple[str, Served],
    body: dict[str, Any],
    param: str,
    stream: bool,  # noqa: FBT001 - both ways
) -> None:
    kind, stack = spoken
    whole = {"model": CHAT, "messages": SAYS_HELLO, "stream": stream, **body}
    error = refused(stack, "/chat/completions", whole)
    assert (error.type, error.param) == (kind, param)


def test_messages_that_are_left_out_are_missed(spoken: tuple[str, Served]) -> None:
    kind, stack = spoken
    error = refused(stack, "/chat/completions", {"model": CHAT})
    assert (error.type, error.param) == (kind, "messages")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": CHAT, "input": "a"}, "model"),
        ({"model": EMBEDDING, "input": "a", "dimensions": 3}, "dimensions"),
        ({"model": EMBEDDING, "input": [{"type": "text", "text": "a"}] * 17}, "input"),
    ],
    ids=["kind", "dimensions", "parts"],
)
def test_an_embedding_that_cannot_be_is_refused_at_its_member(
    spoken: tuple[str, Served], body: dict[str, Any], param: str
) -> None:
    kind, stack = spoken
    error = refused(stack, "/embeddings", body)
    assert (error.type, error.param) == (kind, param)


def test_a_body_that_is_no_json_is_refused(spoken: tuple[str, Served]) -> None:
    kind, stack = spoken
    with OpenAI(base_url=stack.url, api_key=stack.key, max_retries=0) as client:
        for text in (b"", b"[]", b"{", b'{"model":"a","model":"b"}', b"\xff"):
            with pytest.raises(openai.BadRequestError) as caught:
                client.post(
                    "/chat/completions",
                    cast_to=object,
                    content=text,
                    options={"headers": {"content-type": "application/json"}},
                )
            assert caught.value.type == kind
