"""How well offers serve a call, by what it is chosen by."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.routing.offering import asked, offer, planned, price, reading, spread, targets
from veneer.prices.price import Price
from veneer.routing.plan import Ask, Offer, Reading
from veneer.routing.preferences import Optimize, Preferences, Weights
from veneer.routing.scores import FREE, WEIGHTS, scores, strategy_of

COST = Weights(cost=1.0)
TTFT = Weights(ttft=1.0)
TPS = Weights(throughput=1.0)


def ratio(
    weights: Weights, offers: list[Offer], readings: list[Reading], ask: Ask | None = None
) -> float:
    """Return how many times worse the second is than the first."""
    first, second = scores(list(zip(offers, readings, strict=True)), ask or asked(), weights)
    return math.exp(second - first)


def cost_ratio(first: Price, second: Price, **members: Any) -> float:
    offers = [offer("a", price=first), offer("b", price=second)]
    return ratio(COST, offers, [reading()] * 2, asked(**members))


def test_weights_of_a_strategy_sum_up_to_one_and_favour_its_measure() -> None:
    for weights in WEIGHTS.values():
        assert weights.cost + weights.ttft + weights.throughput == pytest.approx(1.0)
    assert WEIGHTS["cost-focus"].cost == WEIGHTS["ttft-focus"].ttft == 0.8


@pytest.mark.parametrize("optimize", WEIGHTS)
def test_a_strategy_goes_by_its_weights(optimize: Optimize) -> None:
    assert strategy_of(Preferences(optimize=optimize)) == (optimize, WEIGHTS[optimize])


def test_the_default_is_mostly_cost() -> None:
    assert strategy_of(Preferences()) == ("cost-focus", WEIGHTS["cost-focus"])


@given(*[st.floats(0.0, 1.7e308)] * 3)
def test_weights_of_a_client_may_be_of_any_size(cost: float, ttft: float, tps: float) -> None:
    if cost == ttft == tps == 0:
        return
    given_weights = Weights(cost=cost, ttft=ttft, throughput=tps)
    strategy, weights = strategy_of(Preferences(weights=given_weights))
    assert strategy == "custom"
    assert weights.cost + weights.ttft + weights.throughput == pytest.approx(1.0)


def test_input_and_output_count_by_their_prices() -> None:
    assert cost_ratio(price(1, 4), price(2, 8)) == pytest.approx(2.0)
    assert cost_ratio(price(1, 4), price(2, 4), output_tokens=0) == pytest.approx(2.0)
    assert cost_ratio(price(1, 1), price(1, 5), output_tokens=1000) == pytest.approx(3.0)


def test_a_price_for_each_request_counts() -> None:
    by_request = Price(input=10**12, request=11 * 10**8)
    assert cost_ratio(price(1), by_request) == pytest.approx(2.0)


def test_warm_input_costs_what_cached_input_does() -> None:
    cached = Price(input=10**12, cached_input=10**11, output=10**12)
    offers = [offer("a", price=cached), offer("b", price=cached)]
    found = ratio(COST, offers, [reading(warm=500), reading()])
    assert found == pytest.approx(1100 / (500 + 50 + 100))
    everything = ratio(COST, offers, [reading(warm=9_999_999), reading()])
    assert everything == pytest.approx(1100 / 200)


def test_what_is_free_counts_as_a_tenth_of_the_cheapest_that_is_not() -> None:
    assert cost_ratio(price(0), price(3)) == pytest.approx(1 / FREE)
    assert cost_ratio(price(0), price(0)) == 1.0


def test_times_and_throughputs_count_by_their_levels() -> None:
    offers = [offer("a"), offer("b")]
    assert ratio(TTFT, offers, [reading(0.2), reading(0.6)]) == pytest.approx(3.0)
    assert ratio(TPS, offers, [reading(tps=60), reading(tps=20)]) == pytest.approx(3.0)


def test_the_worst_calls_count_where_a_client_goes_by_them() -> None:
    offers = [offer("a"), offer("b")]
    times = [Reading(ttft=spread(0.2, 0.3)), Reading(ttft=spread(0.2, 0.9))]
    assert ratio(TTFT, offers, times) == 1.0
    wanted = asked(Preferences(ttft_percentile="p95"))
    assert ratio(TTFT, offers, times, wanted) == pytest.approx(3.0)
    rates = [Reading(throughput=spread(60, 40)), Reading(throughput=spread(60, 20))]
    assert ratio(TPS, offers, rates) == 1.0
    wanted = asked(Preferences(throughput_percentile="p95"))
    assert ratio(TPS, offers, rates, wanted) == pytest.approx(2.0)


def test_warm_input_makes_the_first_event_sooner() -> None:
    offers = [offer("a"), offer("b")]
    found = ratio(TTFT, offers, [reading(0.4, warm=1000), reading(0.4)])
    assert found == pytest.approx(2.0)
    assert ratio(TTFT, offers, [reading(0.4, warm=5), reading(0.4)], asked(input_tokens=0)) == 1.0


def test_calls_under_way_make_the_first_event_later() -> None:
    offers = [offer("a"), offer("b")]
    assert 1.0 < ratio(TTFT, offers, [reading(0.4), reading(0.4, outstanding=10)]) < 1.1


def test_what_was_not_measured_is_neither_better_nor_worse_than_the_others() -> None:
    pairs = [
        (offer(name), now)
        for name, now in zip("abc", [reading(0.1), reading(0.9), reading()], strict=True)
    ]
    quick, slow, unknown = scores(pairs, asked(), TTFT)
    assert unknown == pytest.approx((quick + slow) / 2)
    pairs = [(offer("a"), reading()), (offer("b"), reading())]
    assert (
        scores(pairs, asked(), WEIGHTS["tps-focus"])[0]
        == scores(pairs, asked(), WEIGHTS["tps-focus"])[1]
    )


def test_failures_count_as_the_calls_that_an_answer_takes() -> None:
    offers = [offer("a"), offer("b")]
    for weights in (COST, TTFT, WEIGHTS["balanced"]):
        found = ratio(weights, offers, [reading(), reading(failing=0.5)])
        assert found == pytest.approx(2.0)
    assert math.isfinite(ratio(COST, offers, [reading(), reading(failing=1.0)]))


@given(
    st.lists(
        st.tuples(st.floats(0.01, 100), st.floats(0.01, 100), st.floats(1, 1000)),
        min_size=2,
        max_size=6,
    ),
    st.sampled_from(sorted(WEIGHTS)),
    st.floats(0.001, 1000),
)
def test_an_order_does_not_go_by_units(
    figures: list[tuple[float, float, float]], strategy: str, scale: float
) -> None:
    def differences(times: float) -> list[float]:
        pairs = [
            (offer(str(index)), reading(ttft * times, tps / times))
            for index, (_, ttft, tps) in enumerate(figures)
        ]
        found = scores(pairs, asked(), WEIGHTS[strategy])
        return [score - found[0] for score in found]

    assert differences(scale) == pytest.approx(differences(1.0), abs=1e-6)


def test_one_that_has_no_price_is_last_where_the_price_counts_and_no_error() -> None:
    offers = [offer("a", None), offer("b", 99.0)]
    seen = [reading(0.1), reading(0.2)]
    assert targets(planned(asked(Preferences(optimize="cost")), offers, seen)) == ["b", "a"]
    assert targets(planned(asked(Preferences(optimize="ttft")), offers, seen)) == ["a", "b"]
    by_second = offer("c", price=Price(second=10**9))
    assert by_second.rates is None
