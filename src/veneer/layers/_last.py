"""The last event of a stream that was cancelled, and what the call came to until then."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from veneer.completions.documents import CANCELLED, Head, Node
from veneer.dialects import OPENAI, Dialect
from veneer.facts import Cost, Usage
from veneer.prices.credits import Credits


def last_event(head: Head, joined: Node, unfinished: Sequence[int], usage: Node | None) -> bytes:
    """Return the event that finishes the choices which were not finished."""
    chunk: Node = {
        "id": head.id,
        "object": "chat.completion.chunk",
        "created": joined.get("created", head.created),
        "model": joined.get("model", head.model),
        "choices": [
            {"index": index, "delta": {}, "finish_reason": CANCELLED} for index in unfinished
        ],
    }
    if usage is not None:
        chunk["usage"] = usage
    return b"data: %b\n\n" % msgspec.json.encode(chunk)


def used(known: Mapping[type, Any], operation: str, credits_: Credits) -> Node | None:
    """Return what was used and charged, as far as that is known; None where nothing is."""
    usage: Usage | None = known.get(Usage)
    cost: Cost | None = known.get(Cost)
    told: Node = {}
    if usage is not None:
        told = {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.total_tokens,
        }
    if cost is not None:
        dialect: Dialect = known.get(Dialect) or OPENAI
        receipt = dialect.receipt(cost, usage or Usage(), operation, credits_)
        told |= msgspec.json.decode(b"{%b}" % receipt, type=dict[str, msgspec.Raw])
    return told or None
