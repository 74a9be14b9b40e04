"""What is refused of a call because its model cannot do it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.call import Call
from veneer.catalog.guards import refusal
from veneer.catalog.model import Model
from veneer.dialects import Kind
from veneer.members import read_members
from veneer.operations import FIXED

OPERATIONS = {operation.name: operation for operation in FIXED.values()}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
TOOL = {"type": "function", "function": {"name": "f"}}


def judged(model: Model, operation: str, **body: Any) -> tuple[Kind, str | None] | None:
    """Return what is said of a call, None for one that may pass."""
    text = json.dumps(body).encode()
    members = read_members(operation, text)
    call = Call(
        OPERATIONS[operation],
        model.id,
        bool(body.get("stream")),
        None,
        members.input_bytes(),
        members.output_cap(),
    )
    error = refusal(model, call, text)
    return None if error is None else (error.kind, error.param)


def able(*capabilities: Any) -> Model:
    return Model(id="m", capabilities=frozenset(capabilities))


NOTHING = able()


@pytest.mark.parametrize(
    ("model", "operation", "body", "kind", "param"),
    [
        (Model(id="m", kind="embedding"), "responses", {}, Kind.MODEL_WRONG_KIND, "model"),
        (Model(id="m", kind="chat"), "embeddings", {}, Kind.MODEL_WRONG_KIND, "model"),
        (NOTHING, "chat.completions", {"stream": True}, Kind.STREAMING_UNSUPPORTED, "stream"),
        (NOTHING, "chat.completions", {"tools": [TOOL]}, Kind.TOOLS_UNSUPPORTED, "tools"),
        (NOTHING, "responses", {"tools": [TOOL]}, Kind.TOOLS_UNSUPPORTED, "tools"),
        (NOTHING, "chat.completions", {"functions": [{}]}, Kind.TOOLS_UNSUPPORTED, "functions"),
        (
            able("tools"),
            "chat.completions",
            {"tools": [TOOL], "tool_choice": "required"},
            Kind.TOOL_CHOICE_UNSUPPORTED,
            "tool_choice",
        ),
        (
            NOTHING,
            "chat.completions",
            {"messages": [{"role": "user", "content": [IMAGE]}]},
            Kind.VISION_UNSUPPORTED,
            "messages",
        ),
        (
            NOTHING,
            "responses",
            {"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
            Kind.VISION_UNSUPPORTED,
            "input",
        ),
        (
            NOTHING,
            "chat.completions",
            {"response_format": {"type": "json_object"}},
            Kind.JSON_MODE_UNSUPPORTED,
            "response_format",
        ),
        (
            able("json_object"),
            "chat.completions",
            {"response_format": {"json_schema": {}, "type": "json_schema"}},
            Kind.JSON_SCHEMA_UNSUPPORTED,
            "response_format",
        ),
        (
            NOTHING,
            "responses",
            {"text": {"format": {"type": "json_schema"}}},
            Kind.JSON_SCHEMA_UNSUPPORTED,
            "text.format",
        ),
        (
            NOTHING,
            "chat.completions",
            {"reasoning_effort": "low"},
            Kind.REASONING_UNSUPPORTED,
            "reasoning_effort",
        ),
        (
            NOTHING,
            "responses",
            {"reasoning": {"effort": "low"}},
            Kind.REASONING_UNSUPPORTED,
            "reasoning",
        ),
        (
            Model(id="m", output_cap=10),
            "chat.completions",
            {"max_tokens": 11},
            Kind.OUTPUT_CAP_EXCEEDED,
            "max_tokens",
        ),
        (
            Model(id="m", output_cap=10),
            "responses",
            {"max_output_tokens": 11.0},
            Kind.OUTPUT_CAP_EXCEEDED,
            "max_output_tokens",
        ),
        (
            Model(id="m", context_window=100),
            "chat.completions",
            {"messages": [{"role": "user", "content": "a" * 900}]},
            Kind.CONTEXT_EXCEEDED,
            "messages",
        ),
        (
            Model(id="m", context_window=100),
            "responses",
            {"input": "hi", "max_output_tokens": 101},
            Kind.CONTEXT_EXCEEDED,
            "input",
        ),
        (
            Model(id="m", dimensions=(256, 512)),
            "embeddings",
            {"input": "a", "dimensions": 300},
            Kind.EMBEDDINGS_DIMENSIONS,
            "dimensions",
        ),
    ],
)
def test_what_a_model_cannot_do_is_refused(
    model: Model, operation: str, body: dict[str, Any], kind: Kind, param: str
) -> None:
    assert judged(model, operation, **body) == (kind, param)


EVERYTHING: dict[str, Any] = {
    "messages": [{"role": "user", "content": [IMAGE, {"type": "text", "text": "a" * 9000}]}],
    "tools": [TOOL],
    "tool_choice": "required",
    "response_format": {"type": "json_schema"},
    "reasoning_effort": "high",
    "max_tokens": 10**6,
    "stream": True,
}


def test_of_a_model_of_which_nothing_is_known_nothing_is_refused() -> None:
    assert judged(Model(id="m"), "chat.completions", **EVERYTHING) is None


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("chat.completions", {"tools": [], "tool_choice": "auto", "reasoning_effort": None}),
        ("chat.completions", {"response_format": {"type": "text"}, "reasoning_effort": "none"}),
        (
            "chat.completions",
            {"messages": [{"role": "user", "content": '"type": "image_url"'}]},
        ),
        ("responses", {"text": {"format": {"type": "text"}}, "reasoning": {"summary": "auto"}}),
        ("embeddings", {"input": "a", "dimensions": None}),
    ],
)
def test_what_asks_for_nothing_in_particular_passes(operation: str, body: dict[str, Any]) -> None:
    assert judged(NOTHING, operation, **body) is None


def test_what_is_within_the_bounds_passes() -> None:
    model = Model(id="m", kind="chat", output_cap=10, context_window=100)
    assert judged(model, "chat.completions", messages=["a" * 600], max_tokens=10) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*EVERYTHING, "input", "text", "dimensions"]), JSON))
def test_whatever_the_members_are_the_answer_is_a_kind_or_nothing(body: dict[str, Any]) -> None:
    body.pop("stream", None)
    model = Model(id="m", context_window=5, output_cap=5, dimensions=(1,), capabilities=frozenset())
    found = judged(model, "chat.completions", **body)
    assert found is None or isinstance(found[0], Kind)


@pytest.mark.parametrize(
    ("capabilities", "asked", "words"),
    [
        (["json_schema"], "json_object", "Ask for the type 'json_schema'"),
        (["json_object"], "json_schema", "Ask for the type 'json_object'"),
        ([], "json_object", "choose a model that can be held to it"),
        ([], "json_schema", "choose a model that can be held to it"),
    ],
)
def test_who_cannot_have_a_format_is_told_of_one_that_can_be_had(
    capabilities: list[Any], asked: str, words: str
) -> None:
    text = json.dumps({"response_format": {"type": asked}}).encode()
    error = refusal(able(*capabilities), Call(OPERATIONS["chat.completions"], "m"), text)
    assert error is not None
    assert words in (error.suggestion or "")


@pytest.mark.parametrize(
    "body",
    [
        {"stream": True},
        {"tools": [TOOL]},
        {"tool_choice": "required"},
        {"messages": [{"content": [IMAGE]}]},
        {"reasoning_effort": "low"},
        {"max_tokens": 11},
        {"messages": [{"content": "x" * 1000}]},
    ],
    ids=lambda body: next(iter(body)),
)
def test_every_refusal_says_what_may_be_done_instead(body: dict[str, Any]) -> None:
    model = Model(id="m", output_cap=10, context_window=20, capabilities=frozenset())
    text = json.dumps(body).encode()
    size = read_members("chat.completions", text).input_bytes()
    call = Call(OPERATIONS["chat.completions"], "m", "stream" in body, None, size)
    error = refusal(model, call, text)
    assert error is not None
    assert error.suggestion
