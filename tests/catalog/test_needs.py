"""What a call needs its model to be able to do."""

import json
from typing import Any

import pytest

from veneer.call import Call
from veneer.catalog.needs import needs_of
from veneer.operations import FIXED

IMAGE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]


@pytest.mark.parametrize(
    ("said", "needs"),
    [
        ({}, set()),
        ({"tools": [], "reasoning_effort": "none"}, set()),
        ({"tools": [{}]}, {"tools"}),
        ({"tools": [{}], "tool_choice": "required"}, {"tools", "tool_choice_required"}),
        ({"messages": IMAGE}, {"vision"}),
        ({"response_format": {"type": "json_object"}}, {"json_object"}),
        ({"response_format": {"type": "json_schema"}}, {"json_schema"}),
        ({"reasoning_effort": "high"}, {"reasoning"}),
        (
            {"tools": [{}], "messages": IMAGE, "reasoning_effort": "low"},
            {"tools", "vision", "reasoning"},
        ),
    ],
)
def test_needs_are_what_a_call_uses(said: dict[str, Any], needs: set[str]) -> None:
    call = Call(FIXED["chat/completions"], "m")

    assert needs_of(call, json.dumps({"model": "m", **said}).encode()) == needs


def test_a_stream_needs_a_model_that_streams() -> None:
    call = Call(FIXED["chat/completions"], "m", stream=True)

    assert needs_of(call, b"{}") == {"streaming"}
