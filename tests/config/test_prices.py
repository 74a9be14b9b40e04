"""What `[prices]` describes."""

import sys
import tomllib
from datetime import date
from fractions import Fraction

import msgspec
import pytest

from veneer.config.expected import description
from veneer.config.load import Place, _read
from veneer.config.prices import Pricing, build_prices
from veneer.config.prices_tables import PricesTable, PriceTable
from veneer.prices.money import parse
from veneer.prices.price import Price
from veneer.wiring import ConfigurationError

NOW = 1_795_000_000.0


def read(text: str) -> tuple[PricesTable | None, list[str]]:
    """Return the table in a text, and what is wrong with it."""
    problems: list[str] = []
    options = _read(PricesTable, tomllib.loads(text), Place("prices"), None, problems)
    return (None if problems else msgspec.convert(options, PricesTable)), problems


def built(text: str) -> Pricing:
    table, problems = read(text)
    assert table is not None, problems
    pricing = build_prices(table)
    assert pricing is not None
    return pricing


def refused(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        built(text)
    return str(caught.value)


def price_of(text: str, model: str = "m", tokens: int = 0) -> Price | None:
    return built(text).book.price(model, at=NOW, input_tokens=tokens)


def test_where_nothing_is_priced_there_is_no_book() -> None:
    assert build_prices(PricesTable()) is None


def test_a_price_has_all_that_its_table_says() -> None:
    found = price_of("""
        version = "2026-11"
        [[models]]
        model = "m"
        input = "0.15"
        cached_input = "0.075"
        cache_write = "0.1875"
        output = "0.60"
        reasoning = "0.70"
        input_audio = "10"
        output_audio = "20"
        input_image = "0.30"
        output_image = "40"
        image = "0.04"
        second = "0.0001"
        request = "0.001"
        tools = {web_search = "0.01"}
        tiers = {flex = "0.5", priority = "1.75"}
        since = 2026-01-01
    """)
    assert found == Price(
        input=150_000_000_000,
        cached_input=75_000_000_000,
        cache_write=187_500_000_000,
        output=600_000_000_000,
        reasoning=700_000_000_000,
        input_audio=parse("10"),
        output_audio=parse("20"),
        input_image=parse("0.3"),
        output_image=parse("40"),
        image=parse("0.04"),
        second=parse("0.0001"),
        request=parse("0.001"),
        tools={"web_search": parse("0.01")},
        tiers={"flex": Fraction(1, 2), "priority": Fraction(7, 4)},
        since=date(2026, 1, 1),
    )


def test_a_model_has_several_prices_and_patterns_come_after_names() -> None:
    text = """
        [[models]]
        model = "m*"
        input = "1"
        [[models]]
        model = "m"
        input = "2"
        [[models]]
        model = "m"
        input = "3"
        above = 200000
        [[models]]
        model = "m"
        input = "4"
        since = "2099-01-01"
    """
    assert price_of(text) == Price(input=parse("2"))
    assert price_of(text, tokens=200_001) == Price(input=parse("3"), above=200_000)
    assert price_of(text, "mn") == Price(input=parse("1"))
    assert price_of(text, "n") is None


def test_the_version_is_as_given_or_made() -> None:
    model = '[[models]]\nmodel = "m"\ninput = "1"'
    assert built(f'version = "mine"\n{model}').book.version == "mine"
    assert len(built(model).book.version) == 12


def test_a_markup_is_on_prices_in_dollars() -> None:
    text = 'markup = "50%"\nusd_per_credit = "0.01"\n[[models]]\nmodel = "m"\ninput = "0.125"'
    pricing = built(text)
    price = pricing.book.price("m", at=NOW)
    assert price is not None
    assert price.input is not None
    assert pricing.credits is not None
    assert pricing.credits.shown(price.input) == "18.75"


def test_prices_in_credits_are_charged_as_they_are() -> None:
    text = (
        'currency = "credits"\nusd_per_credit = "0.01"\n[[models]]\nmodel = "m"\n'
        'input = "18.75"\ntools = {web_search = "2"}'
    )
    assert price_of(text) == Price(input=parse("0.1875"), tools={"web_search": parse("0.02")})


def test_dollars_without_a_worth_of_credits_have_no_credits() -> None:
    assert built('markup = "12.5 %"\n[[models]]\nmodel = "m"\ninput = "8"').credits is None
    assert price_of('markup = "12.5 %"\n[[models]]\nmodel = "m"\ninput = "8"') == Price(
        input=parse("9")
    )


def test_list_prices_stand_in_for_those_that_are_not_given() -> None:
    text = 'list_prices = true\nmarkup = "100%"\n[[models]]\nmodel = "gpt-4o*"\ninput = "1"'
    own, listed = price_of(text, "gpt-4o"), price_of(text, "text-embedding-3-small")
    assert own == Price(input=parse("2"))
    assert listed == Price(input=parse("0.04"))
    assert price_of(text, "tts-1") is None
    assert price_of("list_prices = true", "gpt-4o") is not None
    assert built('list_prices = true\nversion = "mine"').book.version == "mine"


def test_list_prices_have_a_markup_where_our_own_are_in_credits() -> None:
    text = (
        'currency = "credits"\nusd_per_credit = "0.01"\nmarkup = "100%"\nlist_prices = true\n'
        '[[models]]\nmodel = "m"\ninput = "100"'
    )
    assert price_of(text) == Price(input=parse("1"))
    assert price_of(text, "text-embedding-3-small") == Price(input=parse("0.04"))


@pytest.mark.parametrize("option", ["input", "cached_input", "image", "request"])
@pytest.mark.parametrize(
    "value",
    [
        "0.15",
        "1",
        '"-1"',
        '"0,15"',
        '"$0.15"',
        '"1e-6"',
        '""',
        '" 1"',
        '"1\\n"',
        '"0.0000000000001"',
        "nan",
        "true",
    ],
)
def test_amounts_that_are_not_exact_are_refused_and_how_to_write_them_is_said(
    option: str, value: str
) -> None:
    _, problems = read(f'[[models]]\nmodel = "m"\n{option} = {value}')
    (problem,) = problems
    start = f'[[prices.models]] number 1 {option} must be an amount in quotes, such as "0.15", not '
    assert problem.startswith(start)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[[models]]\nmodel = "m"\nimput = "1"', "did you mean 'input'?"),
        ('[[models]]\nmodel = "m"\ncached_inputs = "1"', "did you mean 'cached_input'?"),
        ('[[models]]\ninput = "1"', "needs 'model'"),
        ('[[models]]\nmodel = ""', "model must be a string that is not empty"),
        ('[[models]]\nmodel = "m"\ntiers = {flex = 0.5}', "each value an amount in quotes"),
        ('[[models]]\nmodel = "m"\ntools = {web_search = -1}', "each value an amount in quotes"),
        ('[[models]]\nmodel = "m"\nsince = "soon"', "since must be a date such as 2026-01-31"),
        ('[[models]]\nmodel = "m"\nabove = -1', "above must be a whole number from 0"),
        ('unpriced = "nothing"', 'must be "free" or "refuse", not'),
        ('currency = "eur"', 'must be "credits" or "usd", not'),
        ("usd_per_credit = 0.01", "usd_per_credit must be an amount in quotes"),
        ('unprised = "free"', "did you mean 'unpriced'?"),
    ],
)
def test_what_the_tables_do_not_take_is_refused(text: str, sentence: str) -> None:
    _, problems = read(text)
    assert [problem for problem in problems if sentence in problem] == problems != []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            'input = "15000"',
            "number 1 (m): input is 15000 dollars for a million tokens: give at most 10000",
        ),
        ('request = "1001"', "request is 1001 dollars for 1: give at most 1000"),
        ('input = "1"\ntools = {web_search = "1001"}', "the tool 'web_search' is 1001 dollars"),
        ('input = "1"\ntiers = {flex = "101"}', "'flex' multiplies prices with 101: give at most"),
        ('input = "1"\ncached_input = "1.01"', "cached_input costs more than input does"),
        ('output = "1"\ncached_input = "1.01"', "cached_input costs more than input does"),
        ('cached_input = "1"', "rate for cached_input, and none for input or output"),
        ("", "number 1 (m): The price prices nothing"),
        ('input = "1"\nabove = 5', "'m' has no price for prompts of up to 5 tokens"),
        ('input = "1"\n[[models]]\nmodel = "m"\ninput = "2"', "'m' has two prices for the same"),
    ],
)
def test_prices_that_are_mistakes_are_refused(text: str, sentence: str) -> None:
    found = refused(f'[[models]]\nmodel = "m"\n{text}')
    assert found.startswith("[[prices.models]] ")
    assert sentence in found


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('markup = "0.5"', "[prices] markup is '0.5': give a percentage, such as \"50%\"."),
        ('markup = "-5%"', "[prices] markup is '-5%'"),
        ('markup = "50%"\ncurrency = "credits"\nusd_per_credit = "1"', "[prices] markup is for "),
        ('currency = "credits"', "[prices] usd_per_credit is not set, and currency is"),
        ('usd_per_credit = "0.00"', "[prices] usd_per_credit is 0: a credit is worth something."),
        ('list_prices = true\nlist_providers = ["nobody"]', "[prices] list_prices: There are no "),
    ],
)
def test_options_that_cannot_be_together_are_refused(text: str, sentence: str) -> None:
    found = refused(f'{text}\n[[models]]\nmodel = "m"\ninput = "1"')
    assert found.startswith(sentence)


def test_list_prices_without_their_package_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    assert refused("list_prices = true").endswith("install veneer[prices].")


def test_every_option_has_a_description() -> None:
    for table in (PricesTable, PriceTable):
        for field in msgspec.structs.fields(table):
            assert field.name == "models" or description(field.type)
