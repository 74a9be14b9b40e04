"""The member `gateway`: what is taken, what is refused, and where the fault is."""

import json
import math
from itertools import permutations
from typing import Any, get_args

import msgspec
import pytest
from auriko.route_types import GatewayOptions, RoutingOptions
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from veneer.dialects import Kind
from veneer.errors import Error
from veneer.facts import RequestMetadata
from veneer.routing.preferences import (
    NO_PREFERENCES,
    DataPolicy,
    Mode,
    Optimize,
    Percentile,
    Preferences,
    Weights,
)
from veneer.routing.reading import Gateway, preferences_of, read_gateway


def read(gateway: object) -> Gateway | Error:
    return read_gateway(json.dumps(gateway).encode())


def preferred(routing: object, defaults: Preferences = NO_PREFERENCES) -> Preferences:
    found = read({"routing": routing})
    assert isinstance(found, Gateway), found
    return found.over(defaults)


def refused(gateway: object) -> Error:
    found = read(gateway)
    assert isinstance(found, Error), found
    return found


ALL: dict[str, Any] = {
    "optimize": "balanced",
    "weights": {"cost": 1, "ttft": 0.5},
    "max_cost_per_1m": 2.5,
    "max_ttft_ms": 800,
    "min_throughput_tps": 30,
    "ttft_percentile": "p95",
    "throughput_percentile": "p95",
    "providers": ["together", "groq"],
    "exclude_providers": ["slow"],
    "prefer": "groq",
    "mode": "fallback",
    "allow_fallbacks": False,
    "max_fallback_attempts": 19,
    "timeout_ms": 1000,
    "deadline_ms": 1000,
    "data_policy": "zdr",
    "only_byok": True,
    "only_platform": False,
    "require_parameters": True,
    "tier": "priority",
}


def test_all_twenty_members_are_read() -> None:
    assert preferred(ALL) == Preferences(
        optimize="balanced",
        weights=Weights(cost=1.0, ttft=0.5),
        max_cost_per_1m=2.5,
        max_ttft_ms=800,
        min_throughput_tps=30.0,
        ttft_percentile="p95",
        throughput_percentile="p95",
        providers=frozenset({"together", "groq"}),
        exclude_providers=frozenset({"slow"}),
        prefer="groq",
        mode="fallback",
        allow_fallbacks=False,
        max_fallback_attempts=19,
        timeout_ms=1000,
        deadline_ms=1000,
        data_policy="zdr",
        only_byok=True,
        require_parameters=True,
        tier="priority",
    )
    assert set(ALL) == set(RoutingOptions.model_fields)


def test_its_own_client_says_the_same() -> None:
    options = GatewayOptions(routing=RoutingOptions(**ALL), models=["a", "b"])
    found = read(options.to_extra_body()["gateway"])
    assert isinstance(found, Gateway)
    assert found.over(NO_PREFERENCES) == msgspec.structs.replace(preferred(ALL), models=("a", "b"))


@pytest.mark.parametrize("gateway", [None, {}, {"routing": None}, {"routing": {}, "models": None}])
def test_nothing_said_is_nothing(gateway: object) -> None:
    assert read(gateway) == Gateway(said={})


@pytest.mark.parametrize("member", ALL)
def test_null_counts_as_absent(member: str) -> None:
    assert preferred({member: None}) == NO_PREFERENCES


def test_what_is_said_of_the_request_is_read() -> None:
    metadata = {"tags": ["a", "b"], "user_id": "u", "trace_id": "t", "custom_fields": {"k": "v\n"}}
    found = read({"metadata": metadata})
    assert isinstance(found, Gateway)
    assert found.metadata == RequestMetadata(
        tags=("a", "b"), user_id="u", trace_id="t", custom_fields={"k": "v\n"}
    )


@pytest.mark.parametrize(
    ("gateway", "param", "near"),
    [
        ({"routing": {"optimise": "cost"}}, "gateway.routing.optimise", "gateway.routing.optimize"),
        ({"routin": {}}, "gateway.routin", "gateway.routing"),
        ({"optimize": "cost"}, "gateway.optimize", "gateway.routing.optimize"),
        ({"tags": []}, "gateway.tags", "gateway.metadata.tags"),
        ({"routing": {"weights": {"ttfb": 1}}}, "gateway.routing.weights.ttfb", None),
        ({"metadata": {"user": "u"}}, "gateway.metadata.user", "gateway.metadata.user_id"),
        ({"zzz": None}, "gateway.zzz", None),
        ({"routing": {"x" * 10_000: 1}}, f"gateway.routing.{'x' * 64}", None),
    ],
)
def test_members_that_there_are_not_are_named(
    gateway: object, param: str, near: str | None
) -> None:
    error = refused(gateway)
    assert (error.kind, error.param) == (Kind.UNKNOWN_PARAMETER, param)
    if near is not None:
        assert error.suggestion == f"Did you mean '{near}'?"
        assert error.message.endswith(error.suggestion)


@pytest.mark.parametrize("gateway", [[], "a", 1, True, {"routing": []}, {"metadata": "a"}])
def test_what_is_no_object_is_refused(gateway: object) -> None:
    error = refused(gateway)
    assert error.kind is Kind.INVALID_TYPE
    assert error.message.endswith("must be an object.")


@pytest.mark.parametrize(
    ("routing", "member", "kind"),
    [
        ({"optimize": "cheap"}, "optimize", Kind.INVALID_VALUE),
        ({"optimize": 1}, "optimize", Kind.INVALID_TYPE),
        ({"weights": {"cost": -1}}, "weights.cost", Kind.OUT_OF_RANGE),
        ({"weights": {"cost": True}}, "weights.cost", Kind.INVALID_TYPE),
        ({"weights": {"cost": "1"}}, "weights.cost", Kind.INVALID_TYPE),
        ({"weights": {"cost": 0, "ttft": 0.0}}, "weights", Kind.INVALID_VALUE),
        ({"weights": {}}, "weights", Kind.INVALID_VALUE),
        ({"weights": [1]}, "weights", Kind.INVALID_TYPE),
        ({"max_cost_per_1m": 0}, "max_cost_per_1m", Kind.OUT_OF_RANGE),
        ({"max_cost_per_1m": -0.0}, "max_cost_per_1m", Kind.OUT_OF_RANGE),
        ({"max_cost_per_1m": 10**400}, "max_cost_per_1m", Kind.OUT_OF_RANGE),
        ({"max_ttft_ms": 0}, "max_ttft_ms", Kind.OUT_OF_RANGE),
        ({"max_ttft_ms": 1.0}, "max_ttft_ms", Kind.INVALID_TYPE),
        ({"max_ttft_ms": True}, "max_ttft_ms", Kind.INVALID_TYPE),
        ({"max_ttft_ms": 10**30}, "max_ttft_ms", Kind.OUT_OF_RANGE),
        ({"min_throughput_tps": "fast"}, "min_throughput_tps", Kind.INVALID_TYPE),
        ({"ttft_percentile": "p99"}, "ttft_percentile", Kind.INVALID_VALUE),
        ({"providers": []}, "providers", Kind.INVALID_VALUE),
        ({"providers": "groq"}, "providers", Kind.INVALID_TYPE),
        ({"providers": ["a", 1]}, "providers", Kind.INVALID_TYPE),
        ({"providers": [""]}, "providers", Kind.INVALID_VALUE),
        ({"exclude_providers": ["a\n"]}, "exclude_providers", Kind.INVALID_VALUE),
        ({"exclude_providers": ["a"] * 101}, "exclude_providers", Kind.INVALID_VALUE),
        ({"prefer": ""}, "prefer", Kind.INVALID_VALUE),
        ({"prefer": ["a"]}, "prefer", Kind.INVALID_TYPE),
        ({"mode": "both"}, "mode", Kind.INVALID_VALUE),
        ({"allow_fallbacks": 1}, "allow_fallbacks", Kind.INVALID_TYPE),
        ({"allow_fallbacks": "true"}, "allow_fallbacks", Kind.INVALID_TYPE),
        ({"max_fallback_attempts": 0}, "max_fallback_attempts", Kind.OUT_OF_RANGE),
        ({"max_fallback_attempts": 20}, "max_fallback_attempts", Kind.OUT_OF_RANGE),
        ({"timeout_ms": -5}, "timeout_ms", Kind.OUT_OF_RANGE),
        ({"timeout_ms": 10, "deadline_ms": 9}, "deadline_ms", Kind.INVALID_VALUE),
        ({"data_policy": "strict"}, "data_policy", Kind.INVALID_VALUE),
        ({"only_byok": True, "only_platform": True}, "only_platform", Kind.INVALID_VALUE),
        ({"require_parameters": 0}, "require_parameters", Kind.INVALID_TYPE),
        ({"tier": "x" * 201}, "tier", Kind.INVALID_VALUE),
    ],
)
def test_wrong_values_are_refused_at_their_path(routing: Any, member: str, kind: Kind) -> None:
    error = refused({"routing": routing})
    assert (error.kind, error.param) == (kind, f"gateway.routing.{member}")
    assert kind is Kind.INVALID_VALUE or member in error.message


@pytest.mark.parametrize(
    ("gateway", "param"),
    [
        ({"models": []}, "gateway.models"),
        ({"models": ["a"] * 21}, "gateway.models"),
        ({"models": "a"}, "gateway.models"),
        ({"models": [1]}, "gateway.models"),
        ({"models": [""]}, "gateway.models"),
        ({"models": ["x" * 513]}, "gateway.models"),
        ({"models": ["a\x00"]}, "gateway.models"),
        ({"metadata": {"tags": ["x" * 129]}}, "gateway.metadata.tags"),
        ({"metadata": {"tags": ["x"] * 51}}, "gateway.metadata.tags"),
        ({"metadata": {"tags": {"a": 1}}}, "gateway.metadata.tags"),
        ({"metadata": {"user_id": 5}}, "gateway.metadata.user_id"),
        ({"metadata": {"trace_id": "a\nb"}}, "gateway.metadata.trace_id"),
        ({"metadata": {"custom_fields": {"a": 1}}}, "gateway.metadata.custom_fields"),
        ({"metadata": {"custom_fields": {"a": "x" * 513}}}, "gateway.metadata.custom_fields"),
        ({"metadata": {"custom_fields": {"": "x"}}}, "gateway.metadata.custom_fields"),
        (
            {"metadata": {"custom_fields": {str(n): "x" for n in range(51)}}},
            "gateway.metadata.custom_fields",
        ),
    ],
)
def test_models_and_metadata_are_bounded(gateway: object, param: str) -> None:
    assert refused(gateway).param == param


def test_a_word_that_is_nearly_right_is_suggested() -> None:
    assert refused({"routing": {"optimize": "Cost"}}).suggestion == "Did you mean 'cost'?"
    assert refused({"routing": {"data_policy": "no-training"}}).suggestion == (
        "Did you mean 'no_training'?"
    )


@pytest.mark.parametrize(
    ("text", "param"),
    [
        (b'{"routing":{"max_cost_per_1m":1e999}}', "gateway.routing.max_cost_per_1m"),
        (b'{"routing":{"max_ttft_ms":1e999}}', "gateway.routing.max_ttft_ms"),
        (b'{"routing":{"max_ttft_ms":%b}}' % (b"9" * 5000), "gateway.routing.max_ttft_ms"),
        (b'{"routing":{"weights":{"cost":1e999}}}', "gateway.routing.weights.cost"),
        (b'{"routing":{"tier":"a","tier":"b"}}', "gateway.routing.tier"),
        (b'{"routing":{},"routing":{}}', "gateway.routing"),
        (b'{"routing":{"prefer":"\\ud800"}}', "gateway.routing.prefer"),
        (b'{"models":["\\ud800"]}', "gateway.models"),
    ],
)
def test_what_only_text_can_say_is_refused_too(text: bytes, param: str) -> None:
    found = read_gateway(text)
    assert isinstance(found, Error)
    assert found.param == param


def test_defaults_count_where_nothing_is_said() -> None:
    defaults = Preferences(optimize="tps", data_policy="zdr", timeout_ms=500)
    found = preferred({"optimize": "cost"}, defaults)
    assert found == Preferences(optimize="cost", data_policy="zdr", timeout_ms=500)


@pytest.mark.parametrize(
    ("defaults", "routing", "expected"),
    [
        (Preferences(weights=Weights(cost=1)), {"optimize": "tps"}, Preferences(optimize="tps")),
        (
            Preferences(only_platform=True),
            {"only_byok": True},
            Preferences(only_byok=True),
        ),
        (
            Preferences(only_byok=True),
            {"only_platform": True},
            Preferences(only_platform=True),
        ),
        (
            Preferences(timeout_ms=500),
            {"deadline_ms": 100},
            Preferences(timeout_ms=100, deadline_ms=100),
        ),
        (
            Preferences(deadline_ms=500),
            {"timeout_ms": 900},
            Preferences(timeout_ms=900, deadline_ms=900),
        ),
    ],
)
def test_a_default_gives_way_to_what_contradicts_it(
    defaults: Preferences, routing: Any, expected: Preferences
) -> None:
    assert preferred(routing, defaults) == expected


def test_an_operators_defaults_are_read_by_the_same_rules() -> None:
    assert preferences_of(ALL) == preferred(ALL)
    with pytest.raises(ValueError, match=r"^'max_ttft_ms' must be a whole number of milliseconds"):
        preferences_of({"max_ttft_ms": 0})
    with pytest.raises(ValueError, match="Did you mean 'optimize'"):
        preferences_of({"optimise": "cost"})


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "optimize": st.sampled_from(get_args(Optimize)),
    "weights": st.dictionaries(
        st.sampled_from(Weights.__struct_fields__), st.floats(0, 1e12), min_size=1
    ),
    "max_cost_per_1m": st.floats(0, 1e12),
    "max_ttft_ms": st.integers(-1, 10**10),
    "min_throughput_tps": st.floats(allow_infinity=False, allow_nan=False),
    "ttft_percentile": st.sampled_from(get_args(Percentile)),
    "providers": st.lists(st.text(max_size=5), max_size=3),
    "prefer": st.text(max_size=5),
    "mode": st.sampled_from(get_args(Mode)),
    "max_fallback_attempts": st.integers(0, 20),
    "timeout_ms": st.integers(1, 50),
    "deadline_ms": st.integers(1, 50),
    "data_policy": st.sampled_from(get_args(DataPolicy)),
    "only_byok": st.booleans(),
    "only_platform": st.booleans(),
}
ROUTINGS = st.fixed_dictionaries({}, optional=VALUES)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
NAMES = st.sampled_from(["routing", "metadata", "models", *ALL, "tags", "custom_fields"])
GATEWAYS = st.dictionaries(NAMES, st.dictionaries(NAMES, ANYTHING) | ANYTHING)


def check(found: Preferences) -> None:
    """Look at what every preference promises to whoever goes by it."""
    weights = found.weights
    if weights is not None:
        shares = msgspec.structs.astuple(weights)
        assert all(math.isfinite(share) and share >= 0 for share in shares)
        assert any(share > 0 for share in shares)
    for number in (found.max_cost_per_1m, found.min_throughput_tps):
        assert number is None or (math.isfinite(number) and number > 0)
    for milliseconds in (found.max_ttft_ms, found.timeout_ms, found.deadline_ms):
        assert milliseconds is None or (type(milliseconds) is int and 0 < milliseconds <= 10**9)
    if found.timeout_ms is not None and found.deadline_ms is not None:
        assert found.timeout_ms <= found.deadline_ms
    assert not (found.only_byok and found.only_platform)
    assert found.providers is None or found.providers
    assert found.max_fallback_attempts is None or 1 <= found.max_fallback_attempts <= 19
    assert len(found.models) <= 20
    # Every member is of its declared type.
    assert msgspec.convert(msgspec.to_builtins(found), Preferences) == found


@given(ROUTINGS, ROUTINGS)
def test_whatever_is_taken_is_valid_also_above_any_defaults(below: Any, said: Any) -> None:
    defaults, found = read({"routing": below}), read({"routing": said})
    if isinstance(found, Gateway):
        check(found.over(NO_PREFERENCES))
        if isinstance(defaults, Gateway):
            check(found.over(defaults.over(NO_PREFERENCES)))


@given(ROUTINGS)
def test_what_its_own_client_refuses_is_refused(said: Any) -> None:
    """We are stricter in bounds only: names that nobody could show, numbers beyond all use."""
    try:
        RoutingOptions(**said)
    except ValidationError:
        refused({"routing": said})


@given(GATEWAYS)
def test_nothing_makes_it_raise(gateway: Any) -> None:
    found = read(gateway)
    if isinstance(found, Gateway):
        check(found.over(NO_PREFERENCES))
    else:
        assert found.param is not None
        assert found.param.startswith("gateway")


@given(st.binary())
def test_nor_does_what_is_no_json(text: bytes) -> None:
    assert isinstance(read_gateway(text), Gateway | Error)


@given(ROUTINGS, st.randoms(use_true_random=False))
def test_the_order_of_members_does_not_matter(said: dict[str, Any], random: Any) -> None:
    items = list(said.items())
    random.shuffle(items)
    found, other = read({"routing": said}), read({"routing": dict(items)})
    assert isinstance(found, Gateway) == isinstance(other, Gateway)
    if isinstance(found, Gateway):
        assert found == other


def test_nor_does_that_of_the_outer_ones() -> None:
    parts = {"routing": {"tier": "a"}, "metadata": {"user_id": "u"}, "models": ["a"]}
    found = [read(dict(order)) for order in permutations(parts.items())]
    assert all(each == found[0] for each in found)
