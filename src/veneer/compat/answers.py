"""Answers of a target in the words of its client: functions for tools, or tools for functions.

Where a model has called several tools, a client that speaks of functions sees the first: it has no
word for more. `finish_reason` is only changed where it names the call: of a function that had to
be called, OpenAI says `stop`.
"""

import hashlib
import secrets
from contextlib import suppress
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec

from veneer.compat.request import Answers
from veneer.compat.texts import is_said, items, with_items
from veneer.wire import splice
from veneer.wire.surrogates import without_lone_surrogates

_T = TypeVar("_T")

# As many answers as a call may ask for.
MAX_CHOICES = 128

# What an answer says that is to be turned into one of these.
MARKS = MappingProxyType[Answers, bytes](
    {"functions": b'"tool_calls"', "tools": b'"function_call"'}
)
# How a choice ends that calls, in the target's word and in the client's, by whether that speaks of
# tools.
FINISHED = (("tool_calls", b'"function_call"'), ("function_call", b'"tool_calls"'))


class _Call(msgspec.Struct):
    index: int | None = None
    type: Any = None


class _Called(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    finish_reason: Any = None


class _Answer(msgspec.Struct):
    id: Any = None


_call = msgspec.json.Decoder(_Call)
_called = msgspec.json.Decoder(_Called)
_choice = msgspec.json.Decoder(_Choice)
_answer = msgspec.json.Decoder(_Answer)


class Translator:
    """Turns what one answer says, whole or event by event, into `answers`.

    What cannot be read stays as it is.
    """

    __slots__ = ("_begun", "_chosen", "_id", "_modern", "mark")

    def __init__(self, answers: Answers) -> None:
        self._modern = answers == "tools"
        # The call of each choice that is shown, by its index.
        self._chosen: dict[int, int] = {}
        # The choices of which a call has begun.
        self._begun: set[int] = set()
        self._id: str | None = None
        self.mark = MARKS[answers]

    def whole(self, body: bytes) -> bytes:
        """Return a whole answer."""
        changed = self._translated(body, "message")
        return body if changed is None else changed

    def event(self, data: bytes) -> bytes | None:
        """Return the data of an event; None for one of which nothing is left to say."""
        return self._translated(data, "delta")

    def _translated(self, data: bytes, member: str) -> bytes | None:
        if self.mark not in data:
            return data
        with suppress(ValueError, RecursionError):
            if self._modern and self._id is None:
                said = _read(_answer, data).id
                self._id = said if isinstance(said, str) else secrets.token_hex(12)
            choices = splice.value(data, ("choices",))
            if choices is None or choices[:1] != b"[":
                return data
            spans = items(choices)
            said = [self._said(choices[start:end], member) for start, end in spans]
            if (
                said
                and all(is_void for _, is_void in said)
                and not is_said(splice.value(data, ("usage",)))
            ):
                return None
            changed = {place: text for place, (text, _) in enumerate(said)}
            return splice.replace(data, ("choices",), with_items(choices, spans, changed))
        return data

    def _said(self, text: bytes, member: str) -> tuple[bytes, bool]:
        """Return a choice, and whether it is a part of a stream of which nothing is left."""
        choice = _read(_choice, text)
        message = splice.value(text, (member,))
        is_void = False
        if message is not None and message[:1] == b"{":
            turned = self._with_tool_calls if self._modern else self._with_function_call
            shown = turned(message, choice.index, streams=member == "delta")
            if shown != message:
                text = splice.replace(text, (member,), shown)
                is_void = member == "delta" and not splice.members(shown)
        old, new = FINISHED[self._modern]
        if choice.finish_reason == old:
            text = splice.replace(text, ("finish_reason",), new)
        return text, is_void and choice.finish_reason is None

    def _with_function_call(self, message: bytes, index: int, *, streams: bool) -> bytes:
        calls = splice.value(message, ("tool_calls",))
        if calls is None:
            return message
        message = splice.remove(message, ("tool_calls",))
        if not is_said(calls):
            return message
        functions = []
        for place, (start, end) in enumerate(items(calls)):
            text = calls[start:end]
            call = _read(_call, text)
            function = splice.value(text, ("function",))
            at = place if call.index is None else call.index
            if call.type in (None, "function") and is_said(function) and self._is_shown(index, at):
                functions.append(function)
        if not functions:
            return message
        function = functions[0] if len(functions) == 1 or not streams else _merged(functions)
        return splice.set_member(message, (), "function_call", function)

    def _is_shown(self, choice: int, call: int) -> bool:
        """Whether a call is the one of its choice that is shown: the first that came."""
        if choice not in self._chosen and len(self._chosen) < MAX_CHOICES:
            self._chosen[choice] = call
        return self._chosen.get(choice) == call

    def _with_tool_calls(self, message: bytes, index: int, *, streams: bool) -> bytes:
        called = splice.value(message, ("function_call",))
        if called is None:
            return message
        message = splice.remove(message, ("function_call",))
        if not is_said(called):
            return message
        begins = index not in self._begun
        if begins and len(self._begun) < MAX_CHOICES:
            self._begun.add(index)
        members = b'"index":0,' if streams else b""
        if begins:
            members += b'"id":"%b","type":"function",' % self._call_id(index)
        call = b'[{%b"function":%b}]' % (members, called)
        return splice.set_member(message, (), "tool_calls", call)

    def _call_id(self, index: int) -> bytes:
        """Return the id of a choice's call: that of the same answer is the same."""
        text = f"{self._id}:{index}"
        return b"call_" + hashlib.sha256(text.encode(errors="replace")).hexdigest()[:24].encode()


def _read(decoder: msgspec.json.Decoder[_T], text: bytes) -> _T:
    """Return what is read of a text, which may have half an emoji in it."""
    try:
        return decoder.decode(text)
    except msgspec.DecodeError:
        return decoder.decode(without_lone_surrogates(text))


def _merged(functions: list[bytes]) -> bytes:
    """Return what several pieces of one call, in one event, say together."""
    read = [_read(_called, function) for function in functions]
    name = next((called.name for called in read if called.name), None)
    arguments = "".join(called.arguments or "" for called in read)
    said = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    return msgspec.json.encode(said)
