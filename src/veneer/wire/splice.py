"""Edits of JSON text that leave every byte alone that they do not mean.

Members are found by name however the text writes it (`"mod\\u0065l"` is `model`), at any depth, by
a path of names through objects. Text with a member that stands twice is refused, because parsers
differ in which of the two they take. All functions raise ValueError for text that is not a JSON
object or is nested too deeply, and `DuplicateMemberError` for one that names a member twice.
"""

import json
import re
from collections.abc import Collection
from typing import Any

import msgspec

Path = tuple[str, ...]
Span = tuple[int, int]

_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_OPEN = re.compile(rb"[ \t\n\r]*\{[ \t\n\r]*").match
_KEY = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"[ \t\n\r]*:[ \t\n\r]*', re.DOTALL).match
_NEXT = re.compile(rb"[ \t\n\r]*,[ \t\n\r]*").match
_CLOSE = re.compile(rb"[ \t\n\r]*\}[ \t\n\r]*").fullmatch


class DuplicateMemberError(ValueError):
    """A member of an object stands twice; `name` says which."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the member {name!r} stands twice")
        self.name = name
