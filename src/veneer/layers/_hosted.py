"""Hosted tools: what the upstream may do for a call besides writing, at a price for each time."""

from collections.abc import Mapping
from typing import Any

import msgspec

from veneer.counts import count, is_unsaid
from veneer.members import ABSENT

# How often a tool is taken to be called that a call declares without saying how often it may be:
# models that search do so a few times for an answer, and hardly ever more often than that.
CALLS = 10

# A chat that searches does so once, always, and does not tell.
CHAT = "chat.completions"
SEARCH = "web_search"


class _Asked(msgspec.Struct):
    tools: msgspec.Raw = ABSENT
    max_tool_calls: msgspec.Raw = ABSENT
    web_search_options: msgspec.Raw = ABSENT


class _Tool(msgspec.Struct):
    type: Any = None


_asked = msgspec.json.Decoder(_Asked).decode
_tools = msgspec.json.Decoder(list[_Tool]).decode


def tools_in(operation: str, body: bytes, prices: Mapping[str, int]) -> dict[str, int]:
    """Return how often each of the tools that have `prices` may be called by a call at the most.

    A tool is known by its name and by longer ones (`web_search_preview` is a `web_search`). What
    `max_tool_calls` says goes for all together, so that the dearest one is called so often.
    """
    if operation not in (CHAT, "responses"):
        return {}
    try:
        asked = _asked(body)
        if operation == CHAT:
            searches = SEARCH in prices and not is_unsaid(asked.web_search_options)
            return {SEARCH: 1} if searches else {}
        declared = {} if is_unsaid(asked.tools) else _declared(_tools(asked.tools), prices)
    except (ValueError, RecursionError):
        return {}
    most = count(asked.max_tool_calls)
    if most is None or not declared:
        return dict.fromkeys(declared, CALLS)
    return {max(declared, key=prices.__getitem__): most}


def _declared(tools: list[_Tool], prices: Mapping[str, int]) -> dict[str, None]:
    kinds = {f"{tool.type}_" for tool in tools if isinstance(tool.type, str)}
    return dict.fromkeys(
        name for name in prices if any(kind.startswith(f"{name}_") for kind in kinds)
    )
