"""Formats of answers, for models that have some of them and not others."""

from types import MappingProxyType

import msgspec

from veneer.catalog.model import Capability, Model
from veneer.dialects import Kind
from veneer.errors import Error


class Format(msgspec.Struct, frozen=True):
    """A format of answers: what it asks of a model, and what is said where that is lacking.

    `instead` is advice for models with the capability `other`.
    """

    capability: Capability
    kind: Kind
    sentence: str
    other: Capability
    instead: str


FORMATS = MappingProxyType(
    {
        b"json_object": Format(
            "json_object",
            Kind.JSON_MODE_UNSUPPORTED,
            "This model has no JSON mode: ask for JSON in the prompt, or use another model.",
            "json_schema",
            "Ask for the type 'json_schema', which this model can be held to.",
        ),
        b"json_schema": Format(
            "json_schema",
            Kind.JSON_SCHEMA_UNSUPPORTED,
            "This model cannot be held to a JSON schema.",
            "json_object",
            "Ask for the type 'json_object', and describe the schema in the prompt.",
        ),
    }
)
NO_FORMAT = "Ask for JSON in the prompt, or choose a model that can be held to it."


def beyond(model: Model, asked: bytes, param: str) -> Error | None:
    """Return the error of a format (`json_object`, `json_schema`) that a model has not, or None."""
    wanted = FORMATS[asked]
    if model.can(wanted.capability):
        return None
    instead = wanted.instead if model.can(wanted.other) else NO_FORMAT
    return Error(wanted.kind, wanted.sentence, param=param, suggestion=instead)
