"""What a model server tells of calls, and what that costs, worked out without a price book."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import msgspec

# How calls are answered, and how many of ten are. A call's kind stands before its id in the name of
# its model, which is all that its client, the model server and the ledger have in common.
Kind = Literal["plain", "stream", "mute", "broken"]
KINDS: Mapping[Kind, int] = MappingProxyType({"plain": 4, "stream": 4, "mute": 1, "broken": 1})

# Picodollars of a token, chosen so that nothing is ever rounded.
INPUT = 1_000_000
CACHED = 250_000
OUTPUT = 4_000_000

# What veneer puts around a text whose tokens it bounds by its bytes.
FRAME = 16


class Told(msgspec.Struct):
    """A call as the model server knows it.

    `size` is what it got, in bytes; `input`, `cached` and `output` the tokens that it uses up if it
    comes to its end. `events` is how many it has written of a stream; `told` whether it has written
    the usage, `finished` whether it has written everything.
    """

    name: str
    size: int
    input: int
    cached: int
    output: int
    events: int = 0
    told: bool = False
    finished: bool = False

    @property
    def cost(self) -> int:
        """What the call costs, if it comes to its end; in picodollars."""
        return cost(self.input, self.cached, self.output)

    @property
    def so_far(self) -> int:
        """What it costs as far as it came: each event has a token."""
        if self.finished:
            return self.cost
        return cost(self.input, self.cached, min(self.events, self.output))


def cost(read: int, cached: int, written: int) -> int:
    """Return what so many tokens cost; those `cached` are a part of those that are read."""
    return (read - cached) * INPUT + cached * CACHED + written * OUTPUT
