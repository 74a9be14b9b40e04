"""Routing metadata, as a client reads it: who answered a call, at what cost, how fast."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from veneer.sdk.members import member, tellers


class RoutingCost(msgspec.Struct, frozen=True, kw_only=True):
    """What a call cost, in US dollars, and what the prompt cache saved of that."""

    usd: Decimal
    cache_savings_percent: float | None = None
    cache_savings_usd: Decimal | None = None
    hosted_tool_usd: Decimal | None = None

    def __post_init__(self) -> None:
        if not self.usd.is_finite():
            raise ValueError("A cost is a number.")


class RoutingWarning(msgspec.Struct, frozen=True, kw_only=True):
    """What of a request was changed or left out."""

    type: str
    code: str
    message: str


class RoutingMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """How a call was routed.

    `provider` is who answered, `provider_model_id` the model's name there, `model_canonical` its
    name here, `routing_strategy` how the provider was chosen. `ttft_ms` are the milliseconds until
    the first event, of streams only; `throughput_tps` are tokens a second.
    """

    provider: str
    provider_model_id: str
    model_canonical: str
    routing_strategy: str
    cost: RoutingCost | None = None
    ttft_ms: float | None = None
    throughput_tps: float | None = None
    warnings: tuple[RoutingWarning, ...] = ()


_FIELDS = msgspec.structs.fields(RoutingMetadata)
_REQUIRED = frozenset(field.name for field in _FIELDS if field.required)


def parse_routing_metadata(response_or_chunk: object) -> RoutingMetadata | None:
    """Return the routing metadata of an answer, of a chunk or event of a stream, or of plain JSON.

    None where there is none, or where one of the four members that it always has is missing or no
    string. Members that are not known are ignored, and so are known ones that are not as they
    should be: metadata is information, and no reason for a call to fail.
    """
    for teller in tellers(response_or_chunk):
        said = member(teller, "routing_metadata")
        if isinstance(said, Mapping):
            return _converted(said)
    return None


def _converted(said: Mapping[object, object]) -> RoutingMetadata | None:
    known: dict[str, Any] = {}
    for field in _FIELDS:
        value = said.get(field.name)
        if value is None:
            continue
        try:
            known[field.name] = msgspec.convert(value, field.type)
        except msgspec.ValidationError:
            if field.required:
                return None
    return RoutingMetadata(**known) if known.keys() >= _REQUIRED else None
