"""What a target knows of chat completions."""

from typing import Literal

import msgspec

Cap = Literal["max_tokens", "max_completion_tokens"]

CAPS: tuple[Cap, Cap] = ("max_tokens", "max_completion_tokens")


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """How a target is to be spoken to.

    `legacy_functions`: it knows only tools, and clients may still say `functions`.
    `functions_only`: it knows only functions, and clients say `tools`. `max_tokens` is the one name
    that it has for the cap, None for both. `developer_role`: it knows messages of developers.
    `parallel_tool_calls`: it may be asked for one call at a time, which is what functions mean.
    `check`: calls that OpenAI would refuse are not left to it.

    Raises ValueError for what cannot be.
    """

    legacy_functions: bool = True
    functions_only: bool = False
    max_tokens: Cap | None = None
    developer_role: bool = True
    parallel_tool_calls: bool = True
    check: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.functions_only and self.legacy_functions:
            raise ValueError(
                "functions_only and legacy_functions exclude each other: a target that knows only "
                "functions takes them as they are."
            )
        if self.max_tokens not in (None, *CAPS):
            raise ValueError(f"max_tokens is {self.max_tokens!r}: name {' or '.join(CAPS)}.")
