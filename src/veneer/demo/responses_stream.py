"""The events that announce an output item of a response, piece by piece."""

from collections.abc import Iterator, Sequence
from typing import Any

Json = dict[str, Any]


def item_events(index: int, item: Json, deltas: Sequence[str]) -> Iterator[Json]:
    """Yield the events, not yet numbered, of a message or function call whose text is `deltas`."""
    place = {"output_index": index}
    empty: Json = {"arguments": ""} if item["type"] == "function_call" else {"content": []}
    begun = {**item, **empty, "status": "in_progress"}
    yield {"type": "response.output_item.added", **place, "item": begun}
    here = {"item_id": item["id"], **place}
    if item["type"] == "function_call":
        yield from _call_events(here, item, deltas)
    else:
        yield from _text_events({**here, "content_index": 0}, item["content"][0], deltas)
    yield {"type": "response.output_item.done", **place, "item": item}


def _call_events(here: Json, item: Json, deltas: Sequence[str]) -> Iterator[Json]:
    kind = "response.function_call_arguments"
    for delta in deltas:
        yield {"type": f"{kind}.delta", **here, "delta": delta}
    yield {"type": f"{kind}.done", **here, "name": item["name"], "arguments": item["arguments"]}


def _text_events(here: Json, part: Json, deltas: Sequence[str]) -> Iterator[Json]:
    yield {"type": "response.content_part.added", **here, "part": {**part, "text": ""}}
    kind = "response.output_text"
    for delta in deltas:
        yield {"type": f"{kind}.delta", **here, "delta": delta, "logprobs": []}
    yield {"type": f"{kind}.done", **here, "text": part["text"], "logprobs": []}
    yield {"type": "response.content_part.done", **here, "part": part}
