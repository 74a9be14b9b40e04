"""The demo model itself: what it says, a pure function of what it is asked."""

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from .error import DemoError, SchemaError
from .schema import generate
from .tokens import count, pieces

MAX_REPEATED: Final = 8_000
"""How many characters of a text the model repeats at most."""

Choice = Literal["none", "auto", "required", "named"]


class Tool(msgspec.Struct, frozen=True):
    """A function that the model may call; `param` is where its schema stood in the request."""

    name: str
    parameters: Mapping[str, Any]
    param: str


class Shape(msgspec.Struct, frozen=True):
    """The JSON that the answer must be: any object, or what `schema` allows."""

    schema: Mapping[str, Any] | None = None
    param: str = ""


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What the model is asked, whichever endpoint it came through.

    `text` is the last user message; `results` are the tool results which the conversation ends
    with. `limit` is in tokens. With `choice` "named", `tools` holds that one tool.
    """

    text: str
    results: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    choice: Choice = "auto"
    parallel: bool = True
    shape: Shape | None = None
    limit: int | None = None
    stop: tuple[str, ...] = ()


class ToolCall(msgspec.Struct, frozen=True):
    """A call of a tool, its JSON arguments in pieces of one token."""

    name: str
    arguments: tuple[str, ...]


class Answer(msgspec.Struct, frozen=True):
    """Text in pieces of one token, or calls; `cut` if the limit ended it early."""

    pieces: tuple[str, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    cut: bool = False

    @property
    def tokens(self) -> int:
        """How many tokens it took: those of the text, of the calls' names and arguments."""
        return len(self.pieces) + sum(count(call.name) + len(call.arguments) for call in self.calls)

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.pieces)


def answers(ask: Ask, number: int = 1) -> tuple[Answer, ...]:
    """Return so many answers; raise DemoError for a schema that it can make no value of.

    Answers in prose differ by their opening; calls and JSON are the same in all.
    """
    called = _called(ask)
    if called:
        return (_call(called, ask.limit),) * number
    if ask.shape:
        return (_say(_json(ask.shape, ask.text), ask),) * number
    return tuple(_say(_prose(ask, index), ask) for index in range(number))


def _called(ask: Ask) -> tuple[Tool, ...]:
    if ask.choice == "none":
        return ()
    if ask.choice == "named":
        return ask.tools
    named = tuple(tool for tool in ask.tools if _names(ask.text, tool.name))
    if ask.choice == "auto" and (ask.results or not named):
        return ()
    wanted = named or ask.tools[:1]
    return wanted if ask.parallel else wanted[:1]


def _names(text: str, name: str) -> bool:
    return bool(re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text, re.IGNORECASE))


def _call(tools: tuple[Tool, ...], limit: int | None) -> Answer:
    calls: list[ToolCall] = []
    left = limit
    for tool in tools:
        schema = {"type": "object", **tool.parameters}
        arguments = tuple(pieces(_encode(_instance(schema, tool.param))))
        if left is not None:
            left -= count(tool.name)
            if left < len(arguments):
                kept = [*calls, ToolCall(tool.name, arguments[:left])] if left >= 0 else calls
                return Answer(calls=tuple(kept), cut=True)
            left -= len(arguments)
        calls.append(ToolCall(tool.name, arguments))
    return Answer(calls=tuple(calls))


def _say(text: str, ask: Ask) -> Answer:
    ends = [text.find(stop) for stop in ask.stop]
    end = min((end for end in ends if end >= 0), default=len(text))
    said = pieces(text[:end])
    cut = ask.limit is not None and len(said) > ask.limit
    return Answer(pieces=tuple(said[: ask.limit]), cut=cut)


def _prose(ask: Ask, index: int) -> str:
    opening = f"Answer {index + 1}. " if index else ""
    if ask.results:
        results = '" and "'.join(result[:MAX_REPEATED] for result in ask.results)
        return f'{opening}The tool answered "{results}". I am the veneer demo model: I add nothing.'
    said = ask.text[:MAX_REPEATED].strip()
    if not said:
        return f"{opening}You said nothing. I am the veneer demo model: I repeat words."
    backwards = " ".join(reversed(said.split()))
    return (
        f'{opening}You said "{said}". I am the veneer demo model: I repeat words. '
        f'Backwards they read "{backwards}".'
    )


def _json(shape: Shape, text: str) -> str:
    if shape.schema is None:
        return _encode({"model": "veneer demo", "you_said": text[:MAX_REPEATED]})
    return _encode(_instance(shape.schema, shape.param))


def _instance(schema: Mapping[str, Any], param: str) -> Any:
    try:
        return generate(schema)
    except SchemaError as error:
        raise DemoError(
            f"Invalid schema in '{param}': the demo model can make no value of it, since {error}.",
            param=param,
            code="invalid_json_schema",
        ) from None


def _encode(value: object) -> str:
    return msgspec.json.encode(value).decode()
