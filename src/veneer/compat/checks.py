"""What is refused of a chat completion that no target could serve, before it is sent to one."""

from veneer.compat.look import Look
from veneer.compat.refused import wrong, wrong_type
from veneer.compat.texts import is_said
from veneer.dialects import Kind
from veneer.members import ABSENT
from veneer.wire import splice

CHOICES = frozenset([b'"none"', b'"auto"', b'"required"'])


def check(body: bytes, seen: Look | None) -> None:
    """Refuse a call without messages, or with a `tool_choice` that there is not.

    `seen` is what it has. Raises `RefusedError`, and ValueError for a body that cannot be walked.
    """
    if seen is None or not seen.messages:
        _check_messages(splice.value(body, ("messages",)))
    if seen is None:
        _check_choice(splice.value(body, ("tool_choice",)))
    elif seen.tool_choice is not ABSENT:
        _check_choice(bytes(seen.tool_choice))


def _check_messages(messages: bytes | None) -> None:
    if messages is None or not is_said(messages):
        raise wrong(Kind.MISSING_PARAMETER, "'messages' is missing.", "messages")
    if messages[:1] != b"[":
        raise wrong_type("messages", "a list of messages")
    if not messages[1:-1].strip(b" \t\r\n"):
        raise wrong(Kind.INVALID_VALUE, "'messages' is an empty list.", "messages")


def _check_choice(choice: bytes | None) -> None:
    if choice is None or not is_said(choice) or choice in CHOICES or choice[:1] == b"{":
        return
    if choice[:1] == b'"':
        raise wrong(
            Kind.INVALID_VALUE,
            "'tool_choice' must be 'none', 'auto', 'required', or name a tool in an object.",
            "tool_choice",
        )
    raise wrong_type("tool_choice", "a string or an object")
