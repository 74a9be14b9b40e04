"""Guards: what is refused of a call because its model cannot do it, before it is made."""

import re
from collections.abc import Callable, Iterator

import msgspec

from veneer.call import Call
from veneer.catalog.formats import beyond
from veneer.catalog.model import KIND_OF, Model
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
            suggestion="GET /v1/models lists the models that you may use, with what they are for.",
        )
    if call.stream and not model.can("streaming"):
        return Error(
            Kind.STREAMING_UNSUPPORTED,
            "This model does not stream its answers.",
            param="stream",
            suggestion="Leave 'stream' out.",
        )
    if not is_bounded(model):
        return None
    members = _decode(body)
    beyond = (error for guard in GUARDS for error in guard(model, members))
    return next(beyond, None) or _context(model, call, members)


def optional_beyond(model: Model, body: bytes) -> Iterator[str]:
    """Yield the members of a body that ask for what its model cannot do, and may be left out.

    Those are `reasoning_effort` and `reasoning` (the answer is thought about less, and is one all
    the same), and a `tool_choice` that requires a call (by default, the model may still make one).
    All else would change what the client gets, or what the model is told: an answer in JSON is
    parsed, vectors of another length fit nowhere, a stream is read as one, tools, images and a
    prompt that is too long are what the call is about; and without its cap an answer has the
    server's own, which may be as short as 16 tokens.
    """
    if is_bounded(model):
        members = _decode(body)
        for guard in OPTIONAL:
            for error in guard(model, members):
                if error.param is not None:
                    yield error.param


def is_bounded(model: Model) -> bool:
    """Whether anything is known of a model that members of a body could be beyond."""
    return not (
        model.context_window is None
        and model.output_cap is None
        and model.dimensions is None
        and model.capabilities is None
    )


def _caps(model: Model, members: Members) -> Iterator[Error]:
    if model.output_cap is None:
        return
    for name in CAPS:
        if (count(getattr(members, name)) or 0) > model.output_cap:
            yield Error(
                Kind.OUTPUT_CAP_EXCEEDED,
                f"'{name}' is over what this model can write, which is {model.output_cap} tokens.",
                param=name,
                suggestion=f"Ask for {model.output_cap} tokens at most, or leave '{name}' out.",
            )


def _context(model: Model, call: Call, members: Members) -> Error | None:
    window = model.context_window
    if window is None or _has_media(members):
        return None
    least = call.input_bytes // MOST_BYTES
    if least + (call.output_cap or 0) <= window:
        return None
    part = "input" if members.messages is ABSENT else "messages"
    return Error(
        Kind.CONTEXT_EXCEEDED,
        f"This model's context window is {window} tokens. This call has at least {least} in "
        f"its {part}, and asks for up to {call.output_cap or 0} more.",
        param=part,
        suggestion=f"Send a shorter '{part}', or choose a model with a longer context window.",
    )


def _tools(model: Model, members: Members) -> Iterator[Error]:
    for name in ("tools", "functions"):
        raw = getattr(members, name)
        if not is_unsaid(raw) and bytes(raw).strip(b"[ \t\r\n]") and not model.can("tools"):
            yield Error(
                Kind.TOOLS_UNSUPPORTED,
                "This model cannot use tools.",
                param=name,
                suggestion=f"Leave '{name}' out, or choose a model that can use tools.",
            )


def _tool_choice(model: Model, members: Members) -> Iterator[Error]:
    if bytes(members.tool_choice) == b'"required"' and not model.can("tool_choice_required"):
        yield Error(
            Kind.TOOL_CHOICE_UNSUPPORTED,
            "This model cannot be made to use a tool: 'tool_choice' can be 'auto' or 'none'.",
            param="tool_choice",
            suggestion="Say 'auto', and in the prompt that the tool is to be used.",
        )


def _vision(model: Model, members: Members) -> Iterator[Error]:
    if not model.can("vision") and _has_media(members):
        part = "input" if members.messages is ABSENT else "messages"
        yield Error(
            Kind.VISION_UNSUPPORTED,
            "This model cannot see images.",
            param=part,
            suggestion="Describe the image in words, or choose a model that can see.",
        )


def _format(model: Model, members: Members) -> Iterator[Error]:
    for name, raw in (
        ("response_format", members.response_format),
        ("text.format", members.text),
    ):
        found = _KIND(raw)
        if found is not None:
            error = beyond(model, found[1], name)
            if error is not None:
                yield error


def _reasoning(model: Model, members: Members) -> Iterator[Error]:
    if model.can("reasoning"):
        return
    effort = members.reasoning_effort
    if not is_unsaid(effort) and bytes(effort) not in _NO_REASONING:
        yield _no_reasoning("reasoning_effort")
    if b'"effort"' in bytes(members.reasoning):
        yield _no_reasoning("reasoning")


def _no_reasoning(name: str) -> Error:
    return Error(
        Kind.REASONING_UNSUPPORTED,
        "This model does not reason.",
        param=name,
        suggestion=f"Leave '{name}' out, or choose a model that reasons.",
    )


def _dimensions(model: Model, members: Members) -> Iterator[Error]:
    wanted = members.dimensions
    if model.dimensions is None or is_unsaid(wanted) or count(wanted) in model.dimensions:
        return
    known = ", ".join(map(str, model.dimensions))
    yield Error(
        Kind.EMBEDDINGS_DIMENSIONS,
        f"'dimensions' of this model can be {known}.",
        param="dimensions",
    )


def _has_media(members: Members) -> bool:
    return bool(_IMAGE(members.messages) or _IMAGE(members.input))


Guard = Callable[[Model, Members], Iterator[Error]]

GUARDS: tuple[Guard, ...] = (
    _caps,
    _tools,
    _tool_choice,
    _vision,
    _format,
    _reasoning,
    _dimensions,
)
OPTIONAL: tuple[Guard, ...] = (_tool_choice, _reasoning)
