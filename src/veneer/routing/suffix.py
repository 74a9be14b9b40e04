"""Suffixes: what a call asks of routing in the name of its model, such as `gpt-4o:cost`."""

from collections.abc import Container, Mapping
from types import MappingProxyType
from typing import get_args

import msgspec

from veneer.dialects import Kind
from veneer.errors import Error
from veneer.routing.preferences import Optimize
from veneer.routing.reading import MODELS, ROUTING, Gateway

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


def without_suffix(name: str, whole: Container[str] = ()) -> tuple[str, Optimize | None]:
    """Return a model's name without its suffix, and what that asks for.

    What is no such suffix is part of the name (`llama3:8b`), and so it is in the id of a model that
    was fine-tuned, and in names that are known to be `whole` (`llama:fast`).
    """
    base, _, end = name.rpartition(":")
    optimize = SUFFIXES.get(end)
    if optimize is None or not base or name.startswith(FINE_TUNED) or name in whole:
        return name, None
    return base, optimize


def without_suffixes(
    model: str | None, gateway: Gateway, whole: Container[str] = ()
) -> tuple[str | None, Gateway] | Error:
    """Return the model that a call names first, and what it says with its suffixes, or its error.

    They say the same as `optimize`, and so must not contradict that, nor each other. A call names
    its model, or several in `gateway`, but not both. `whole` are as for `without_suffix`.
    """
    several = gateway.said.get("models", ())
    if several and model:
        return Error(
            Kind.INVALID_VALUE,
            "'gateway.models' stands in place of 'model': say one of them.",
            param=MODELS,
        )
    names = several or (() if model is None else (model,))
    split = [without_suffix(name, whole) for name in names]
    asked = {optimize for _, optimize in split if optimize is not None}
    if not asked and not several:
        return model, gateway
    said = dict(gateway.said)
    if several:
        said["models"] = tuple(dict.fromkeys(name for name, _ in split))
    if len(asked) > 1:
        return _contradiction(MODELS, "The suffixes of these models contradict each other")
    for optimize in asked:
        if said.setdefault("optimize", optimize) != optimize:
            return _contradiction(
                f"{ROUTING}.optimize",
                f"The model's suffix asks for '{optimize}', and 'optimize' for something else",
            )
        if "weights" in said:
            return _contradiction(
                f"{ROUTING}.weights",
                f"The model's suffix asks for '{optimize}', and 'weights' for something else",
            )
    return split[0][0], msgspec.structs.replace(gateway, said=said)


def _contradiction(path: str, what: str) -> Error:
    return Error(Kind.INVALID_VALUE, f"{what}: say one of them.", param=path)
