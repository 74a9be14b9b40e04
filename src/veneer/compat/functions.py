"""Calls that speak of functions, said to a target that knows only tools."""

from typing import Any

import msgspec

from veneer.compat.refused import wrong, wrong_type
from veneer.compat.target import Target
from veneer.compat.texts import is_said, items, may_say, with_items
from veneer.dialects import Kind
from veneer.wire import splice

# As many as OpenAI takes.
MAX_FUNCTIONS = 128

MODERN = ("tools", "tool_choice", "parallel_tool_calls")
CHOICES = (b'"none"', b'"auto"')

_TOOL = b'{"type":"function","function":%b}'


class Named(msgspec.Struct):
    """What is said by its name."""

    name: Any = None


class _Called(msgspec.Struct):
    name: str
    arguments: str


class _Message(msgspec.Struct):
    role: msgspec.Raw = msgspec.Raw()
    name: Any = None
    content: msgspec.Raw = msgspec.Raw()
    function_call: msgspec.Raw = msgspec.Raw()
    tool_calls: msgspec.Raw = msgspec.Raw()


read_named = msgspec.json.Decoder(Named).decode
_called = msgspec.json.Decoder(_Called).decode
_message = msgspec.json.Decoder(_Message).decode


def offers_functions(said: dict[str, bytes]) -> bool:
    """Whether a call has functions, as one whose members these are; raises `RefusedError`."""
    functions, choice = said.get("functions"), said.get("function_call")
    for name, value in (("functions", functions), ("function_call", choice)):
        if is_said(value):
            for modern in MODERN:
                if is_said(said.get(modern)):
                    raise wrong(
                        Kind.INVALID_REQUEST,
                        f"'{name}' and '{modern}' cannot be given together.",
                        name,
                    )
    if is_said(choice) and not is_said(functions):
        raise wrong(
            Kind.INVALID_REQUEST,
            "'function_call' is only allowed when 'functions' is given.",
            "function_call",
        )
    return is_said(functions)


def with_tools(body: bytes, said: dict[str, bytes], target: Target) -> bytes:
    """Return the body with tools in place of its functions; raises `RefusedError`."""
    tools = _tools(said["functions"])
    for name in ("functions", "function_call", *MODERN):
        if name in said:
            body = splice.remove(body, (name,))
    members = b'"tools":' + tools
    if target.parallel_tool_calls:
        members += b',"parallel_tool_calls":false'
    if is_said(said.get("function_call")):
        members += b',"tool_choice":' + _tool_choice(said["function_call"])
    return splice.insert(body, (), members)


def _tools(functions: bytes) -> bytes:
    if functions[:1] != b"[":
        raise wrong_type("functions", "a list of functions")
    spans = items(functions)
    if not 0 < len(spans) <= MAX_FUNCTIONS:
        raise wrong(
            Kind.INVALID_VALUE,
            f"'functions' must hold from 1 to {MAX_FUNCTIONS} functions.",
            "functions",
        )
    changed = {}
    for place, (start, end) in enumerate(spans):
        function = functions[start:end]
        check_named(function, f"functions[{place}]")
        changed[place] = _TOOL % function
    return with_items(functions, spans, changed)


def check_named(text: bytes, param: str) -> None:
    """Refuse what is no object with a name."""
    if text[:1] != b"{":
        raise wrong_type(param, "an object")
    name = read_named(text).name
    if name is None:
        raise wrong(Kind.MISSING_PARAMETER, f"'{param}.name' is missing.", f"{param}.name")
    if not isinstance(name, str):
        raise wrong_type(f"{param}.name", "a string")


def _tool_choice(choice: bytes) -> bytes:
    if choice in CHOICES:
        return choice
    if choice[:1] == b'"':
        raise wrong(
            Kind.INVALID_VALUE,
            "'function_call' must be 'none', 'auto' or the name of a function in an object.",
            "function_call",
        )
    check_named(choice, "function_call")
    return b'{"type":"function","function":{"name":%b}}' % msgspec.json.encode(
        read_named(choice).name
    )


def messages_with_tools(messages: bytes) -> bytes:
    """Return messages with calls and results of tools in place of those of functions.

    The ids of calls come from their places, so that what is sent again is the same again. Raises
    `RefusedError` for a result without a call.
    """
    changed = {}
    waiting: dict[str, bytes] = {}
    spans = items(messages)
    for place, (start, end) in enumerate(spans):
        text = messages[start:end]
        if text[:1] != b"{" or not may_say(text, b'"function'):
            continue
        message = _message(text)
        role = bytes(message.role)
        if role == b'"assistant"' and is_said(bytes(message.function_call)):
            call_id = b'"call_%d"' % place
            name, changed[place] = _call(text, message, call_id, f"messages[{place}]")
            waiting[name] = call_id
        elif role == b'"function"':
            changed[place] = _result(text, message, waiting, f"messages[{place}]")
    return with_items(messages, spans, changed)


def _call(text: bytes, message: _Message, call_id: bytes, param: str) -> tuple[str, bytes]:
    if is_said(bytes(message.tool_calls)):
        raise wrong(
            Kind.INVALID_REQUEST,
            "A message cannot have both 'function_call' and 'tool_calls'.",
            f"{param}.function_call",
        )
    called = bytes(message.function_call)
    try:
        name = _called(called).name
    except msgspec.DecodeError:
        raise wrong_type(
            f"{param}.function_call", "an object with a name and arguments, both strings"
        ) from None
    text = splice.remove(text, ("function_call",))
    calls = b'[{"id":%b,"type":"function","function":%b}]' % (call_id, called)
    return name, splice.set_member(text, (), "tool_calls", calls)


def _result(text: bytes, message: _Message, waiting: dict[str, bytes], param: str) -> bytes:
    if not isinstance(message.name, str):
        if message.name is None:
            raise wrong(Kind.MISSING_PARAMETER, f"'{param}.name' is missing.", f"{param}.name")
        raise wrong_type(f"{param}.name", "a string")
    call_id = waiting.pop(message.name, None)
    if call_id is None:
        raise wrong(
            Kind.INVALID_REQUEST,
            "A message with the role 'function' must follow a message with a 'function_call' of "
            "its name, and each call has one result.",
            f"{param}.role",
        )
    text = splice.remove(text, ("name",))
    text = splice.replace(text, ("role",), b'"tool"')
    if not is_said(bytes(message.content)):
        text = splice.set_member(text, (), "content", b'""')
    return splice.set_member(text, (), "tool_call_id", call_id)
