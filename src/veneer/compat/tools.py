"""Calls that speak of tools, said to a target that knows only functions."""

from typing import Any

import msgspec

from veneer.compat.functions import CHOICES, MODERN, check_named, read_named
from veneer.compat.refused import wrong, wrong_type
from veneer.compat.texts import is_said, items, may_say
from veneer.dialects import Kind
from veneer.wire import splice


class _Tool(msgspec.Struct):
    type: Any = None
    function: msgspec.Raw = msgspec.Raw()


class _Call(msgspec.Struct):
    id: str
    function: msgspec.Raw
    type: str = "function"


class _Message(msgspec.Struct):
    role: msgspec.Raw = msgspec.Raw()
    content: Any = None
    tool_calls: msgspec.Raw = msgspec.Raw()
    tool_call_id: Any = None


class _Text(msgspec.Struct):
    text: str


_tool = msgspec.json.Decoder(_Tool).decode
_calls = msgspec.json.Decoder(list[_Call]).decode
_message = msgspec.json.Decoder(_Message).decode


def with_functions(body: bytes, said: dict[str, bytes]) -> bytes:
    """Return the body with functions in place of its tools; raises `RefusedError`."""
    functions = _functions(said["tools"])
    choice = _function_call(said.get("tool_choice"), functions)
    for name in (*MODERN, "functions", "function_call"):
        if name in said:
            body = splice.remove(body, (name,))
    members = b'"functions":[%b]' % b",".join(functions)
    if choice is not None:
        members += b',"function_call":' + choice
    return splice.insert(body, (), members)


def _functions(tools: bytes) -> list[bytes]:
    if tools[:1] != b"[":
        raise wrong_type("tools", "a list of tools")
    functions = []
    for place, (start, end) in enumerate(items(tools)):
        text = tools[start:end]
        if text[:1] != b"{":
            raise wrong_type(f"tools[{place}]", "an object")
        tool = _tool(text)
        if tool.type != "function":
            raise wrong(
                Kind.INVALID_VALUE,
                "The tools of this model are functions: others cannot be used.",
                f"tools[{place}].type",
            )
        check_named(bytes(tool.function), f"tools[{place}].function")
        functions.append(bytes(tool.function))
    if not functions:
        raise wrong(Kind.INVALID_VALUE, "'tools' is an empty list.", "tools")
    return functions


def _function_call(choice: bytes | None, functions: list[bytes]) -> bytes | None:
    if choice is None or not is_said(choice):
        return None
    if choice in CHOICES:
        return choice
    if choice == b'"required"':
        if len(functions) > 1:
            raise wrong(
                Kind.TOOL_CHOICE_UNSUPPORTED,
                "This model cannot be made to use any one of several tools: name one.",
                "tool_choice",
            )
        return _named(functions[0])
    if choice[:1] == b"{":
        tool = _tool(choice)
        if tool.type == "function":
            check_named(bytes(tool.function), "tool_choice.function")
            return _named(bytes(tool.function))
    raise wrong(
        Kind.TOOL_CHOICE_UNSUPPORTED,
        "'tool_choice' of this model can be 'auto', 'none' or the name of a function.",
        "tool_choice",
    )


def _named(function: bytes) -> bytes:
    return b'{"name":%b}' % msgspec.json.encode(read_named(function).name)


def messages_with_functions(messages: bytes) -> bytes:
    """Return messages with calls and results of functions in place of those of tools.

    A message with several calls becomes one for each, with its result right behind it. Raises
    `RefusedError` for a result without a call.
    """
    texts = [messages[start:end] for start, end in items(messages)]
    found = [_read(text, place) for place, text in enumerate(texts)]
    said: list[bytes] = []
    place = 0
    while place < len(texts):
        message, calls = found[place]
        if message is not None and bytes(message.role) == b'"tool"':
            raise wrong(
                Kind.INVALID_REQUEST,
                "A message with the role 'tool' must follow a message with 'tool_calls' that its "
                "'tool_call_id' is of.",
                f"messages[{place}].role",
            )
        if message is None or not calls:
            said.append(texts[place])
            place += 1
            continue
        results: dict[str, _Message] = {}
        after = place + 1
        while after < len(texts) and (result := _result(found[after][0], calls, results)):
            results[str(result.tool_call_id)] = result
            after += 1
        said += _taken_apart(texts[place], calls, results)
        place = after
    return b"[%b]" % b",".join(said)


def _read(text: bytes, place: int) -> tuple[_Message | None, list[_Call]]:
    """Return a message that speaks of tools, and its calls; None for others."""
    if text[:1] != b"{" or not may_say(text, b'"tool'):
        return None, []
    message = _message(text)
    calls = bytes(message.tool_calls)
    if not is_said(calls):
        return message, []
    try:
        read = _calls(calls)
    except msgspec.DecodeError:
        raise wrong_type(f"messages[{place}].tool_calls", "a list of calls of functions") from None
    for at, call in enumerate(read):
        check_named(bytes(call.function), f"messages[{place}].tool_calls[{at}].function")
    return message, read


def _result(
    message: _Message | None, calls: list[_Call], known: dict[str, _Message]
) -> _Message | None:
    """Return a message if it is the first result of one of these calls."""
    if message is None or bytes(message.role) != b'"tool"':
        return None
    name = message.tool_call_id
    return message if name not in known and any(call.id == name for call in calls) else None


def _taken_apart(text: bytes, calls: list[_Call], results: dict[str, _Message]) -> list[bytes]:
    first = splice.remove(text, ("tool_calls",))
    said = []
    for place, call in enumerate(calls):
        message = first if place == 0 else b'{"role":"assistant","content":null}'
        called = bytes(call.function)
        said.append(splice.set_member(message, (), "function_call", called))
        if call.id in results:
            result = {
                "role": "function",
                "name": read_named(called).name,
                "content": _plain(results[call.id].content),
            }
            said.append(msgspec.json.encode(result))
    return said


def _plain(content: Any) -> Any:
    """Return the content of a result as one text, as functions have it."""
    if content is None:
        return ""
    try:
        parts = msgspec.convert(content, list[_Text])
    except msgspec.ValidationError:
        return content
    return "".join(part.text for part in parts)
