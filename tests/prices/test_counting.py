"""Counting: tokens of which each is of one kind only."""

from typing import Any

import pytest
from hypothesis import given

from tests.prices.amounts import TOKENS, nonsense, prices, sound, usages
from veneer.facts import Usage
from veneer.prices.counting import LARGEST, count, counted
from veneer.prices.price import INPUT, OUTPUT, Price

PRICE = Price(input=1, output=4)


def of(price: Price = PRICE, **tokens: Any) -> tuple[dict[str, int], bool]:
    if "total_tokens" not in tokens:
        tokens["total_tokens"] = tokens.get("input_tokens", 0) + tokens.get("output_tokens", 0)
    return counted(Usage(**tokens), price)


@given(usages(), prices())
def test_every_token_is_of_one_kind_whatever_the_usage_says(usage: Usage, price: Price) -> None:
    tokens, _ = counted(usage, price)
    said = max(usage.total_tokens, usage.input_tokens + usage.output_tokens)
    assert sum(tokens.values()) == said
    assert min(tokens.values(), default=1) > 0


@given(usages(), prices())
def test_sides_that_add_up_have_their_tokens(usage: Usage, price: Price) -> None:
    usage = sound(usage)
    tokens, _ = counted(usage, price)
    assert sum(tokens.get(kind, 0) for kind in INPUT) == usage.input_tokens
    assert sum(tokens.get(kind, 0) for kind in OUTPUT) == usage.output_tokens


@given(usages(nonsense), prices())
def test_nonsense_counts_as_what_it_is_mended_to(usage: Usage, price: Price) -> None:
    mended = Usage(
        **{name: count(getattr(usage, name)) for name in TOKENS},
        malformed=usage.malformed,
    )
    tokens, odd = counted(usage, price)
    assert tokens == counted(mended, price)[0]
    assert all(type(number) is int and number > 0 for number in tokens.values())
    # What is nothing at all, such as None, may pass for 0 without a word.
    if any(type(number) is not int and number for number in map(usage.__getattribute__, TOKENS)):
        assert odd


def test_plain_usage_is_its_two_sides() -> None:
    assert of(input_tokens=10, output_tokens=5) == ({"input": 10, "output": 5}, False)
    assert of() == ({}, False)


def test_parts_are_taken_from_their_sides() -> None:
    assert of(
        input_tokens=100,
        output_tokens=50,
        cached_input_tokens=40,
        cache_write_tokens=10,
        input_audio_tokens=20,
        input_image_tokens=5,
        reasoning_tokens=30,
        output_audio_tokens=10,
        output_image_tokens=4,
    ) == (
        {
            "cached_input": 40,
            "cache_write": 10,
            "input_audio": 20,
            "input_image": 5,
            "input": 25,
            "reasoning": 30,
            "output_audio": 10,
            "output_image": 4,
            "output": 6,
        },
        False,
    )


def test_cached_audio_is_charged_once_as_cached_and_contradicts_nothing() -> None:
    assert of(input_tokens=100, cached_input_tokens=80, input_audio_tokens=50) == (
        {"cached_input": 80, "input_audio": 20},
        False,
    )


@pytest.mark.parametrize(
    "parts",
    [
        {"cached_input_tokens": 101},
        {"cached_input_tokens": 60, "cache_write_tokens": 41},
        {"input_audio_tokens": 60, "input_image_tokens": 41},
        {"reasoning_tokens": 51},
        {"output_audio_tokens": 30, "output_image_tokens": 21},
    ],
)
def test_parts_beyond_their_side_are_cut_to_it_and_mark_the_usage(parts: dict[str, Any]) -> None:
    tokens, mended = of(input_tokens=100, output_tokens=50, **parts)
    assert mended
    assert sum(tokens.values()) == 150


def test_a_total_beyond_both_sides_is_charged_at_the_dearer() -> None:
    """Some servers count reasoning in the total alone."""
    assert of(input_tokens=10, output_tokens=20, total_tokens=130) == (
        {"input": 10, "output": 120},
        True,
    )
    dearer_input = Price(input=4, output=1)
    assert of(dearer_input, input_tokens=10, output_tokens=20, total_tokens=130) == (
        {"input": 110, "output": 20},
        True,
    )


def test_reasoning_beside_the_output_is_charged_as_reasoning() -> None:
    assert of(input_tokens=200, output_tokens=10, reasoning_tokens=50, total_tokens=260) == (
        {"input": 200, "reasoning": 50, "output": 10},
        True,
    )


def test_what_was_cached_beside_the_input_is_charged_as_cached() -> None:
    assert of(input_tokens=10, output_tokens=5, cached_input_tokens=1000, total_tokens=1015) == (
        {"cached_input": 1000, "input": 10, "output": 5},
        True,
    )


def test_a_total_alone_is_input_where_output_costs_no_more() -> None:
    assert of(Price(input=3), total_tokens=7) == ({"input": 7}, True)
    assert of(PRICE, total_tokens=7) == ({"output": 7}, True)


def test_a_total_below_its_sides_is_not_believed() -> None:
    assert of(input_tokens=10, output_tokens=5, total_tokens=3) == (
        {"input": 10, "output": 5},
        True,
    )


def test_a_total_that_is_missing_contradicts_nothing() -> None:
    assert of(input_tokens=10, output_tokens=5, total_tokens=0) == (
        {"input": 10, "output": 5},
        False,
    )
    assert of(input_tokens=10, cache_write_tokens=3, total_tokens=0) == (
        {"cache_write": 3, "input": 7},
        False,
    )


def test_what_was_malformed_stays_so() -> None:
    assert of(input_tokens=10, malformed=True) == ({"input": 10}, True)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (7, 7),
        (7.0, 7),
        (0, 0),
        (-7, 0),
        (7.5, 0),
        (True, 0),
        ("7", 0),
        (None, 0),
        (float("nan"), 0),
        (float("-inf"), 0),
        (float("inf"), LARGEST),
        (LARGEST, LARGEST),
        (10**400, LARGEST),
    ],
)
def test_a_count_is_read_as_the_wire_reads_it(value: Any, found: int) -> None:
    assert count(value) == found
    assert type(count(value)) is int
