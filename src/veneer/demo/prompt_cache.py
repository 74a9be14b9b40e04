"""The demo model's prompt cache: the beginnings of prompts that it has read before."""

from collections import OrderedDict
from typing import Final

BLOCK: Final = 256
"""Bytes of a block; only whole blocks are cached."""

MOST_BLOCKS: Final = 65_536
"""Blocks that are kept; those not read for longest go first."""


class PromptCache:
    """Remembers which beginnings of prompts were read, as one number a block."""

    def __init__(self, most: int = MOST_BLOCKS) -> None:
        self._most = most
        self._read: OrderedDict[int, None] = OrderedDict()

    def read(self, text: bytes) -> int:
        """Return how many bytes of the beginning were read before, and remember them all."""
        number = cached = 0
        numbers = []
        for at in range(0, len(text) - BLOCK + 1, BLOCK):
            # A number stands for its block and all before it.
            number = hash((number, text[at : at + BLOCK]))
            if cached == at and number in self._read:
                cached += BLOCK
            numbers.append(number)
        for number in reversed(numbers):
            self._read[number] = None
            self._read.move_to_end(number)
        while len(self._read) > self._most:
            self._read.popitem(last=False)
        return cached
