"""A look at a call: what it has that a target may not know, seen in one decoding."""

from collections.abc import Sequence

import msgspec

from veneer.compat.target import CAPS, Cap, Target
from veneer.members import ABSENT


class Message(msgspec.Struct, frozen=True, gc=False):
    """What a message has."""

    role: str = ""
    function_call: msgspec.Raw = ABSENT
    tool_calls: msgspec.Raw = ABSENT


class Look(msgspec.Struct, frozen=True):
    """What a call has; of members that stand twice, the last."""

    messages: Sequence[Message] | None = None
    functions: msgspec.Raw = ABSENT
    function_call: msgspec.Raw = ABSENT
    tools: msgspec.Raw = ABSENT
    tool_choice: msgspec.Raw = ABSENT
    parallel_tool_calls: msgspec.Raw = ABSENT
    max_tokens: msgspec.Raw = ABSENT
    max_completion_tokens: msgspec.Raw = ABSENT

    def concerns(self, target: Target) -> bool:
        """Whether it has something that the target does not know."""
        return (
            (target.legacy_functions and self._speaks_of_functions())
            or (target.functions_only and self._speaks_of_tools())
            or (target.max_tokens is not None and self._caps_otherwise(target.max_tokens))
            or (not target.developer_role and "developer" in [each.role for each in self._said()])
        )

    def _caps_otherwise(self, known: Cap) -> bool:
        other = CAPS[known == CAPS[0]]
        return getattr(self, other) is not ABSENT

    def _speaks_of_functions(self) -> bool:
        if self.functions is not ABSENT or self.function_call is not ABSENT:
            return True
        # Not a generator: all calls come by here, some with many messages.
        for message in self.messages or ():
            if message.function_call is not ABSENT or message.role == "function":
                return True
        return False

    def _speaks_of_tools(self) -> bool:
        of_tools = (self.tools, self.tool_choice, self.parallel_tool_calls)
        return any(raw is not ABSENT for raw in of_tools) or any(
            message.tool_calls is not ABSENT or message.role == "tool" for message in self._said()
        )

    def _said(self) -> Sequence[Message]:
        return self.messages or ()


_decode = msgspec.json.Decoder(Look).decode


def look_at(body: bytes) -> Look | None:
    """Return what a call has; None for one whose messages are no list of objects with roles."""
    try:
        return _decode(body)
    except (ValueError, RecursionError):
        return None
