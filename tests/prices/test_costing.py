"""Costing: what a call costs, and the most that it can cost."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.prices.amounts import TOKENS, nonsense, prices, small_prices, sound, usages
from veneer.facts import Cost, Usage
from veneer.prices.costing import bound_of, cost_of
from veneer.prices.counting import counted
from veneer.prices.money import MOST, parse
from veneer.prices.price import INPUT, OUTPUT, Price

MINI = Price(
    input=parse("0.15"),
    cached_input=parse("0.075"),
    output=parse("0.60"),
    tiers={"flex": Fraction(1, 2), "priority": Fraction(7, 4)},
)
USAGE = Usage(
    input_tokens=1200,
    output_tokens=340,
    total_tokens=1540,
    cached_input_tokens=1024,
    reasoning_tokens=128,
)
NAMES = {*INPUT, *OUTPUT, "seconds", "images", "requests", "tools"}

tiers = st.sampled_from([None, "auto", "flex", "priority", "unheard-of"])


def asked(usage: Usage, price: Price, **options: Any) -> Cost:
    return cost_of(usage, price, **options)


def test_a_chat_is_charged_by_kind_and_nothing_twice() -> None:
    cost = cost_of(USAGE, MINI, model="gpt-4o-mini", version="2026-11")
    assert cost == Cost(
        parts={
            "cached_input": 76_800_000,
            "input": 26_400_000,
            "reasoning": 76_800_000,
            "output": 127_200_000,
        },
        total=307_200_000,
        model="gpt-4o-mini",
        price_version="2026-11",
    )


@pytest.mark.parametrize(
    ("tier", "factor"),
    [
        (None, 1),
        ("default", 1),
        ("flex", Fraction(1, 2)),
        ("priority", Fraction(7, 4)),
        ("ultrafast", Fraction(7, 4)),
    ],
)
def test_the_tier_multiplies_tokens(tier: str | None, factor: Fraction) -> None:
    assert cost_of(USAGE, MINI, tier=tier).total == 307_200_000 * factor


def test_the_tier_multiplies_nothing_but_tokens() -> None:
    price = Price(input=0, request=5, image=7, second=3, tools={"web_search": 11}, tiers=MINI.tiers)
    usage = Usage(seconds=2.0)
    for tier in (None, "priority"):
        cost = cost_of(usage, price, tier=tier, images=2, tools={"web_search": 3, "mine": 9})
        assert cost.parts == {"seconds": 6, "images": 14, "requests": 5, "tools": 33}


@given(usages(), prices(), tiers)
def test_parts_add_up_and_none_is_nothing(usage: Usage, price: Price, tier: str | None) -> None:
    cost = asked(usage, price, tier=tier, images=3, tools={"web_search": 2})
    assert sum(cost.parts.values()) == cost.total <= MOST
    assert all(type(amount) is int and amount > 0 for amount in cost.parts.values())
    assert type(cost.total) is int
    assert cost.parts.keys() <= NAMES


@given(usages(st.integers(0, 1000)), small_prices(), tiers)
def test_each_part_is_rounded_once(usage: Usage, price: Price, tier: str | None) -> None:
    cost = asked(usage, price, tier=tier)
    for kind, tokens in counted(usage, price)[0].items():
        exact = Fraction(tokens * price.rates[kind], 1_000_000) * price.factor(tier)
        assert cost.parts.get(kind, 0) == round(exact)


@given(st.lists(nonsense, min_size=12, max_size=12), prices(), tiers)
def test_nonsense_never_raises_and_is_never_negative(
    given_: list[Any], price: Price, tier: str | None
) -> None:
    *tokens, seconds, extra = given_
    usage = Usage(**dict(zip(TOKENS, tokens, strict=True)), seconds=seconds)
    cost = asked(usage, price, tier=tier, images=extra, tools={"web_search": extra}, requests=extra)
    assert 0 <= cost.total == sum(cost.parts.values()) <= MOST
    if any(type(value) is not int and value for value in tokens):
        assert cost.estimated


@given(
    usages(st.integers(0, 100_000)),
    small_prices(),
    tiers,
    st.sampled_from(["input_tokens", "output_tokens"]),
)
def test_more_tokens_never_cost_less(
    usage: Usage, price: Price, tier: str | None, side: str
) -> None:
    less = sound(usage)
    more = sound(usage, **{side: getattr(usage, side) + 1})
    assert asked(less, price, tier=tier).total <= asked(more, price, tier=tier).total


@given(usages(), prices(), tiers, st.fractions(min_value=1, max_value=3))
def test_a_bound_is_not_exceeded_by_what_is_within_it(
    usage: Usage, price: Price, tier: str | None, factor: Fraction
) -> None:
    tokens, _ = counted(usage, price)
    bound = bound_of(
        price,
        input_tokens=sum(tokens.get(kind, 0) for kind in INPUT),
        output_tokens=sum(tokens.get(kind, 0) for kind in OUTPUT),
        factor=factor,
        images=3,
        seconds=usage.seconds,
        tools={"web_search": 2},
    )
    cost = asked(usage, price, tier=tier, images=3, tools={"web_search": 2})
    assert cost.total <= bound <= MOST


@given(usages(st.integers(0, 3)), prices(st.integers(0, 1_000_000)), tiers)
def test_a_bound_has_room_for_rounding(usage: Usage, price: Price, tier: str | None) -> None:
    usage = sound(usage)
    bound = bound_of(
        price, input_tokens=usage.input_tokens, output_tokens=usage.output_tokens, requests=0
    )
    assert asked(usage, price, tier=tier, requests=0).total <= bound


def test_a_bound_takes_every_token_at_its_dearest() -> None:
    price = Price(
        input=parse("1"), input_audio=parse("10"), output=parse("2"), tiers={"fast": Fraction(2)}
    )
    assert bound_of(price, input_tokens=100, output_tokens=10) == 2040_000_000 + 5
    assert (
        bound_of(price, input_tokens=100, output_tokens=10, factor=Fraction(11, 10))
        == 2244_000_000 + 5
    )


def test_a_bound_of_units_is_their_price() -> None:
    price = Price(second=3, image=5, request=7, tools={"web_search": 11})
    bound = bound_of(
        price,
        input_tokens=9,
        output_tokens=9,
        seconds=1.5,
        images=2,
        tools={"web_search": 2, "x": 9},
    )
    # 4.5 for the seconds, 10 for images, 7 for the request, 22 for the tool, and 5 for rounding.
    assert bound == 44 + 5


def test_what_is_free_has_a_bound_of_nothing() -> None:
    assert bound_of(Price(input=0), input_tokens=10**6, output_tokens=10**6) == 0


def test_audio_by_its_length_is_charged_for_the_digits_that_were_sent() -> None:
    price = Price(second=parse("0.0001"))
    assert cost_of(Usage(seconds=0.1), price).parts == {"seconds": parse("0.00001")}
    assert cost_of(Usage(seconds=61), price).parts == {"seconds": parse("0.0061")}
    assert cost_of(Usage(seconds=1e-300), price) == Cost()


@pytest.mark.parametrize("seconds", [float("nan"), -1.0, -(10**9), "60", True])
def test_seconds_that_are_none_cost_nothing_and_are_marked(seconds: Any) -> None:
    cost = cost_of(Usage(seconds=seconds), Price(second=parse("0.0001")))
    assert cost == Cost(estimated=True)


def test_seconds_without_end_cost_no_more_than_the_most() -> None:
    cost = cost_of(Usage(seconds=float("inf")), Price(second=parse("0.0001")))
    assert (cost.total, cost.estimated) == (MOST, True)


def test_a_cost_beyond_belief_stops_at_the_most_and_is_marked() -> None:
    usage = Usage(input_tokens=2**53, output_tokens=2**53, total_tokens=2**54)
    cost = cost_of(usage, MINI)
    assert (cost.parts, cost.total, cost.estimated) == ({"input": MOST}, MOST, True)


def test_contradictions_are_marked() -> None:
    assert not cost_of(USAGE, MINI).estimated
    assert cost_of(Usage(input_tokens=1, total_tokens=9), MINI).estimated
    assert cost_of(Usage(input_tokens=1, total_tokens=1, malformed=True), MINI).estimated
    assert cost_of(USAGE, MINI, estimated=True).estimated


@pytest.mark.parametrize(
    ("usage", "price"),
    [
        (Usage(seconds=60.0), MINI),
        (Usage(input_tokens=5, total_tokens=5), Price(second=1)),
        (Usage(input_tokens=5, total_tokens=5), Price(image=1)),
    ],
)
def test_use_that_has_no_price_costs_nothing_but_not_silently(usage: Usage, price: Price) -> None:
    assert cost_of(usage, price) == Cost(estimated=True)


def test_use_that_is_free_is_no_estimate() -> None:
    assert cost_of(USAGE, Price(input=0)) == Cost()
    assert cost_of(Usage(), MINI) == Cost()
    assert cost_of(Usage(seconds=5.0), Price(second=0)) == Cost()
    assert cost_of(Usage(input_tokens=5, total_tokens=5), Price(image=0), images=1) == Cost()
    assert cost_of(USAGE, Price(request=0)) == Cost()


def test_a_request_is_charged_though_nothing_else_is() -> None:
    assert cost_of(Usage(), Price(request=5)).parts == {"requests": 5}
    assert cost_of(Usage(), Price(request=5), requests=0).parts == {}
