"""What the tables of `veneer.toml` are made of: their base, types of options, marks on those.

A mark (`Meta.extra`) says how a value is read and shown.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

# Names where a secret is, and is never shown.
HIDDEN = "hidden"
# A file, whose path is taken from where the configuration lies.
FILE = "file"
# The URL of a store, or names where it is: its file is taken from where the configuration lies.
STORE = "store"
# An amount of money or a factor, which stands in quotes so that it is exact.
AMOUNT = "amount"

Secret = Annotated[str, Meta(extra={HIDDEN: True})]
# A day is for ever where a stream is concerned, and clocks of event loops have an end.
Seconds = Annotated[float, Meta(gt=0, le=86400)]
Wait = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
Name = Annotated[str, Meta(min_length=1)]
Amount = Annotated[str, Meta(pattern=r"^[0-9]{1,12}(\.[0-9]{1,12})?\Z", extra={AMOUNT: True})]


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table of options; it has no others."""
