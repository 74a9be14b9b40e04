"""Dropping: the members of a call that its model does not support, and that it can be made without.

A model may not know a member at all (`Model.unsupported_parameters`), or know it and be unable to
do what it asks for (`guards.optional_beyond`).
"""

from types import MappingProxyType

import msgspec

from veneer.catalog.guards import optional_beyond
from veneer.catalog.model import Model
from veneer.dialects.routing import Warned, WarningType
from veneer.wire import splice

# Members of OpenAI's that say something to the service, not to the model; and those that are for
# one provider.
_TYPES = MappingProxyType[str, WarningType](
    {
        "metadata": "unsupported_field",
        "prediction": "unsupported_field",
        "prompt_cache_key": "unsupported_field",
        "prompt_cache_retention": "unsupported_field",
        "safety_identifier": "unsupported_field",
        "service_tier": "unsupported_field",
        "store": "unsupported_field",
        "user": "unsupported_field",
        "extensions": "ignored_extension",
    }
)


def unknown_members(model: Model, body: bytes) -> tuple[str, ...]:
    """Return the names of the members of a body that its model does not know; null says nothing.

    Raises ValueError for a body that is no JSON object, or has one of them twice.
    """
    names = model.unsupported_parameters
    # An escape may hide any of them.
    if not names or not (b"\\u" in body or any(_quoted(name) in body for name in names)):
        return ()
    spans = splice.members(body, names)
    return tuple(name for name, span in spans.items() if body[slice(*span)] != b"null")


def droppable(model: Model, body: bytes) -> tuple[str, ...]:
    """Return the names of the members of a body that its model does not support, and may lack.

    A call that insists on its parameters is one for models where there are none of these. Raises as
    `unknown_members` does.
    """
    return tuple(dict.fromkeys((*unknown_members(model, body), *optional_beyond(model, body))))


def warning(name: str) -> Warned:
    """Return what the client is told of a member that was left out."""
    kind = _TYPES.get(name, "unsupported_parameter")
    sentence = f"This model does not support '{name}': the call was made without it."
    return Warned(type=kind, code=f"{name}_not_supported", message=sentence)


def _quoted(name: str) -> bytes:
    return msgspec.json.encode(name)
