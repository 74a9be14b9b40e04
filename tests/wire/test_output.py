"""The text of a response's output."""

import json
from typing import Any

import pytest

from veneer.wire.output import output_text


def text(*parts: str) -> dict[str, Any]:
    return {
        "type": "message",
        "content": [{"type": "output_text", "text": part, "annotations": []} for part in parts],
    }


@pytest.mark.parametrize(
    ("output", "found"),
    [
        ([], ""),
        ([text("Hel", "lo"), {"type": "function_call", "arguments": "{}"}, text("!")], "Hello!"),
        ([{"type": "reasoning", "summary": [], "content": None}, text("a")], "a"),
        ([{"type": "reasoning", "content": [{"type": "output_text", "text": "b"}]}], ""),
        ([{"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}], ""),
        ([{"type": "message"}], ""),
        ([text("ä\n\u2028")], "ä\n\u2028"),
    ],
)
def test_the_text_is_that_of_all_messages(output: Any, found: str) -> None:
    assert output_text(json.dumps({"id": "resp_1", "output": output}).encode()) == found


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"output":null}', b'{"output":[1]}', b"[" * 100_000]
)
def test_what_is_no_response_has_none(data: bytes) -> None:
    assert output_text(data) is None
