"""Needs: what a call uses that a target may not have."""

from collections.abc import Sequence
from types import MappingProxyType

from veneer.catalog.model import Capability
from veneer.dialects import Kind
from veneer.routing.constraint import Constraint, Pair, routing
from veneer.routing.offers import Offers
from veneer.routing.plan import Ask

# What is refused where nobody can do it, and the member that asks for it.
GUARDS = MappingProxyType[Capability, tuple[Kind, str, str]](
    {
        "tools": (Kind.TOOLS_UNSUPPORTED, "tools", "use tools"),
        "tool_choice_required": (
            Kind.TOOL_CHOICE_UNSUPPORTED,
            "tool_choice",
            "be made to use a tool",
        ),
        "vision": (Kind.VISION_UNSUPPORTED, "messages", "see images"),
        "json_object": (Kind.JSON_MODE_UNSUPPORTED, "response_format", "be held to JSON"),
        "json_schema": (
            Kind.JSON_SCHEMA_UNSUPPORTED,
            "response_format",
            "be held to a JSON schema",
        ),
        "reasoning": (Kind.REASONING_UNSUPPORTED, "reasoning_effort", "reason"),
        "streaming": (Kind.STREAMING_UNSUPPORTED, "stream", "stream its answers"),
        "embeddings_batch": (Kind.EMBEDDINGS_BATCH, "input", "take several texts a call"),
    }
)

# The tokens of the input are an estimate: a text may have so many times fewer.
MOST_OVERESTIMATED = 2


def needs(ask: Ask, offers: Offers) -> list[Constraint]:
    """Return what a call needs: capabilities, room, and targets that know its members."""
    found = []
    if not ask.needs <= offers.capabilities:
        found += [_capability(each) for each in GUARDS if each in ask.needs]
    cap = ask.output_cap or 0
    least = ask.input_tokens // MOST_OVERESTIMATED + cap
    if least > offers.context_window:
        found.append(_window(least))
    if cap > offers.output_cap:
        found.append(_cap(cap))
    if ask.preferences.require_parameters:
        found.append(_parameters(ask.parameters))
    return found


def _capability(needed: Capability) -> Constraint:
    kind, param, deed = GUARDS[needed]
    return Constraint(
        lambda pair: pair[0].capabilities is None or needed in pair[0].capabilities,
        kind,
        f"No provider that could serve this call has a model that can {deed}.",
        param,
    )


def _window(least: int) -> Constraint:
    def keeps(pair: Pair) -> bool:
        window = pair[0].context_window
        return window is None or least <= window

    def suggest(nearest: Sequence[Pair]) -> str:
        return f"The largest context window on offer is {_most(nearest, 'context_window')} tokens."

    return Constraint(
        keeps,
        Kind.CONTEXT_EXCEEDED,
        f"This call needs at least {least} tokens of context, which no provider has.",
        None,
        suggest,
    )


def _cap(cap: int) -> Constraint:
    def keeps(pair: Pair) -> bool:
        most = pair[0].output_cap
        return most is None or cap <= most

    def suggest(nearest: Sequence[Pair]) -> str:
        return f"The most on offer are {_most(nearest, 'output_cap')} tokens."

    return Constraint(
        keeps,
        Kind.OUTPUT_CAP_EXCEEDED,
        f"No provider that could serve this call writes {cap} tokens.",
        None,
        suggest,
    )


def _most(nearest: Sequence[Pair], name: str) -> int:
    return max(getattr(offer, name) or 0 for offer, _ in nearest)


def _parameters(parameters: frozenset[str]) -> Constraint:
    def suggest(nearest: Sequence[Pair]) -> str:
        unknown = min(
            (sorted(offer.unknown_parameters & parameters) for offer, _ in nearest),
            key=lambda names: (len(names), names),
        )
        return f"Leave out {', '.join(map(repr, unknown))}."

    return Constraint(
        lambda pair: pair[0].unknown_parameters.isdisjoint(parameters),
        Kind.ROUTE_PARAMETERS,
        "No provider that could serve this call knows all of its parameters.",
        routing("require_parameters"),
        suggest,
    )
