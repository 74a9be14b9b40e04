"""Suffixes: what a call asks of routing in the name of its model, such as `gpt-4o:cost`."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import get_args

from veneer.routing.preferences import Optimize

# Each strategy by its own name, and by those that routers gave them before.
SUFFIXES: Mapping[str, Optimize] = MappingProxyType(
    {
        **{name: name for name in get_args(Optimize)},
        "floor": "cost",
        "nitro": "tps",
        "fast": "ttft",
    }
)

# The ids of fine-tuned models have colons of their own, and end with anything.
FINE_TUNED = "ft:"


def without_suffix(name: str) -> tuple[str, Optimize | None]:
    """Return a model's name without its suffix, and what that asks for.

    What is no such suffix is part of the name (`llama3:8b`), and so it is in the id of a model that
    was fine-tuned.
    """
    base, _, end = name.rpartition(":")
    optimize = SUFFIXES.get(end)
    if optimize is None or not base or name.startswith(FINE_TUNED):
        return name, None
    return base, optimize
