"""Guards: what is refused of a call because its model cannot do it, before it is made."""

import re
from collections.abc import Callable, Iterator
from types import MappingProxyType

import msgspec

from veneer.call import Call
from veneer.catalog.model import KIND_OF, Capability, Model
from veneer.counts import count, is_unsaid
from veneer.dialects import Kind
from veneer.errors import Error
from veneer.members import ABSENT

# No text has more than so many bytes a token, on the average: what is over the context window by
# this measure is so by any. Media are left out of it.
MOST_BYTES = 8

_IMAGE = re.compile(rb'"type"\s*:\s*"(?:image_url|input_image|image_file)"').search
_KIND = re.compile(rb'"type"\s*:\s*"(json_object|json_schema)"').search

# What a caller says who wants no reasoning.
_NO_REASONING = frozenset([b'"none"', b'"off"'])


class Members(msgspec.Struct):
    """The members of a body that a model may be unable to serve, as their text."""

    messages: msgspec.Raw = ABSENT
    input: msgspec.Raw = ABSENT
    tools: msgspec.Raw = ABSENT
    functions: msgspec.Raw = ABSENT
    tool_choice: msgspec.Raw = ABSENT
    response_format: msgspec.Raw = ABSENT
    text: msgspec.Raw = ABSENT
    reasoning_effort: msgspec.Raw = ABSENT
    reasoning: msgspec.Raw = ABSENT
    max_completion_tokens: msgspec.Raw = ABSENT
    max_tokens: msgspec.Raw = ABSENT
    max_output_tokens: msgspec.Raw = ABSENT
    dimensions: msgspec.Raw = ABSENT


_decode = msgspec.json.Decoder(Members).decode

CAPS = ("max_completion_tokens", "max_tokens", "max_output_tokens")


class Asked(msgspec.Struct, frozen=True):
    """A call, and the members of its body that guards look at."""

    call: Call
    members: Members


def refusal(model: Model, call: Call, body: bytes) -> Error | None:
    """Return the error of a call that its model cannot serve, None for one that it may.

    What is not known of the model refuses nothing.
    """
    kind = KIND_OF.get(call.operation.name)
    if model.kind is not None and kind is not None and model.kind != kind:
        return Error(
            Kind.MODEL_WRONG_KIND,
            f"This is a model of the kind '{model.kind}', which {call.operation.name} cannot use.",
            param="model",
        )
    if call.stream and not model.can("streaming"):
        return Error(
            Kind.STREAMING_UNSUPPORTED, "This model does not stream its answers.", param="stream"
        )
    if not is_bounded(model):
        return None
    asked = Asked(call, _decode(body))
    return next((error for guard in GUARDS for error in guard(model, asked)), None)


def is_bounded(model: Model) -> bool:
    """Whether anything is known of a model that members of a body could be beyond."""
    bounds = (model.context_window, model.output_cap, model.dimensions, model.capabilities)
    return any(bound is not None for bound in bounds)


def _caps(model: Model, asked: Asked) -> Iterator[Error]:
    if model.output_cap is None:
        return
    for name in CAPS:
        if (count(getattr(asked.members, name)) or 0) > model.output_cap:
            yield Error(
                Kind.OUTPUT_CAP_EXCEEDED,
                f"'{name}' is over what this model can write, which is {model.output_cap} tokens.",
                param=name,
            )


def _context(model: Model, asked: Asked) -> Iterator[Error]:
    call, window = asked.call, model.context_window
    if window is None or _has_media(asked):
        return
    least = call.input_bytes // MOST_BYTES
    if least + (call.output_cap or 0) > window:
        part = "input" if asked.members.messages is ABSENT else "messages"
        yield Error(
            Kind.CONTEXT_EXCEEDED,
            f"This model's context window is {window} tokens. This call has at least {least} in "
            f"its {part}, and asks for up to {call.output_cap or 0} more.",
            param=part,
        )


def _tools(model: Model, asked: Asked) -> Iterator[Error]:
    members = asked.members
    for name in ("tools", "functions"):
        raw = getattr(members, name)
        if not is_unsaid(raw) and bytes(raw).strip(b"[ \t\r\n]") and not model.can("tools"):
            yield Error(Kind.TOOLS_UNSUPPORTED, "This model cannot use tools.", param=name)
    if bytes(members.tool_choice) == b'"required"' and not model.can("tool_choice_required"):
        yield Error(
            Kind.TOOL_CHOICE_UNSUPPORTED,
            "This model cannot be made to use a tool: 'tool_choice' can be 'auto' or 'none'.",
            param="tool_choice",
        )


def _vision(model: Model, asked: Asked) -> Iterator[Error]:
    if not model.can("vision") and _has_media(asked):
        part = "input" if asked.members.messages is ABSENT else "messages"
        yield Error(Kind.VISION_UNSUPPORTED, "This model cannot see images.", param=part)


FORMATS = MappingProxyType[bytes, tuple[Capability, Kind, str]](
    {
        b"json_object": (
            "json_object",
            Kind.JSON_MODE_UNSUPPORTED,
            "This model has no JSON mode: ask for JSON in the prompt, or use another model.",
        ),
        b"json_schema": (
            "json_schema",
            Kind.JSON_SCHEMA_UNSUPPORTED,
            "This model cannot be held to a JSON schema.",
        ),
    }
)


def _format(model: Model, asked: Asked) -> Iterator[Error]:
    for name, raw in (
        ("response_format", asked.members.response_format),
        ("text.format", asked.members.text),
    ):
        found = _KIND(raw)
        if found is not None:
            capability, kind, sentence = FORMATS[found[1]]
            if not model.can(capability):
                yield Error(kind, sentence, param=name)


def _reasoning(model: Model, asked: Asked) -> Iterator[Error]:
    if model.can("reasoning"):
        return
    effort = asked.members.reasoning_effort
    if not is_unsaid(effort) and bytes(effort) not in _NO_REASONING:
        yield Error(
            Kind.REASONING_UNSUPPORTED, "This model does not reason.", param="reasoning_effort"
        )
    if b'"effort"' in bytes(asked.members.reasoning):
        yield Error(Kind.REASONING_UNSUPPORTED, "This model does not reason.", param="reasoning")


def _dimensions(model: Model, asked: Asked) -> Iterator[Error]:
    wanted = asked.members.dimensions
    if model.dimensions is None or is_unsaid(wanted) or count(wanted) in model.dimensions:
        return
    known = ", ".join(map(str, model.dimensions))
    yield Error(
        Kind.EMBEDDINGS_DIMENSIONS,
        f"'dimensions' of this model can be {known}.",
        param="dimensions",
    )


def _has_media(asked: Asked) -> bool:
    return bool(_IMAGE(asked.members.messages) or _IMAGE(asked.members.input))


GUARDS: tuple[Callable[[Model, Asked], Iterator[Error]], ...] = (
    _caps,
    _tools,
    _vision,
    _format,
    _reasoning,
    _dimensions,
    _context,
)
