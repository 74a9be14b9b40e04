"""Documents: a completion as it is told to those who ask for it again."""

from typing import Any, Literal

import msgspec

from veneer.wire import splice

Node = dict[str, Any]
Status = Literal["completed", "in_progress", "failed", "cancelled"]

COMPLETED = b'"status":"completed"'
CANCELLED = "cancelled"

_READ = frozenset(["choices", "id", "status"])

# What is left of a message whose text is not kept.
UNTOLD = {"role": "assistant", "content": None}


class Head(msgspec.Struct, frozen=True):
    """What is known of a completion from the beginning."""

    id: str
    created: int
    model: str

    def running(self) -> bytes:
        """Return the document of one that is not over."""
        return msgspec.json.encode(self._with([], "in_progress"))

    def ended(self, joined: Node, status: Status, error: Node | None = None) -> Node:
        """Return the document of a stream of which this was `joined`; its id is ours."""
        document = {**self._with([], status), **joined, "id": self.id, "status": status}
        if error is not None:
            document["error"] = error
        return document

    def cancelled(self, joined: Node, choices: int, error: Node) -> Node:
        """Return the document of one that was ended, with what had come of so many choices.

        Where its reason stands is said in two ways by who has such documents: it stands in both.
        """
        begun: list[Node] = joined.get("choices") or [
            {"index": index, "message": {"role": "assistant", "content": ""}}
            for index in range(choices)
        ]
        ended = [
            {**each, "finish_reason": each.get("finish_reason") or CANCELLED} for each in begun
        ]
        document = self.ended({**joined, "choices": ended}, "cancelled", error)
        return {**document, "finish_reason": CANCELLED}

    def _with(self, choices: list[Node], status: Status) -> Node:
        return {
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "choices": choices,
            "status": status,
        }


def completed(body: bytes, name: str) -> tuple[bytes, bytes] | None:
    """Return a plain answer with another id, and its document; None for what is no completion."""
    try:
        found = splice.members(body, _READ)
    except ValueError:
        return None
    if "choices" not in found or "id" not in found:
        return None
    start, end = found["id"]
    answer = body[:start] + msgspec.json.encode(name) + body[end:]
    if "status" in found:
        return answer, splice.set_member(answer, (), "status", b'"completed"')
    return answer, answer[: answer.rindex(b"}")] + b"," + COMPLETED + b"}"


def bare(document: Node) -> Node:
    """Return a document without what the model wrote: `retained` says so."""
    choices = [
        {
            "index": each.get("index", 0),
            "message": UNTOLD,
            "finish_reason": each.get("finish_reason"),
        }
        for each in document.get("choices") or ()
        if isinstance(each, dict)
    ]
    return {**document, "choices": choices, "retained": False}
