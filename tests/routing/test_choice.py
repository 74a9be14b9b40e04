"""Who is asked for a call, and who next."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.routing.offering import asked, offer, planned, reading, targets, unfit
from veneer.catalog.model import Capability
from veneer.dialects import Kind
from veneer.dialects.routing import Warned
from veneer.routing.bounds import FRESH
from veneer.routing.choice import choose
from veneer.routing.offers import Offers
from veneer.routing.plan import Ask, Offer, Plan, Reading, Spread, Unfit
from veneer.routing.preferences import Preferences, Weights
from veneer.routing.terms import STRICTNESS


def test_the_cheapest_is_asked_first_and_the_others_by_their_prices() -> None:
    offers = [offer("b", 2.0), offer("c", 3.0), offer("a", 1.0)]
    plan = planned(asked(Preferences(optimize="cost")), offers)
    assert targets(plan) == ["a", "b", "c"]
    assert (plan.strategy, plan.warnings) == ("cost", ())


@pytest.mark.parametrize(
    ("wanted", "tries", "asked_for"),
    [
        (Preferences(), 20, 4),
        (Preferences(), 3, 3),
        (Preferences(max_fallback_attempts=1), 20, 2),
        (Preferences(max_fallback_attempts=19), 3, 3),
        (Preferences(allow_fallbacks=False), 20, 1),
        (Preferences(allow_fallbacks=False, max_fallback_attempts=3), 20, 1),
        (Preferences(), 0, 1),
    ],
)
def test_as_many_are_asked_as_are_allowed(wanted: Preferences, tries: int, asked_for: int) -> None:
    plan = planned(asked(wanted, tries=tries), [offer(name) for name in "abcd"])
    assert len(plan.steps) == asked_for


def test_models_are_one_pool_or_come_in_their_order() -> None:
    offers = [
        offer("a", 3.0),
        offer("b", 1.0, model="n"),
        offer("c", 2.0),
        offer("d", 0.5, model="n"),
    ]
    models = ("m", "n")
    assert targets(planned(asked(models=models), offers)) == ["d", "b", "c", "a"]
    wanted = Preferences(mode="fallback")
    assert targets(planned(asked(wanted, models=models), offers)) == ["c", "a", "d", "b"]


def test_who_is_preferred_comes_first_where_it_fits() -> None:
    offers = [offer("a", 1.0), offer("b", 9.0), offer("c", 2.0)]
    wanted = Preferences(prefer="b")
    assert targets(planned(asked(wanted), offers)) == ["b", "a", "c"]
    wanted = Preferences(prefer="b", max_cost_per_1m=5.0)
    assert targets(planned(asked(wanted), offers)) == ["a", "c"]


def test_unknown_providers_are_warned_of_unless_none_is_left() -> None:
    wanted = Preferences(
        providers=frozenset(["a", "x"]), exclude_providers=frozenset(["y"]), prefer="z"
    )
    plan = planned(asked(wanted), [offer("a"), offer("b")])
    assert targets(plan) == ["a"]
    assert plan.warnings == tuple(
        Warned("unknown_provider", "unknown_provider", f"No provider '{name}' offers this model.")
        for name in "xyz"
    )
    wanted = Preferences(providers=frozenset(["x"]))
    assert unfit(asked(wanted), [offer("a")]).kind is Kind.ROUTE_PROVIDERS


def test_the_callers_own_key_is_tried_first_then_the_operators() -> None:
    offers = [offer("a", 1.0, own_keys=True), offer("b", 2.0, own_keys=True)]

    def keys(**members: Any) -> list[tuple[str, bool]]:
        plan = planned(asked(Preferences(**members), own_keys=frozenset(["a"])), offers)
        return [(step.offer.target, step.own_key) for step in plan.steps]

    assert keys() == [("a", True), ("a", False), ("b", False)]
    assert keys(only_byok=True) == [("a", True)]
    assert keys(only_platform=True) == [("a", False), ("b", False)]
    assert keys(max_fallback_attempts=1) == [("a", True), ("a", False)]


def test_what_a_target_does_not_know_is_left_out_and_its_client_told() -> None:
    only = offer("a", unknown_parameters=frozenset(["seed", "user", "top_k"]))
    step = planned(asked(parameters=frozenset(["user", "seed", "model"])), [only]).steps[0]
    assert step.dropped == ("seed", "user")
    assert [(each.type, each.message) for each in step.warnings] == [
        ("unsupported_parameter", "'seed' was left out: a does not know it."),
        ("unsupported_parameter", "'user' was left out: a does not know it."),
    ]


def test_who_may_be_back_comes_last_whoever_is_better() -> None:
    offers = [offer("a", 1.0), offer("b", 9.0), offer("c", 5.0)]
    wanted = Preferences(prefer="a")
    readings = [reading(probing=True), reading(), reading(resting=1.0)]
    assert targets(planned(asked(wanted), offers, readings)) == ["b", "a"]
    readings = [reading(probing=True), reading(full=True), reading(resting=1.0)]
    assert targets(planned(asked(wanted), offers, readings)) == ["a"]


def test_weights_are_a_strategy_of_their_own() -> None:
    offers = [offer("a", 1.0), offer("b", 9.0)]
    readings = [reading(1.0), reading(0.5)]
    wanted = Preferences(optimize="cost", weights=Weights(ttft=2.0))
    plan = planned(asked(wanted), offers, readings)
    assert (plan.strategy, targets(plan)) == ("custom", ["b", "a"])


NAMES = "abcdef"
CAPABLE: list[Capability] = ["tools", "vision", "json_schema"]
some_needs = st.frozensets(st.sampled_from(CAPABLE))
some_names = st.frozensets(st.sampled_from(NAMES), max_size=4)
some_parameters = st.frozensets(st.sampled_from(["seed", "user", "logit_bias"]))
levels = st.floats(0.01, 100.0)
policies = st.sampled_from(sorted(STRICTNESS))


@st.composite
def spreads(draw: st.DrawFn) -> Spread:
    value = draw(levels)
    return Spread(0.0, value, value * draw(st.floats(0.1, 10.0)), 3)


readings_of = st.builds(
    Reading,
    ttft=st.none() | spreads(),
    throughput=st.none() | spreads(),
    seen=st.sampled_from([0.0, -10.0, -FRESH, -FRESH - 1, -math.inf]),
    outstanding=st.integers(0, 3),
    full=st.booleans(),
    resting=st.sampled_from([0.0, 0.0, 3.0]),
    probing=st.booleans(),
    failing=st.floats(0.0, 1.0),
    warm=st.integers(0, 3000),
)


@st.composite
def offers_of(draw: st.DrawFn) -> Offer:
    return offer(
        draw(st.sampled_from(NAMES)),
        draw(st.none() | st.sampled_from([0.0, 0.5, 1.0, 1.004, 3.0])),
        model=draw(st.sampled_from(["m", "n"])),
        capabilities=draw(st.none() | some_needs),
        context_window=draw(st.none() | st.integers(500, 4000)),
        output_cap=draw(st.none() | st.integers(50, 500)),
        unknown_parameters=draw(some_parameters),
        data_policy=draw(policies),
        tier=draw(st.sampled_from([None, "priority"])),
        weight=draw(st.sampled_from([0.0, 1.0, 5.0])),
        platform=draw(st.booleans()),
        own_keys=draw(st.booleans()),
    )


preferences_of = st.builds(
    Preferences,
    optimize=st.sampled_from(["cost", "cost-focus", "ttft", "tps-focus", "balanced"]),
    weights=st.none() | st.builds(Weights, cost=levels, ttft=levels, throughput=levels),
    max_cost_per_1m=st.none() | levels,
    max_ttft_ms=st.none() | st.integers(1, 100_000),
    min_throughput_tps=st.none() | levels,
    ttft_percentile=st.sampled_from(["p50", "p95"]),
    throughput_percentile=st.sampled_from(["p50", "p95"]),
    providers=st.none() | some_names,
    exclude_providers=some_names,
    prefer=st.none() | st.sampled_from(NAMES),
    mode=st.sampled_from(["pool", "fallback"]),
    allow_fallbacks=st.booleans(),
    max_fallback_attempts=st.none() | st.integers(1, 19),
    data_policy=policies,
    require_parameters=st.booleans(),
    tier=st.sampled_from([None, None, "priority"]),
    only_byok=st.booleans(),
)
asks = st.builds(
    Ask,
    models=st.just(("m", "n")),
    preferences=preferences_of,
    input_tokens=st.integers(0, 6000),
    output_tokens=st.integers(0, 500),
    output_cap=st.none() | st.integers(1, 600),
    needs=some_needs,
    parameters=some_parameters,
    own_keys=some_names,
    tries=st.integers(1, 20),
)
draws = st.floats(0.0, 1.0, exclude_max=True)
chances = st.lists(st.tuples(offers_of(), readings_of), max_size=7)


def within(less: float | None, more: float | None) -> bool:
    """Say whether one is at most the other; what is not known or not wanted is."""
    return less is None or more is None or less <= more


def fits(ask: Ask, each: Offer, now: Reading) -> bool:
    """Say by each word of the preferences whether an offer fits."""
    wanted = ask.preferences
    own = each.own_keys and each.target in ask.own_keys
    fresh = now.seen >= -FRESH
    ttft = (
        None
        if now.ttft is None
        else (now.ttft.p50 if wanted.ttft_percentile == "p50" else now.ttft.p95)
    )
    tps = (
        None
        if now.throughput is None
        else (now.throughput.p50 if wanted.throughput_percentile == "p50" else now.throughput.p95)
    )
    mean = None
    if each.price is not None:
        mean = ((each.price.input or 0) + (each.price.output or 0)) / 2e12
    return all(
        [
            wanted.providers is None or each.target in wanted.providers,
            each.target not in wanted.exclude_providers,
            own or (each.platform and not wanted.only_byok),
            wanted.tier in {None, each.tier},
            STRICTNESS[each.data_policy] >= STRICTNESS[wanted.data_policy],
            each.capabilities is None or ask.needs <= each.capabilities,
            each.context_window is None
            or ask.input_tokens // 2 + (ask.output_cap or 0) <= each.context_window,
            each.output_cap is None or (ask.output_cap or 0) <= each.output_cap,
            not (wanted.require_parameters and each.unknown_parameters & ask.parameters),
            within(mean, wanted.max_cost_per_1m),
            not fresh or within(None if ttft is None else ttft * 1000, wanted.max_ttft_ms),
            not fresh or within(wanted.min_throughput_tps, tps),
        ]
    )


def able(now: Reading) -> bool:
    return not now.full and (now.probing or now.resting == 0)


@given(asks, chances, draws)
def test_only_what_fits_is_asked_and_somebody_is_wherever_one_does(
    ask: Ask, pairs: list[tuple[Offer, Reading]], draw: float
) -> None:
    found = choose(ask, [each for each, _ in pairs], [now for _, now in pairs], draw)
    fitting = [each for each, now in pairs if fits(ask, each, now)]
    asked_for = [each for each, now in pairs if fits(ask, each, now) and able(now)]
    if isinstance(found, Unfit):
        assert not asked_for
        assert (found.kind is Kind.UPSTREAM_NONE_LEFT) == bool(fitting)
        assert (found.retry_after is not None) == bool(fitting)
        return
    assert {id(step.offer) for step in found.steps} <= {id(each) for each in asked_for}
    made = [(id(step.offer), step.own_key) for step in found.steps]
    assert len(set(made)) == len(made)
    wanted = ask.preferences
    most = min(ask.tries, 1 + (wanted.max_fallback_attempts or 19) * wanted.allow_fallbacks)
    assert 1 <= len(made) <= most
    # None is left out whom there would have been room for.
    assert len(made) == most or {one for one, _ in made} == {id(each) for each in asked_for}


@given(asks, chances, draws)
def test_the_same_draw_gives_the_same_plan_however_offers_are_kept(
    ask: Ask, pairs: list[tuple[Offer, Reading]], draw: float
) -> None:
    offers, readings = [each for each, _ in pairs], [now for _, now in pairs]
    assert choose(ask, offers, readings, draw) == choose(ask, Offers(offers), readings, draw)


@given(asks, chances, draws)
def test_those_that_were_away_come_last_but_for_one_that_is_looked_at(
    ask: Ask, pairs: list[tuple[Offer, Reading]], draw: float
) -> None:
    found = choose(ask, [each for each, _ in pairs], [now for _, now in pairs], draw)
    if isinstance(found, Plan):
        away = {id(each) for each, now in pairs if now.probing}
        order = [id(step.offer) in away for step in found.steps]
        looked_at = sum(step.offer is found.steps[0].offer for step in found.steps)
        assert order[looked_at:] == sorted(order[looked_at:])
