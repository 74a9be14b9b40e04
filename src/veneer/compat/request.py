r"""A call as a target knows it, with no more changed than what it does not know.

Names of members are found however they are written (`"f\u0075nctions"`); a role with escapes in it
is left to the target.
"""

from typing import Literal

import msgspec

from veneer.compat.checks import check
from veneer.compat.functions import messages_with_tools, offers_functions, with_tools
from veneer.compat.look import look_at
from veneer.compat.refused import RefusedError, wrong
from veneer.compat.target import CAPS, Target
from veneer.compat.texts import is_said, items, may_say, with_items
from veneer.compat.tools import messages_with_functions, with_functions
from veneer.dialects import Kind
from veneer.errors import Error, unreadable
from veneer.wire import splice

# What clients may read in the answer, where the target does not write it by itself.
Answers = Literal["functions", "tools"]

NAMES = (
    "messages",
    "functions",
    "function_call",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    *CAPS,
)


class Translated(msgspec.Struct, frozen=True):
    """The body for the target, and what its answer is to be turned into, None for nothing."""

    body: bytes
    answers: Answers | None = None


class _Role(msgspec.Struct):
    role: msgspec.Raw = msgspec.Raw()


_role = msgspec.json.Decoder(_Role).decode


def translated(body: bytes, target: Target) -> Translated | Error:
    """Return a call as the target knows it, or the error that its client gets."""
    try:
        seen = look_at(body)
        if target.check:
            check(body, seen)
        if seen is not None and not seen.concerns(target):
            return Translated(body)
        return _translated(body, target)
    except RefusedError as refused:
        return refused.error
    except (ValueError, RecursionError) as error:
        return unreadable(error)


def _translated(body: bytes, target: Target) -> Translated:
    spans = splice.members(body, NAMES)
    said = {name: body[start:end] for name, (start, end) in spans.items()}
    answers: Answers | None = None
    messages = said.get("messages", b"")
    if messages[:1] == b"[":
        changed = _messages(messages, target)
        if changed != messages:
            start, end = spans["messages"]
            body = body[:start] + changed + body[end:]
    if target.legacy_functions and offers_functions(said):
        body, answers = with_tools(body, said, target), "functions"
    elif target.functions_only:
        body, answers = _to_functions(body, said)
    for name in CAPS:
        if target.max_tokens not in (None, name) and is_said(said.get(name)):
            body = _with_cap(body, said, name, str(target.max_tokens))
    return Translated(body, answers)


def _messages(messages: bytes, target: Target) -> bytes:
    if target.legacy_functions and may_say(messages, b'"function'):
        messages = messages_with_tools(messages)
    elif target.functions_only and may_say(messages, b'"tool'):
        messages = messages_with_functions(messages)
    if not target.developer_role and b'"developer"' in messages:
        messages = _without_developers(messages)
    return messages


def _without_developers(messages: bytes) -> bytes:
    spans = items(messages)
    changed = {}
    for place, (start, end) in enumerate(spans):
        text = messages[start:end]
        if b'"developer"' in text and text[:1] == b"{":
            # Twice in one message is more than can be told apart.
            splice.members(text, ("role",))
            if bytes(_role(text).role) == b'"developer"':
                changed[place] = splice.replace(text, ("role",), b'"system"')
    return with_items(messages, spans, changed)


def _to_functions(body: bytes, said: dict[str, bytes]) -> tuple[bytes, Answers | None]:
    if not is_said(said.get("tools")):
        if is_said(said.get("tool_choice")):
            raise wrong(
                Kind.INVALID_REQUEST,
                "'tool_choice' is only allowed when 'tools' is given.",
                "tool_choice",
            )
        # A target that does not know it may refuse it.
        for name in ("tools", "tool_choice", "parallel_tool_calls"):
            body = splice.remove(body, (name,)) if name in said else body
        return body, None
    for name in ("functions", "function_call"):
        if is_said(said.get(name)):
            raise wrong(
                Kind.INVALID_REQUEST, f"'{name}' and 'tools' cannot be given together.", name
            )
    return with_functions(body, said), "tools"


def _with_cap(body: bytes, said: dict[str, bytes], name: str, known: str) -> bytes:
    """Return the body with the cap under the name that is known; what stands there stays."""
    if not is_said(said.get(known)):
        body = splice.set_member(body, (), known, said[name])
    return splice.remove(body, (name,))
