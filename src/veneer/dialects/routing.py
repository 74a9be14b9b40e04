"""Routing metadata: how a call was routed, as a member of its answer.

Auriko's client refuses an answer whole whose metadata is not as it expects: what it requires is
always there, and a warning is of one of the types that it knows.
"""

from typing import Literal, get_args

import msgspec

from veneer.prices import money

Strategy = Literal[
    "cost", "cost-focus", "ttft", "ttft-focus", "tps", "tps-focus", "balanced", "custom"
]
# How a target is chosen, where nobody says otherwise: Auriko's default.
STRATEGY: Strategy = "cost-focus"
STRATEGIES = frozenset[str](get_args(Strategy))

WarningType = Literal[
    "unsupported_parameter",
    "unsupported_feature",
    "unsupported_field",
    "ignored_extension",
    "unknown_provider",
    "blocked_field",
    "provider_timeout",
]


class Warned(msgspec.Struct, frozen=True):
    """What of a request was changed or left out, as its client is told."""

    type: WarningType
    code: str
    message: str


class Routing(msgspec.Struct, frozen=True, kw_only=True):
    """How a call was routed.

    `provider` is who answered, `model` its name there, `canonical` its name here. `cost` is in
    picodollars, None where it has no price; `first` the seconds until the first event of a stream,
    `throughput` the tokens of output a second after it.
    """

    provider: str
    model: str
    canonical: str
    strategy: Strategy = STRATEGY
    cost: int | None = None
    first: float | None = None
    throughput: float | None = None
    warnings: tuple[Warned, ...] = ()


def auriko_metadata(routing: Routing) -> bytes:
    """Return Auriko's member, with the cost in dollars and the time in milliseconds."""
    members: dict[str, object] = {
        "provider": routing.provider,
        "provider_model_id": routing.model,
        "model_canonical": routing.canonical,
        "routing_strategy": routing.strategy,
    }
    if routing.cost is not None:
        members["cost"] = {"usd": msgspec.Raw(money.shown(routing.cost).encode())}
    if routing.first is not None:
        members["ttft_ms"] = round(routing.first * 1000, 1)
    if routing.throughput is not None:
        members["throughput_tps"] = round(routing.throughput, 1)
    members["warnings"] = routing.warnings
    return b'"routing_metadata":%b' % msgspec.json.encode(members)
