"""Joining: the chunks of a chat stream become the completion that a plain call would have got."""

import re
from typing import Any

import msgspec

from veneer.wire import sse

# What is said once, in whichever chunk; every other text comes in pieces.
WHOLE = frozenset(["finish_reason", "id", "name", "role", "type"])
# What the chunks of a stream have in common; of all else in them the last word counts.
COMMON = ("id", "created", "model")
# What is no further member of the completion.
SHARED = frozenset([*COMMON, "object", "choices"])

MAX_EVENT = 4 * 1024 * 1024
# No call asks for more answers or tools; a larger index would only take room.
MAX_INDEX = 1024
# Objects in objects deeper than that are taken as they come.
MAX_DEPTH = 16

Node = dict[str, Any]

_CONTENT = re.compile(rb'"content" ?: ?"').search
_REST_OF_STRING = re.compile(rb'(?:[^"\\]|\\.)*').match
_text = msgspec.json.Decoder(str)

# Of a choice that brings a piece of text and nothing else; the others are null.
_PLAIN = frozenset(["delta", "finish_reason", "index", "logprobs"])


class Text(list[str]):
    """A text in pieces, joined once, at the end."""


class Items(dict[int, Node]):
    """A list whose items come in pieces, by their index."""


class Joining:
    """Joins one stream, whose events are fed in parts of any size.

    `limit` (bytes) bounds what is kept of its content; beyond it nothing is kept but how the
    choices finished and the usage, and `overflowed` is true. `done` is whether `[DONE]` has come,
    `error` the members of the error that the stream has told of.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._splitter = sse.EventSplitter(MAX_EVENT)
        self._common: Node = {}
        self._more: Node = {}
        self._choices = Items()
        # What stands around the text in the last chunk, if it had nothing else to say, and where
        # that was added: most chunks differ in nothing but their text.
        self._alike: tuple[bytes, bytes, Text] | None = None
        self.overflowed = False
        self.done = False
        self.error: Node | None = None

    @property
    def unfinished(self) -> list[int]:
        """The choices that have begun and not been finished."""
        return [at for at, each in sorted(self._choices.items()) if not each.get("finish_reason")]

    @property
    def finished(self) -> bool:
        """Whether all choices that have begun are finished, and there are some."""
        return bool(self._choices) and not self.unfinished

    def feed(self, stream: bytes) -> None:
        """Take what comes next of the stream."""
        for event in self._splitter.feed(stream):
            data = sse.data_of(event)
            if data[:1] == b"{":
                if self._alike is None or not self._add_text(data, *self._alike):
                    self._take(data)
            elif data[:6] == b"[DONE]":
                self.done = True
        self.overflowed = self.overflowed or self._splitter.overflowed
        if self.overflowed:
            self._prune()

    def completion(self) -> Node:
        """Return what the chunks so far come to."""
        choices = [_choice(at, each) for at, each in sorted(self._choices.items())]
        common = {name: self._common[name] for name in COMMON if name in self._common}
        return {**common, "object": "chat.completion", "choices": choices, **self._more}

    def _take(self, data: bytes) -> None:
        try:
            chunk = msgspec.json.decode(data)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return
        if isinstance(chunk.get("error"), dict):
            self.error = chunk["error"]
            return
        for name in COMMON:
            # Some begin with a chunk that has none of them yet.
            if chunk.get(name) and not self._common.get(name):
                self._common[name] = chunk[name]
        for name, value in chunk.items():
            if name not in SHARED and value is not None and self._has_room(name, value):
                self._more[name] = value
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                self._add(choice)
        if isinstance(choices, list) and len(choices) == 1 and data.count(b'"content"') == 1:
            self._alike = self._around(data, choices[0])

    def _around(self, data: bytes, choice: Any) -> tuple[bytes, bytes, Text] | None:
        """Return what stands around the text of a chunk, None for one that says more."""
        if not isinstance(choice, dict) or not _PLAIN.issuperset(choice):
            return None
        delta, at = choice.get("delta"), choice.get("index", 0)
        if not isinstance(delta, dict) or not isinstance(at, int):
            return None
        if choice.get("finish_reason") or choice.get("logprobs"):
            return None
        found = _CONTENT(data) if list(delta) == ["content"] else None
        end = None if found is None else _REST_OF_STRING(data, found.end())
        said = self._choices.get(at, {}).get("delta")
        text = said.get("content") if isinstance(said, dict) else None
        if found is None or end is None or not isinstance(text, Text):
            return None
        return data[: found.end()], data[end.end() :], text

    def _add_text(self, data: bytes, before: bytes, after: bytes, text: Text) -> bool:
        """Add the text of a chunk that is as the last one; False for any other."""
        if not (data.startswith(before) and data.endswith(after)):
            return False
        try:
            # What ends before it should, or goes on, is no string.
            piece = _text.decode(b'"%b"' % data[len(before) : -len(after)])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False
        text.append(piece)
        self._grow(len(piece))
        return True

    def _has_room(self, name: str, value: Any) -> bool:
        """Whether a member beside the choices is kept: usage always is, for it is short."""
        if name == "usage":
            return True
        if name not in self._more:
            self._grow(len(name) + _length(value))
        return not self.overflowed

    def _add(self, choice: Node) -> None:
        at = choice.get("index", 0)
        if not isinstance(at, int) or not 0 <= at < MAX_INDEX:
            return
        held = self._choices.setdefault(at, {})
        if self.overflowed:
            choice = {"finish_reason": choice.get("finish_reason")}
        self._merge(held, choice, MAX_DEPTH)

    def _merge(self, into: Node, delta: Node, depth: int) -> None:
        for name, value in delta.items():
            held = into.get(name)
            if name not in into:
                self._grow(len(name))
            if value is None:
                into.setdefault(name, None)
            elif isinstance(value, str):
                self._grow(len(value))
                if name in WHOLE:
                    into[name] = held or value
                elif isinstance(held, Text):
                    held.append(value)
                else:
                    into[name] = Text([value])
            elif isinstance(value, dict) and depth:
                if type(held) is not dict:
                    held = into[name] = {}
                self._merge(held, value, depth - 1)
            elif isinstance(value, list):
                into[name] = self._extended(held, value, depth)
            else:
                into[name] = value

    def _extended(self, held: Any, items: list[Any], depth: int) -> Any:
        """Return a list with more items: pieces of those that it has, or further ones."""
        if items and depth and all(_is_piece(item) for item in items):
            pieces = held if isinstance(held, Items) else Items()
            for item in items:
                self._merge(pieces.setdefault(item["index"], {}), item, depth - 1)
            return pieces
        self._grow(_length(items))
        return [*held, *items] if type(held) is list else items

    def _grow(self, size: int) -> None:
        self._size += size
        self.overflowed = self.overflowed or self._size > self._limit

    def _prune(self) -> None:
        """Let go of what is beyond the limit."""
        self._alike = None
        for at, each in self._choices.items():
            self._choices[at] = {"finish_reason": each.get("finish_reason")}
        self._more = {"usage": self._more["usage"]} if "usage" in self._more else {}


def _is_piece(item: Any) -> bool:
    index = item.get("index") if isinstance(item, dict) else None
    return isinstance(index, int) and 0 <= index < MAX_INDEX


def _length(value: Any) -> int:
    return len(msgspec.json.encode(value))


def _choice(at: int, held: Node) -> Node:
    joined = {name: _joined(value) for name, value in held.items()}
    delta = joined.pop("delta", None)
    message = {"role": "assistant", "content": None, **(delta if isinstance(delta, dict) else {})}
    # A stream begins with an empty text where a plain answer has none, as there are tools.
    if not message["content"] and (message.get("tool_calls") or message.get("function_call")):
        message["content"] = None
    reason = joined.pop("finish_reason", None)
    return {**joined, "index": at, "message": message, "finish_reason": reason}


def _joined(node: Any) -> Any:
    """Return what the pieces come to."""
    if isinstance(node, Text):
        return "".join(node)
    if isinstance(node, Items):
        return [
            {name: _joined(value) for name, value in each.items() if name != "index"}
            for _, each in sorted(node.items())
        ]
    if type(node) is dict:
        return {name: _joined(value) for name, value in node.items()}
    return node
