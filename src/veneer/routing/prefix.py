"""The prefix of a request: what a model server reads of it, in blocks that name all before them."""

import re
from types import MappingProxyType

import msgspec

# Tokens of a block: a token is four bytes of JSON text or so.
BLOCK_TOKENS = 512
BLOCK = 4 * BLOCK_TOKENS
# Bytes of a prefix, and how far its beginning is looked for: a long one is told apart long before.
WINDOW = 64 * BLOCK

_ABSENT = msgspec.Raw()
_FIRST = re.compile(rb'"(messages|input|prompt|tools|instructions)"[ \t\n\r]*:').search
# What is looked for behind the first of them.
_BEHIND = MappingProxyType(
    {b"messages": (b'"tools"',), b"input": (b'"tools"', b'"instructions"')},
)


class _Leading(msgspec.Struct):
    tools: msgspec.Raw = _ABSENT
    instructions: msgspec.Raw = _ABSENT


_decode_leading = msgspec.json.Decoder(_Leading).decode


class Prefix:
    """The beginning of what a model reads, as one number a block.

    Each number stands for its block and all before it, so that two requests have as many numbers in
    common as they have blocks. `found` is what `Affinity` keeps here of what it was asked.
    """

    __slots__ = ("blocks", "found")

    def __init__(self, blocks: tuple[int, ...] = ()) -> None:
        self.blocks = blocks
        self.found: dict[str, int] = {}


def read_prefix(body: bytes, model: str | None = None) -> Prefix:
    """Return the prefix of a JSON body; one without blocks for a short body, or another's.

    Servers put tools and instructions before the messages, wherever they stand in the body, and so
    does this. It looks at a glance: a body that writes the names of its members in escapes, or has
    such names where none of them are expected, may seem to have no prefix, or another one. It will
    then go to any server. The numbers are this process's own.
    """
    if len(body) < BLOCK:
        return Prefix()
    first = _FIRST(body, 0, WINDOW)
    if first is None:
        return Prefix()
    start = first.start()
    leading = _leading(body, first)
    if leading:
        body = leading + body[start : start + WINDOW]
        start = 0
    number = hash(model)
    blocks = []
    for at in range(start, min(len(body), start + WINDOW) - BLOCK + 1, BLOCK):
        # Not for security: who forces a collision has a call go where its prefix is not.
        number = hash((number, body[at : at + BLOCK]))
        blocks.append(number)
    return Prefix(tuple(blocks))


def _leading(body: bytes, first: re.Match[bytes]) -> bytes:
    """Return the tools and the instructions that stand behind the messages."""
    names = _BEHIND.get(first[1], ())
    found = [body.rfind(name, max(first.end(), len(body) - WINDOW)) for name in names]
    places = [at for at in found if at >= 0]
    if not places:
        return b""
    try:
        # From one member of an object to its end is an object, once a brace is put before it.
        leading = _decode_leading(b"{" + body[min(places) :])
    except (ValueError, RecursionError):
        return b""
    return bytes(leading.tools) + bytes(leading.instructions)
