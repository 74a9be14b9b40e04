"""The messages of a chat completion request."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from .content import Content, read
from .error import DemoError
from .tokens import count

_PER_MESSAGE = 3
_REPLY_PRIMING = 3


class FunctionCall(msgspec.Struct, frozen=True):
    """The function that an assistant message calls, with its JSON arguments."""

    name: str
    arguments: str


class MessageToolCall(msgspec.Struct, frozen=True):
    """A tool call of an assistant message."""

    id: str
    function: FunctionCall


class Message(msgspec.Struct, frozen=True):
    """A message of any role."""

    role: Literal["developer", "system", "user", "assistant", "tool", "function"]
    content: Content = None
    name: str | None = None
    tool_call_id: str | None = None
    tool_calls: list[MessageToolCall] | None = None
    function_call: FunctionCall | None = None


class Transcript(msgspec.Struct, frozen=True):
    """What the model takes from the messages: see `Ask`; `tokens` is their whole cost."""

    text: str
    results: tuple[str, ...]
    tokens: int


def read_messages(messages: Sequence[Message]) -> Transcript:
    """Return the transcript; raise DemoError for a message that is out of place or unreadable.

    A transcript costs 3 tokens for the reply, and for each message 3 and the tokens of its
    content, its name and its calls.
    """
    _check_tool_calls(messages)
    text, results, tokens = "", list[str](), _REPLY_PRIMING
    for place, message in enumerate(messages):
        said = read(message.content, f"messages[{place}].content")
        tokens += _PER_MESSAGE + said.tokens + count(message.name or "") + _call_tokens(message)
        if message.role in {"tool", "function"}:
            results.append(said.text)
            continue
        results.clear()
        if message.role == "user":
            text = said.text
    return Transcript(text, tuple(results), tokens)


def _call_tokens(message: Message) -> int:
    calls = [call.function for call in message.tool_calls or ()]
    if message.function_call:
        calls.append(message.function_call)
    return sum(count(call.name) + count(call.arguments) for call in calls)


def _check_tool_calls(messages: Sequence[Message]) -> None:
    """Check that tool messages and the calls that they answer stand together, as OpenAI does."""
    waiting: set[str] = set()
    for place, message in enumerate(messages):
        if message.role == "tool":
            if message.tool_call_id not in waiting:
                raise DemoError(
                    "Invalid parameter: messages with role 'tool' must be a response to a "
                    "preceding message with 'tool_calls'.",
                    param=f"messages[{place}].role",
                )
            waiting.discard(message.tool_call_id)
            continue
        _check_answered(waiting, place)
        waiting = {call.id for call in message.tool_calls or ()}
    _check_answered(waiting, len(messages))


def _check_answered(waiting: set[str], place: int) -> None:
    if waiting:
        raise DemoError(
            "An assistant message with 'tool_calls' must be followed by tool messages responding "
            f"to each 'tool_call_id'. Missing: {', '.join(sorted(waiting))[:200]}.",
            param=f"messages[{place - 1}].role",
        )
