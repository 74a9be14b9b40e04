"""Preferences: what a client says of how its call is to be routed."""

from typing import Literal

import msgspec

from veneer.facts import RequestFact

Optimize = Literal["cost", "cost-focus", "ttft", "ttft-focus", "tps", "tps-focus", "balanced"]
Percentile = Literal["p50", "p95"]
Mode = Literal["pool", "fallback"]
DataPolicy = Literal["none", "no_training", "zdr"]


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """How much each measure counts; none is negative, and one is positive."""

    cost: float = 0.0
    ttft: float = 0.0
    throughput: float = 0.0


class Preferences(RequestFact, frozen=True, kw_only=True):
    """What a client says of routing; the members are those of Auriko's `gateway.routing`.

    `optimize` is what counts, unless there are `weights`. `max_cost_per_1m` is in dollars, the mean
    of the prices of a million tokens of input and of output; `max_ttft_ms` bounds the time to the
    first event and `min_throughput_tps` the tokens a second, each by the percentile that is said of
    it. Of the providers only those in `providers` are asked, none in `exclude_providers`, and
    `prefer` first where it fits. With `mode` `fallback` the `models` are tried in their order, with
    `pool` all count alike. Without `allow_fallbacks` nobody is asked after the first; else at most
    `max_fallback_attempts` are. `timeout_ms` is how long one may take to its first event,
    `deadline_ms` how long all may together. `data_policy` is the least that a provider promises.
    With `only_byok` only the caller's own keys count, with `only_platform` only the operator's.
    With `require_parameters` only targets that know all members of the call are asked. `tier` is
    the service tier that an offer must be of.

    `models` are what the call may be answered by, as the catalog knows them; empty: its own model.
    """

    optimize: Optimize | None = None
    weights: Weights | None = None
    max_cost_per_1m: float | None = None
    max_ttft_ms: int | None = None
    min_throughput_tps: float | None = None
    ttft_percentile: Percentile = "p50"
    throughput_percentile: Percentile = "p50"
    providers: frozenset[str] | None = None
    exclude_providers: frozenset[str] = frozenset()
    prefer: str | None = None
    mode: Mode = "pool"
    allow_fallbacks: bool = True
    max_fallback_attempts: int | None = None
    timeout_ms: int | None = None
    deadline_ms: int | None = None
    data_policy: DataPolicy = "none"
    only_byok: bool = False
    only_platform: bool = False
    require_parameters: bool = False
    tier: str | None = None
    models: tuple[str, ...] = ()


NO_PREFERENCES = Preferences()
