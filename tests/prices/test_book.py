"""The price book: which price a model has."""

import re
from datetime import UTC, date, datetime
from fractions import Fraction

import pytest

from veneer.prices.book import MAX_REMEMBERED, PriceBook
from veneer.prices.price import Price

ONE, TWO, THREE = Price(input=1), Price(input=2), Price(input=3)


def on(year: int, month: int = 1, day: int = 1) -> float:
    return datetime(year, month, day, tzinfo=UTC).timestamp()


NOW = on(2026, 11)


def test_an_exact_name_goes_before_patterns_and_the_first_pattern_before_others() -> None:
    book = PriceBook([("gpt-*", ONE), ("gpt-4*", TWO), ("gpt-4o", THREE)])
    assert book.price("gpt-4o", at=NOW) is THREE
    assert book.price("gpt-4o-mini", at=NOW) is ONE
    assert book.price("gpt-4", at=NOW) is ONE


def test_a_model_that_is_in_no_entry_has_no_price() -> None:
    book = PriceBook([("gpt-4o", ONE)])
    for model in ("gpt-4o-mini", "GPT-4o", "", "gpt-4o\n"):
        assert book.price(model, at=NOW) is None
        assert book.era(model, NOW) is None


def test_an_empty_book_prices_nothing() -> None:
    assert PriceBook([]).price("gpt-4o", at=NOW) is None


def test_a_name_that_looks_like_a_pattern_is_itself_too() -> None:
    book = PriceBook([("claude[1m]", ONE)])
    assert book.price("claude[1m]", at=NOW) is ONE
    assert book.price("claude1", at=NOW) is ONE


def test_expressions_match_from_the_start() -> None:
    book = PriceBook([(re.compile("gpt-[0-9]", re.IGNORECASE), ONE)])
    assert book.price("GPT-5-pro", at=NOW) is ONE
    assert book.price("my-gpt-5", at=NOW) is None


def test_the_latest_price_that_holds_counts_from_midnight_utc() -> None:
    later = Price(input=4, since=date(2026, 6, 1))
    future = Price(input=5, since=date(2027, 1, 1))
    book = PriceBook([("m", future), ("m", ONE), ("m", later)])
    assert book.price("m", at=on(2026, 6, 1) - 0.001) is ONE
    assert book.price("m", at=on(2026, 6, 1)) is later
    assert book.price("m", at=on(2027)) is future


def test_a_clock_that_jumps_finds_the_price_of_its_time_or_none() -> None:
    begun = Price(input=4, since=date(2026, 6, 1))
    book = PriceBook([("m", begun)])
    assert book.price("m", at=NOW) is begun
    for at in (0.0, -1e12, float("-inf"), float("nan")):
        assert book.price("m", at=at) is None
    assert book.price("m", at=float("inf")) is begun
    assert PriceBook([("m", ONE)]).price("m", at=-1e12) is ONE


def test_until_an_announced_price_holds_the_next_that_matches_does() -> None:
    announced = Price(input=4, since=date(2027, 1, 1))
    book = PriceBook([("gpt-5", announced), ("gpt-*", ONE), ("*", TWO)])
    assert book.price("gpt-5", at=NOW) is ONE
    assert book.price("gpt-5", at=on(2027)) is announced


def test_long_prompts_have_the_price_of_the_highest_mark_that_they_are_above() -> None:
    long = Price(input=2, above=200_000)
    longest = Price(input=3, above=400_000)
    book = PriceBook([("m", long), ("m", ONE), ("m", longest)])
    found = {
        tokens: book.price("m", at=NOW, input_tokens=tokens)
        for tokens in (0, 200_000, 200_001, 400_000, 400_001, 10**9, -5)
    }
    assert found == {
        0: ONE,
        200_000: ONE,
        200_001: long,
        400_000: long,
        400_001: longest,
        10**9: longest,
        -5: ONE,
    }


def test_each_day_has_its_own_lengths() -> None:
    book = PriceBook(
        [("m", ONE), ("m", Price(input=9, above=10)), ("m", Price(input=2, since=date(2026, 1, 1)))]
    )
    found = book.price("m", at=NOW, input_tokens=11)
    assert found is not None
    assert found.input == 2


def test_the_dearest_is_over_lengths_and_tiers_of_the_time() -> None:
    book = PriceBook(
        [
            ("m", Price(input=10, output=40, tiers={"priority": Fraction(2)})),
            ("m", Price(input=30, output=50, above=200)),
            ("m", Price(input=1, since=date(2027, 1, 1))),
        ]
    )
    found = book.era("m", NOW)
    assert found is not None
    assert (found.dearest.rates["input"], found.dearest.rates["output"]) == (30, 80)
    later = book.era("m", on(2027))
    assert later is not None
    assert later.dearest.rates["input"] == 1


def test_none_ends_the_search() -> None:
    beneath = PriceBook([("tts-1", TWO)])
    book = PriceBook([("tts-*", None), ("*", ONE)], otherwise=beneath)
    assert book.price("tts-1", at=NOW) is None
    assert book.price("gpt", at=NOW) is ONE


def test_what_has_no_price_here_has_that_of_the_book_beneath() -> None:
    beneath = PriceBook([("gpt-4o", THREE), ("other", TWO)])
    book = PriceBook([("gpt-*", ONE)], otherwise=beneath)
    assert book.price("gpt-4o", at=NOW) is ONE
    assert book.price("other", at=NOW) is TWO
    assert book.price("neither", at=NOW) is None


def test_two_prices_for_the_same_are_refused() -> None:
    with pytest.raises(ValueError, match="'m' has two prices for the same prompts\\."):
        PriceBook([("m", ONE), ("m", TWO)])
    with pytest.raises(ValueError, match="same prompts, since 2026-01-01"):
        PriceBook([("m", Price(input=1, since=date(2026, 1, 1)))] * 2)


def test_a_price_of_long_prompts_alone_is_refused() -> None:
    with pytest.raises(ValueError, match="'m' has no price for prompts of up to 200 tokens"):
        PriceBook([("m", Price(input=1, above=200)), ("m", Price(input=1, above=300))])
    with pytest.raises(ValueError, match="up to 200 tokens, since 2026-01-01"):
        PriceBook([("m", ONE), ("m", Price(input=1, above=200, since=date(2026, 1, 1)))])


def test_a_model_cannot_have_a_price_and_none() -> None:
    with pytest.raises(ValueError, match="'m' is said to have a price and to have none"):
        PriceBook([("m", ONE), ("m", None)])


def test_the_version_is_as_given_or_changes_with_the_prices() -> None:
    assert PriceBook([("m", ONE)], version="2026-11").version == "2026-11"
    version = PriceBook([("m", ONE)]).version
    assert version == PriceBook([("m", Price(input=1))]).version
    others = [
        PriceBook([("m", TWO)]),
        PriceBook([("n", ONE)]),
        PriceBook([("m", ONE)], otherwise=PriceBook([("n", ONE)])),
        PriceBook([("m", Price(input=1, tiers={"flex": Fraction(1, 2)}))]),
    ]
    assert len({version, *(book.version for book in others)}) == 5


def test_names_that_clients_make_up_are_not_remembered_without_end() -> None:
    book = PriceBook([("m", ONE), ("x*", TWO)])
    for number in range(MAX_REMEMBERED + 100):
        book.price(f"x{number}", at=NOW)
    assert book._of.cache_info().currsize == MAX_REMEMBERED
    assert book.price("m", at=NOW) is ONE


def test_a_book_knows_whom_it_names() -> None:
    older = PriceBook([("b", Price(input=1))])
    book = PriceBook([("a", Price(input=1)), ("c*", Price(input=1)), ("d", None)], otherwise=older)
    assert [name for name in "abcde" if book.names(name)] == ["a", "b", "d"]
    assert book.names("c*")


def test_a_target_may_have_its_own_price_of_a_model() -> None:
    price = Price(input=1)
    below = PriceBook([("south/old", price)])
    book = PriceBook(
        [
            ("east/small", price),
            ("west/*", price),
            ("n*", price),
            ("*/small", price),
            (re.compile(".*small"), price),
            ("north/gone", None),
        ],
        otherwise=below,
    )
    assert book.name_at("east", "small") == "east/small"
    assert book.name_at("west", "any") == "west/any"
    assert book.name_at("south", "old") == "south/old"
    assert book.name_at("north", "gone") == "north/gone"
    # What holds for all models is no word of a target.
    assert book.name_at("north", "small") == "small"
    assert book.name_at("east", "big") == "big"
    assert book.name_at("eas", "t/small") == "t/small"


def test_a_pattern_for_all_that_comes_first_counts_as_everywhere() -> None:
    book = PriceBook([("*", Price(input=1)), ("small", Price(input=2)), ("west/*", Price(input=3))])
    assert book.name_at("west", "small") == "small"
