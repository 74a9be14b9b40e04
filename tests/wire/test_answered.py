"""What an answer says beside its usage."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.layers.streams import compact
from veneer.facts import Answered
from veneer.wire.answered import MAX_NAME, images_in, read_answer, read_answered
from veneer.wire.usage import usage_in_body


@pytest.mark.parametrize(
    ("data", "answered"),
    [
        ({"model": "m", "service_tier": "flex"}, Answered(model="m", service_tier="flex")),
        ({"model": "m", "service_tier": None}, Answered(model="m")),
        ({"model": 5, "service_tier": ["flex"]}, Answered()),
        ({"model": "", "service_tier": "a\nb"}, Answered()),
        ({"model": "x" * (MAX_NAME + 1)}, Answered()),
        ({}, Answered()),
        ({"type": "response.completed", "response": {"model": "m"}}, Answered(model="m")),
        ({"model": "m", "response": None}, Answered(model="m")),
        (
            {"output": [{"type": "web_search_call"}] * 2 + [{"type": "message"}, {}, {"type": 5}]},
            Answered(tools={"web_search": 2}),
        ),
        ({"output": {"type": "web_search_call"}}, Answered()),
    ],
)
def test_names_and_tools_are_found(data: Any, answered: Answered) -> None:
    assert read_answered(compact(data), Answered) == answered


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"output":["x_call"]}', b'{"a":' + b"[" * 100_000]
)
def test_what_cannot_be_read_says_nothing(data: bytes) -> None:
    assert read_answered(data, Answered) is None


JSON = st.recursive(
    st.none() | st.integers() | st.sampled_from(["m", "", "\ud800", "web_search_call"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["usage", "model", "output", "type", "x"]), inner)
    ),
    max_leaves=6,
)
MEMBERS = st.sampled_from(["usage", "response", "model", "service_tier", "output"])


@given(st.dictionaries(MEMBERS, JSON | st.just({}) | st.just({"usage": {"total_tokens": 1}})))
def test_what_is_read_in_one_is_what_is_read_one_by_one(data: dict[str, Any]) -> None:
    text = json.dumps(data).encode()
    usage = usage_in_body(text)
    answered = None if usage is None else read_answered(text, Answered)
    assert read_answer(text, Answered) == (usage, answered)


@given(st.binary())
def test_nothing_raises(data: bytes) -> None:
    read_answered(data, Answered)
    read_answer(data, Answered)
    images_in(data)


@pytest.mark.parametrize(
    ("data", "images"),
    [
        (b'{"data":[]}', 0),
        (b'{"created":1,"data":[{"url":"x"}, {"b64_json":"AA"}],"usage":{}}', 2),
        (b'{"data":{}}', None),
        (b'{"data":null}', None),
        (b"{}", None),
        (b"[]", None),
        (b'{"data":%b' % (b"[" * 100_000), None),
    ],
)
def test_images_are_the_items_of_data(data: bytes, images: int | None) -> None:
    assert images_in(data) == images
