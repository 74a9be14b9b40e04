"""How often hosted tools may be called."""

from typing import Any

import pytest

from tests.layers.streams import compact
from veneer.layers._hosted import CALLS, tools_in

PRICES = {"web_search": 3, "file_search": 1, "code_interpreter": 2}


def declaring(*types: Any, **more: Any) -> bytes:
    """Return the body of a Responses call."""
    return compact({"model": "small", "tools": [{"type": each} for each in types], **more})


@pytest.mark.parametrize(
    ("body", "tools"),
    [
        (declaring("web_search"), {"web_search": CALLS}),
        (declaring("web_search_preview_2025_03_11"), {"web_search": CALLS}),
        (declaring("web_searching"), {}),
        (declaring("file_search", "web_search", "web_search"), dict.fromkeys(PRICES, CALLS)),
        (declaring("file_search", max_tool_calls=3), {"file_search": 3}),
        (declaring("file_search", "web_search", max_tool_calls=3), {"web_search": 3}),
        (declaring("file_search", max_tool_calls=0), {"file_search": CALLS}),
        (declaring("file_search", max_tool_calls="3"), {"file_search": CALLS}),
        (declaring("file_search", max_tool_calls=None), {"file_search": CALLS}),
        (declaring("function", "mcp", None, 5), {}),
        (declaring(max_tool_calls=3), {}),
        (b'{"tools":null}', {}),
        (b'{"tools":"web_search"}', {}),
        (b'{"tools":[1]}', {}),
        (b'{"tools":%b' % (b"[" * 100_000), {}),
        (b"{}", {}),
        (b"", {}),
    ],
)
def test_declared_tools_with_a_price_are_called_as_often_as_they_may(
    body: bytes, tools: dict[str, int]
) -> None:
    found = tools_in("responses", body, PRICES)
    assert found == {name: times for name, times in tools.items() if name != "code_interpreter"}


def test_a_chat_searches_once_if_it_does() -> None:
    for options in ({}, {"search_context_size": "high"}):
        body = compact({"web_search_options": options, "tools": [{"type": "file_search"}]})
        assert tools_in("chat.completions", body, PRICES) == {"web_search": 1}
        assert tools_in("chat.completions", body, {"file_search": 1}) == {}
    for body in (b'{"web_search_options":null}', b"{}"):
        assert tools_in("chat.completions", body, PRICES) == {}


def test_other_operations_have_no_tools() -> None:
    assert tools_in("completions", declaring("web_search"), PRICES) == {}
