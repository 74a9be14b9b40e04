"""The input items of a responses request."""

from collections.abc import Sequence

import msgspec

from .chat_messages import Transcript
from .content import Content, read
from .error import DemoError
from .tokens import count

_PER_ITEM = 3
_REPLY_PRIMING = 3


class Item(msgspec.Struct, frozen=True):
    """An input item: a message, a function call, its output, or reasoning."""

    type: str = "message"
    role: str | None = None
    content: Content = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: Content = None


def read_input(given: str | Sequence[Item], instructions: str | None) -> Transcript:
    """Return the transcript; raise DemoError for an item that is out of place or unreadable.

    It costs 3 tokens for the reply, and for the instructions and each item 3 and what they hold.
    """
    items = [Item(role="user", content=given)] if isinstance(given, str) else given
    text, results, tokens = "", list[str](), _REPLY_PRIMING
    if instructions:
        tokens += _PER_ITEM + count(instructions)
    called: set[str | None] = set()
    for place, item in enumerate(items):
        param = f"input[{place}]"
        said = read(item.content, f"{param}.content")
        tokens += _PER_ITEM + said.tokens + count(item.name or "") + count(item.arguments or "")
        match item.type:
            case "message":
                results.clear()
                text = said.text if _role(item, param) == "user" else text
            case "function_call":
                results.clear()
                called.add(item.call_id)
            case "function_call_output":
                if item.call_id not in called:
                    raise DemoError(
                        f"No tool call found for function call output with call_id "
                        f"{(item.call_id or '')[:64]}.",
                        param="input",
                    )
                output = read(item.output, f"{param}.output")
                tokens += output.tokens
                results.append(output.text)
            case "reasoning":
                pass
            case _:
                raise DemoError(
                    f"Invalid value: '{item.type[:64]}'. The demo model keeps nothing and runs no "
                    "tools, so it reads messages, function calls and their outputs.",
                    param=f"{param}.type",
                    code="invalid_value",
                )
    return Transcript(text, tuple(results), tokens)


def _role(item: Item, param: str) -> str:
    if item.role not in {"user", "assistant", "system", "developer"}:
        raise DemoError(
            f"Invalid value for '{param}.role': it is none of a message's roles.",
            param=f"{param}.role",
            code="invalid_value",
        )
    return item.role
