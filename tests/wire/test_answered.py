"""What an answer says beside its usage."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.layers.streams import compact
from veneer.facts import Answered
from veneer.wire.answered import MAX_NAME, images_in, read_answered


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


@given(st.binary())
def test_nothing_raises(data: bytes) -> None:
    read_answered(data, Answered)
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
