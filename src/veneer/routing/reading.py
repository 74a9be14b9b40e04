"""Reading: a call's member `gateway`, as preferences and metadata, or as the error that it gets."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, get_args

import msgspec

from veneer.dialects import Kind
from veneer.errors import Error
from veneer.facts import RequestMetadata
from veneer.routing.preferences import DataPolicy, Mode, Optimize, Percentile, Preferences, Weights
from veneer.routing.rules import (
    MOST_ATTEMPTS,
    MOST_MS,
    MOST_NAMES,
    RefusedError,
    Rule,
    choice,
    fields,
    flag,
    members,
    name,
    names,
    positive,
    refused,
    weight,
    whole,
)

GATEWAY = "gateway"
ROUTING = "gateway.routing"
METADATA = "gateway.metadata"
MODELS = "gateway.models"

# Models that a call may be answered by; and characters of the name of one, as in `veneer.call`.
MOST_MODELS = 20
LONGEST_MODEL = 512

_milliseconds = whole(MOST_MS, "whole number of milliseconds")
_percentile = choice(*get_args(Percentile))

_WEIGHTS: Mapping[str, Rule] = MappingProxyType(dict.fromkeys(Weights.__struct_fields__, weight))


def _weights(text: bytes, path: str) -> Weights:
    weights = Weights(**members(text, path, _WEIGHTS))
    if not any(msgspec.structs.astuple(weights)):
        raise refused(
            Kind.INVALID_VALUE, path, f"'{path}' weighs nothing: one of them must be above 0."
        )
    return weights


_ROUTING: Mapping[str, Rule] = MappingProxyType(
    {
        "optimize": choice(*get_args(Optimize)),
        "weights": _weights,
        "max_cost_per_1m": positive,
        "max_ttft_ms": _milliseconds,
        "min_throughput_tps": positive,
        "ttft_percentile": _percentile,
        "throughput_percentile": _percentile,
        "providers": names(least=1, most=MOST_NAMES),
        "exclude_providers": names(least=0, most=MOST_NAMES),
        "prefer": name(),
        "mode": choice(*get_args(Mode)),
        "allow_fallbacks": flag,
        "max_fallback_attempts": whole(MOST_ATTEMPTS),
        "timeout_ms": _milliseconds,
        "deadline_ms": _milliseconds,
        "data_policy": choice(*get_args(DataPolicy)),
        "only_byok": flag,
        "only_platform": flag,
        "require_parameters": flag,
        "tier": name(),
    }
)

_METADATA: Mapping[str, Rule] = MappingProxyType(
    {
        "tags": names(least=0, most=50, longest=128),
        "user_id": name(256),
        "trace_id": name(256),
        "custom_fields": fields(most=50, longest_name=64, longest=512),
    }
)


def _routing(text: bytes, path: str) -> dict[str, Any]:
    said = members(text, path, _ROUTING)
    if said.get("only_byok") and said.get("only_platform"):
        raise refused(
            Kind.INVALID_VALUE,
            f"{path}.only_platform",
            "'only_byok' and 'only_platform' exclude each other: say one of them.",
        )
    if said.get("deadline_ms", MOST_MS) < said.get("timeout_ms", 0):
        raise refused(
            Kind.INVALID_VALUE,
            f"{path}.deadline_ms",
            "'deadline_ms' is for all tries together, and cannot be less than 'timeout_ms', which "
            "is for one.",
        )
    for key in ("providers", "exclude_providers"):
        if key in said:
            said[key] = frozenset(said[key])
    return said


def _metadata(text: bytes, path: str) -> RequestMetadata:
    return RequestMetadata(**members(text, path, _METADATA))


_GATEWAY: Mapping[str, Rule] = MappingProxyType(
    {
        "routing": _routing,
        "metadata": _metadata,
        "models": names(least=1, most=MOST_MODELS, longest=LONGEST_MODEL),
    }
)

# What stands one level too high, where calls had it before there was a `gateway`, or by mistake.
_ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        key: f"{path}.{key}"
        for path, rules in ((METADATA, _METADATA), (ROUTING, _ROUTING))
        for key in rules
    }
)


class Gateway(msgspec.Struct, frozen=True, kw_only=True):
    """What a call says in `gateway`: members of its preferences, by their names, and metadata."""

    said: Mapping[str, Any] = {}
    metadata: RequestMetadata | None = None

    def over(self, defaults: Preferences) -> Preferences:
        """Return what is said, and the defaults for the rest.

        A default that contradicts what is said gives way.
        """
        if not self.said:
            return defaults
        said = dict(self.said)
        if "optimize" in said:
            said.setdefault("weights", None)
        if said.get("only_byok"):
            said["only_platform"] = False
        elif said.get("only_platform"):
            said["only_byok"] = False
        found = msgspec.structs.replace(defaults, **said)
        timeout, deadline = found.timeout_ms, found.deadline_ms
        if timeout is not None and deadline is not None and deadline < timeout:
            both = deadline if "deadline_ms" in said else timeout
            found = msgspec.structs.replace(found, timeout_ms=both, deadline_ms=both)
        return found


def read_gateway(text: bytes) -> Gateway | Error:
    """Return what the JSON text of the member says, or the error that the call gets.

    Members that are null count as absent. Those that there are not are refused, as are those that
    contradict each other.
    """
    if text == b"null":
        return Gateway()
    try:
        found = members(text, GATEWAY, _GATEWAY, _ELSEWHERE)
    except RefusedError as error:
        return error.error
    said = found.get("routing", {})
    if "models" in found:
        said = {**said, "models": found["models"]}
    return Gateway(said=said, metadata=found.get("metadata"))


def preferences_of(members_of_routing: Mapping[str, Any]) -> Preferences:
    """Return the preferences that members of `gateway.routing` say, for an operator's defaults.

    Raises ValueError as a call would be refused.
    """
    read = read_gateway(msgspec.json.encode({"routing": members_of_routing}))
    if isinstance(read, Error):
        raise ValueError(read.message.replace(f"{ROUTING}.", ""))  # noqa: TRY004 - a setting
    return read.over(Preferences())
