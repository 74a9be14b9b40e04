"""The demo model's tokens: a rule simple enough to count by hand.

A token is up to four characters of a word together with the white space before it; white space at
the end of a text is a token of its own. So the pieces of a text, joined, are the text.
"""

import re
from typing import Final

import msgspec

from .error import DemoError

CONTEXT_TOKENS: Final = 131_072
"""The most tokens that the demo model reads in one request."""

IMAGE_TOKENS: Final = 85
"""What an image in a message counts as, whatever its size."""

_PIECE: Final = re.compile(r"\s*+\S{1,4}|\s++")


def pieces(text: str) -> list[str]:
    """Return the tokens of `text`, in order; joined, they are `text`."""
    return _PIECE.findall(text)


def count(text: str) -> int:
    """Return the number of tokens of `text`."""
    return len(pieces(text))


def count_json(value: object) -> int:
    """Return the number of tokens of the compact JSON of `value`."""
    return count(msgspec.json.encode(value).decode())


def check_context(tokens: int, param: str) -> None:
    """Raise DemoError if a request of that many tokens is more than the model reads."""
    if tokens > CONTEXT_TOKENS:
        raise DemoError(
            f"This model's maximum context length is {CONTEXT_TOKENS} tokens. However, your "
            f"request has {tokens} tokens. Please shorten it.",
            param=param,
            code="context_length_exceeded",
        )
