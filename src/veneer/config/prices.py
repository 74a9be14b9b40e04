"""Prices as they are configured: from `[prices]` to the book that it describes."""

import re
from collections.abc import Sequence
from fractions import Fraction

import msgspec

from veneer.config.blame import blame
from veneer.config.prices_tables import PricesTable, PriceTable
from veneer.prices.book import Entry, PriceBook
from veneer.prices.credits import Credits
from veneer.prices.genai import from_genai
from veneer.prices.money import DOLLAR, parse, shown
from veneer.prices.price import INPUT, OUTPUT, UNITS, Price
from veneer.wiring import ConfigurationError

# What is dearer is a price of something else, or has its point in the wrong place.
MOST_PER_MILLION = 10_000 * DOLLAR
MOST_PER_UNIT = 1_000 * DOLLAR
MOST_FACTOR = 100

_PERCENT = re.compile(r"([0-9]{1,4}(?:\.[0-9]{1,12})?) ?%")
_HUNDRED = 100


class Pricing(msgspec.Struct, frozen=True):
    """What calls cost: the prices that are charged, and what a credit is where there are any."""

    book: PriceBook
    credits: Credits | None


def build_prices(table: PricesTable) -> Pricing | None:
    """Return what a table describes, None where it prices nothing.

    The book has the prices that are charged, with the markup. Raises `ConfigurationError` that
    names the table where a value cannot be used, or where the package of list prices is missing.
    """
    if not table.models and not table.list_prices:
        return None
    worth = _credits(table)
    listed = _listed(table, worth)
    with blame("[[prices.models]]"):
        entries = [_entry(number, model, table, worth) for number, model in enumerate(table.models)]
        book = PriceBook(entries, version=table.version, otherwise=listed)
    return Pricing(book, worth if table.usd_per_credit is not None else None)


def build_book(tables: Sequence[PriceTable]) -> PriceBook:
    """Return the prices in dollars that tables describe; ValueError where they cannot be."""
    prices, worth = PricesTable(), Credits()
    return PriceBook(_entry(number, table, prices, worth) for number, table in enumerate(tables))


def _credits(table: PricesTable) -> Credits:
    markup = Fraction(0)
    if table.markup is not None:
        found = _PERCENT.fullmatch(table.markup)
        if found is None:
            raise ConfigurationError(
                f'[prices] markup is {table.markup!r}: give a percentage, such as "50%".'
            )
        markup = Fraction(found[1]) / _HUNDRED
    if table.currency == "credits" and markup and not table.list_prices:
        raise ConfigurationError(
            "[prices] markup is for prices in dollars, and there are none: leave it out, or say "
            'currency = "usd".'
        )
    if table.usd_per_credit is None:
        if table.currency == "credits":
            raise ConfigurationError(
                '[prices] usd_per_credit is not set, and currency is "credits": say what a credit '
                'is worth in dollars, such as "0.01".'
            )
        return Credits(markup=markup)
    worth = parse(table.usd_per_credit)
    if not worth:
        raise ConfigurationError("[prices] usd_per_credit is 0: a credit is worth something.")
    return Credits(usd_per_credit=worth, markup=markup)


def _listed(table: PricesTable, worth: Credits) -> PriceBook | None:
    if not table.list_prices:
        return None
    with blame("[prices] list_prices:"):
        found = from_genai(table.list_providers)
    entries = [
        (name, None if price is None else worth.charged(price)) for name, price in found.entries
    ]
    return PriceBook(entries, version=found.version)


def _entry(number: int, table: PriceTable, prices: PricesTable, worth: Credits) -> Entry:
    in_credits = prices.currency == "credits"
    read = worth.parse if in_credits else parse
    where = f"number {number + 1} ({table.model})"
    given = msgspec.structs.asdict(table)
    rates = {
        name: read(given[name]) for name in (*INPUT, *OUTPUT, *UNITS) if given[name] is not None
    }
    tools = {name: read(amount) for name, amount in table.tools.items()}
    for name, amount in rates.items():
        of, most = ("1", MOST_PER_UNIT) if name in UNITS else ("a million tokens", MOST_PER_MILLION)
        _check(f"{where}: {name}", amount, of, most)
    for name, amount in tools.items():
        _check(f"{where}: the tool {name!r}", amount, "1", MOST_PER_UNIT)
    tiers = {name: Fraction(factor) for name, factor in table.tiers.items()}
    for name, factor in tiers.items():
        if factor > MOST_FACTOR:
            raise ValueError(
                f"{where}: the tier {name!r} multiplies prices with {table.tiers[name]}: give at "
                f"most {MOST_FACTOR}."
            )
    cached, whole = rates.get("cached_input"), rates.get("input", rates.get("output"))
    if cached is not None and whole is not None and cached > whole:
        raise ValueError(f"{where}: cached_input costs more than input does.")
    try:
        price = Price(**rates, tools=tools, tiers=tiers, since=table.since, above=table.above)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    return table.model, price if in_credits else worth.charged(price)


def _check(what: str, amount: int, of: str, most: int) -> None:
    if amount > most:
        raise ValueError(
            f"{what} is {shown(amount)} dollars for {of}: give at most {shown(most)}, and look "
            "where the point stands."
        )
