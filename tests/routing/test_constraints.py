"""Which offers may serve a call, and what is said where none may."""

import re
from typing import Any

import pytest

from tests.routing.offering import asked, offer, planned, price, reading, spread, targets, unfit
from veneer.catalog.model import CAPABILITIES
from veneer.dialects import Kind
from veneer.prices.price import Price
from veneer.routing.needs import GUARDS
from veneer.routing.plan import Offer, Reading
from veneer.routing.preferences import Preferences


def wanting(**members: Any) -> Preferences:
    return Preferences(**members)


KEPT: list[tuple[Preferences, list[Offer], list[Reading], list[str]]] = [
    (wanting(providers=frozenset("b")), [offer("a"), offer("b")], [], ["b"]),
    (wanting(exclude_providers=frozenset("a")), [offer("a"), offer("b")], [], ["b"]),
    (wanting(tier="priority"), [offer("a"), offer("b", tier="priority")], [], ["b"]),
    (
        wanting(data_policy="no_training"),
        [offer("a"), offer("b", data_policy="no_training"), offer("c", data_policy="zdr")],
        [],
        ["b", "c"],
    ),
    (
        wanting(data_policy="zdr"),
        [offer("a", data_policy="no_training"), offer("b", data_policy="zdr")],
        [],
        ["b"],
    ),
    (
        wanting(max_cost_per_1m=1.5),
        [offer("a", 1.5), offer("b", 1.51), offer("c", None)],
        [],
        ["a", "c"],
    ),
    (
        wanting(max_cost_per_1m=2.0),
        [offer("a", price=price(1, 3)), offer("b", price=price(1, 3.01))],
        [],
        ["a"],
    ),
    (
        wanting(max_ttft_ms=500),
        [offer(name) for name in "abcd"],
        [reading(0.5), reading(0.51), reading(), reading(9.0, age=301.0)],
        ["a", "c", "d"],
    ),
    (
        wanting(min_throughput_tps=50),
        [offer(name) for name in "abc"],
        [reading(tps=50), reading(tps=49.9), reading()],
        ["a", "c"],
    ),
    (
        wanting(require_parameters=True),
        [
            offer("a", unknown_parameters=frozenset(["seed"])),
            offer("b", unknown_parameters=frozenset(["user"])),
        ],
        [],
        ["b"],
    ),
    (
        wanting(only_byok=True),
        [offer("a", own_keys=True), offer("b"), offer("c", own_keys=True)],
        [],
        ["a"],
    ),
    (
        wanting(only_platform=True),
        [offer("a", own_keys=True, platform=False), offer("b")],
        [],
        ["b"],
    ),
    (
        wanting(),
        [offer("a", platform=False, own_keys=True), offer("c", platform=False, own_keys=True)],
        [],
        ["a"],
    ),
]


@pytest.mark.parametrize(("preferences", "offers", "readings", "kept"), KEPT)
def test_only_offers_that_keep_what_is_wanted_are_asked(
    preferences: Preferences, offers: list[Offer], readings: list[Reading], kept: list[str]
) -> None:
    ask = asked(preferences, parameters=frozenset(["seed"]), own_keys=frozenset(["a", "b"]))
    assert sorted(targets(planned(ask, offers, readings or None))) == kept


def test_a_bound_goes_by_the_percentile_that_is_said_of_it() -> None:
    slow_at_worst = Reading(ttft=spread(0.2, 2.0), throughput=spread(80.0, 20.0), seen=-1.0)
    offers = [offer("a"), offer("b")]
    readings = [slow_at_worst, reading(0.4, 60.0)]
    for bound in ({"max_ttft_ms": 1000}, {"min_throughput_tps": 50}):
        assert len(targets(planned(asked(wanting(**bound)), offers, readings))) == 2
    at_worst = wanting(max_ttft_ms=1000, ttft_percentile="p95")
    assert targets(planned(asked(at_worst), offers, readings)) == ["b"]
    at_worst = wanting(min_throughput_tps=50, throughput_percentile="p95")
    assert targets(planned(asked(at_worst), offers, readings)) == ["b"]


REFUSED: list[tuple[Preferences, Offer, Reading, Kind, str | None, str]] = [
    (
        wanting(providers=frozenset(["z"])),
        offer("a"),
        reading(),
        Kind.ROUTE_PROVIDERS,
        "providers",
        "It is offered by 'a'.",
    ),
    (
        wanting(exclude_providers=frozenset(["a"])),
        offer("a"),
        reading(),
        Kind.ROUTE_EXCLUDED,
        "exclude_providers",
        "It is offered by 'a'.",
    ),
    (
        wanting(only_byok=True),
        offer("a"),
        reading(),
        Kind.ROUTE_OWN_KEYS,
        "only_byok",
        "Leave out 'only_byok'.",
    ),
    (
        wanting(only_byok=True),
        offer("a", own_keys=True),
        reading(),
        Kind.ROUTE_OWN_KEYS,
        "only_byok",
        "Give one for 'a'.",
    ),
    (
        wanting(),
        offer("a", platform=False, own_keys=True),
        reading(),
        Kind.ROUTE_OWN_KEYS,
        None,
        "Give one for 'a'.",
    ),
    (
        wanting(),
        offer("a", platform=False),
        reading(),
        Kind.ROUTE_OWN_KEYS,
        None,
        "None of them takes any.",
    ),
    (
        wanting(only_platform=True),
        offer("a", platform=False, own_keys=True),
        reading(),
        Kind.ROUTE_PLATFORM_KEYS,
        "only_platform",
        "Leave out 'only_platform', and give a key of your own.",
    ),
    (
        wanting(tier="flex"),
        offer("a"),
        reading(),
        Kind.ROUTE_NONE,
        "tier",
        "Leave out 'tier': there is only one.",
    ),
    (
        wanting(tier="flex"),
        offer("a", tier="priority"),
        reading(),
        Kind.ROUTE_NONE,
        "tier",
        "There is 'priority'.",
    ),
    (
        wanting(data_policy="zdr"),
        offer("a", data_policy="no_training"),
        reading(),
        Kind.ROUTE_NONE,
        "data_policy",
        "The strictest that fits promises 'no_training'.",
    ),
    (
        wanting(require_parameters=True),
        offer("a", unknown_parameters=frozenset(["seed", "user"])),
        reading(),
        Kind.ROUTE_PARAMETERS,
        "require_parameters",
        "Leave out 'seed'.",
    ),
    (
        wanting(max_cost_per_1m=0.5),
        offer("a", 0.6),
        reading(),
        Kind.ROUTE_COST,
        "max_cost_per_1m",
        "The cheapest that fits costs $0.60 per 1M tokens.",
    ),
    (
        wanting(max_cost_per_1m=0.5),
        offer("a", price=Price(input=10**12, output=10**12 + 1)),
        reading(),
        Kind.ROUTE_COST,
        "max_cost_per_1m",
        "The cheapest that fits costs $1.0000000000005 per 1M tokens.",
    ),
    (
        wanting(max_ttft_ms=500),
        offer("a"),
        reading(0.8501),
        Kind.ROUTE_LATENCY,
        "max_ttft_ms",
        "The quickest that fits takes 851 ms (p50).",
    ),
    (
        wanting(min_throughput_tps=50),
        offer("a"),
        reading(tps=42.19),
        Kind.ROUTE_THROUGHPUT,
        "min_throughput_tps",
        "The quickest that fits writes 42.1 tokens a second (p50).",
    ),
    (
        wanting(min_throughput_tps=50),
        offer("a"),
        reading(tps=0.05),
        Kind.ROUTE_THROUGHPUT,
        "min_throughput_tps",
        "The quickest that fits writes 0.05 tokens a second (p50).",
    ),
]


@pytest.mark.parametrize(("preferences", "only", "now", "kind", "param", "suggestion"), REFUSED)
def test_what_nobody_keeps_is_refused_with_what_would_do(  # noqa: PLR0917, PLR0913 - a table
    preferences: Preferences,
    only: Offer,
    now: Reading,
    kind: Kind,
    param: str | None,
    suggestion: str,
) -> None:
    found = unfit(asked(preferences, parameters=frozenset(["seed"])), [only], [now])
    assert found.kind is kind
    assert found.param == (param and f"gateway.routing.{param}")
    assert found.suggestion == suggestion
    assert found.message.endswith(".")
    assert found.retry_after is None


def test_the_last_to_take_somebody_away_is_told() -> None:
    offers = [offer("a", 5.0), offer("b", 1.0)]
    readings = [reading(0.1), reading(2.0)]
    wanted = wanting(max_cost_per_1m=2.0, max_ttft_ms=500)
    found = unfit(asked(wanted), offers, readings)
    assert (found.kind, found.suggestion) == (
        Kind.ROUTE_LATENCY,
        "The quickest that fits takes 2000 ms (p50).",
    )


def test_what_is_suggested_keeps_the_other_constraints_if_anybody_does() -> None:
    offers = [offer("a", 2.0), offer("b", 3.0)]
    wanted = wanting(max_cost_per_1m=1.0, max_ttft_ms=500)
    found = unfit(asked(wanted), offers, [reading(2.0), reading(0.1)])
    assert found.kind is Kind.ROUTE_COST
    assert found.suggestion == "The cheapest that fits costs $3.00 per 1M tokens."
    amount = re.search(r"\$([0-9.]+)", found.suggestion)
    assert amount is not None
    wanted = wanting(max_cost_per_1m=float(amount[1]), max_ttft_ms=500)
    assert targets(planned(asked(wanted), offers, [reading(2.0), reading(0.1)])) == ["b"]


def test_what_a_call_uses_and_nobody_can_is_refused_as_a_model_would() -> None:
    assert GUARDS.keys() == CAPABILITIES
    for needed, (kind, param, _) in GUARDS.items():
        others = frozenset(each for each in GUARDS if each != needed)
        ask = asked(needs=frozenset([needed]))
        found = unfit(ask, [offer("a", capabilities=others)])
        assert (found.kind, found.param) == (kind, param)
        able = [
            offer("a", capabilities=others),
            offer("b", capabilities=frozenset([needed])),
            offer("c"),
        ]
        assert sorted(targets(planned(ask, able))) == ["b", "c"]


def test_a_call_that_has_no_room_in_any_window_is_refused() -> None:
    offers = [offer("a", context_window=1000), offer("b", context_window=2000)]
    found = unfit(asked(input_tokens=3000, output_cap=600), offers)
    assert found.kind is Kind.CONTEXT_EXCEEDED
    assert found.suggestion == "The largest context window on offer is 2000 tokens."
    assert targets(planned(asked(input_tokens=2000, output_cap=600), offers)) == ["b"]


def test_a_window_that_is_likely_too_small_comes_last() -> None:
    """The input is estimated, and may be half as long."""
    offers = [offer("a", 1.0, context_window=1500), offer("b", 9.0)]
    assert targets(planned(asked(input_tokens=1501), offers)) == ["b", "a"]
    assert targets(planned(asked(input_tokens=1500), offers)) == ["a", "b"]


def test_a_cap_that_nobody_has_is_refused() -> None:
    offers = [offer("a", output_cap=100), offer("b", output_cap=200)]
    found = unfit(asked(output_cap=201), offers)
    assert found.kind is Kind.OUTPUT_CAP_EXCEEDED
    assert found.suggestion == "The most on offer are 200 tokens."
    assert targets(planned(asked(output_cap=200), offers)) == ["b"]


def test_a_model_that_nobody_offers_has_no_route() -> None:
    found = unfit(asked(), [])
    assert (found.kind, found.param) == (Kind.ROUTE_NONE, "model")


def test_a_suggestion_lists_a_few_names_of_many() -> None:
    offers = [offer(f"target-{index:02}") for index in range(12)]
    found = unfit(asked(wanting(providers=frozenset(["z"]))), offers)
    assert found.suggestion is not None
    assert found.suggestion.endswith("'target-09' and 2 more.")


def test_those_away_or_full_are_waited_for() -> None:
    offers = [offer("a"), offer("b"), offer("c", 99.0)]
    readings = [reading(resting=4.0), reading(resting=2.5, full=True), reading()]
    found = unfit(asked(wanting(max_cost_per_1m=2.0)), offers, readings)
    assert (found.kind, found.retry_after, found.param) == (Kind.UPSTREAM_NONE_LEFT, 2.5, None)
    full = unfit(asked(), [offer("a")], [reading(full=True)])
    assert (full.kind, full.retry_after) == (Kind.UPSTREAM_NONE_LEFT, 1.0)


def test_nobody_is_waited_for_who_does_not_fit() -> None:
    found = unfit(asked(wanting(max_cost_per_1m=0.5)), [offer("a")], [reading(resting=4.0)])
    assert found.kind is Kind.ROUTE_COST
