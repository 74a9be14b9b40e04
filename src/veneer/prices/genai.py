"""List prices from the package genai-prices (the extra `prices`), as entries of a price book."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from fractions import Fraction
from importlib import import_module
from types import MappingProxyType
from typing import Any

import msgspec

from veneer.prices.book import Entry
from veneer.prices.money import DOLLAR, half_even
from veneer.prices.price import INPUT, OUTPUT, Price

PROVIDERS = ("openai",)

# What it calls our rates of a million tokens.
_TOKENS = MappingProxyType(
    {
        "input_mtok": "input",
        "cache_read_mtok": "cached_input",
        "cache_write_mtok": "cache_write",
        "input_audio_mtok": "input_audio",
        "input_image_mtok": "input_image",
        "output_mtok": "output",
        "output_reasoning_mtok": "reasoning",
        "output_audio_mtok": "output_audio",
        "output_image_mtok": "output_image",
    }
)
# Other rates: ours, and of how many theirs is.
_UNITS = MappingProxyType(
    {
        "audio_hours": ("second", 3600),
        "input_audio_hours": ("second", 3600),
        "requests_kcount": ("request", 1000),
    }
)
_TOOLS = MappingProxyType(
    {"web_searches_kcount": "web_search", "storage_searches_kcount": "file_search"}
)
# Finer than usage tells: such tokens cost what the kind costs that they are a part of.
_FINER = frozenset(["cache_write_1h_mtok", "cache_audio_read_mtok", "cache_image_read_mtok"])

# What clauses that compare texts hold the text in, and what they are as expressions.
_TEXTS = MappingProxyType(
    {
        "ClauseEquals": ("equals", r"(?={}\Z)"),
        "ClauseStartsWith": ("starts_with", "(?={})"),
        "ClauseEndsWith": ("ends_with", r"(?=.*{}\Z)"),
        "ClauseContains": ("contains", "(?=.*{})"),
    }
)

_MIDNIGHT = time(tzinfo=UTC)
# Before any price began.
_LONG_AGO = date(1970, 1, 1)


class ListPrices(msgspec.Struct, frozen=True):
    """Entries for `PriceBook`, and the version of the package that they come from."""

    entries: tuple[Entry, ...]
    version: str


def from_genai(providers: Sequence[str] = PROVIDERS) -> ListPrices:
    """Return the list prices of providers, by their ids there; of two, the first goes before.

    Prices by day and by length of prompt are as they are listed; of those by time of day the
    dearest holds. A service tier has the greatest factor that it has for any kind of token, so that
    nobody pays less than is listed. A model has no price where it lists none, or one for what we do
    not count (characters, pages, video). A price of an hour is rounded to picodollars a second.

    The prices are those in the package: nothing is downloaded. Loading them takes about a second
    of CPU. Raises ValueError where the package is missing or has no such provider.
    """
    try:
        package = import_module("genai_prices")
        snapshot = import_module("genai_prices.data_snapshot").get_snapshot()
    except ModuleNotFoundError as error:
        raise ValueError(
            f"List prices need the package {error.name}: install veneer[prices]."
        ) from error
    by_id = {provider.id: provider for provider in snapshot.providers}
    for name in providers:
        if name not in by_id:
            raise ValueError(f"There are no list prices of {name!r}: they are of {_few(by_id)}.")
    found: dict[re.Pattern[str], list[Price | None]] = {}
    for name in providers:
        for model in by_id[name].models:
            pattern = re.compile(_expression(model.match), re.IGNORECASE | re.DOTALL)
            if pattern not in found:
                found[pattern] = _prices(model)
    entries = tuple((pattern, price) for pattern, prices in found.items() for price in prices)
    return ListPrices(entries, f"genai-prices {package.__version__}")


def _few(names: Mapping[str, object]) -> str:
    return ", ".join(sorted(names))


def _expression(clause: Any) -> str:
    """Return a clause that matches names as an expression that does so from their start."""
    kind = type(clause).__name__
    if kind in _TEXTS:
        member, form = _TEXTS[kind]
        return form.format(re.escape(getattr(clause, member)))
    if kind == "ClauseRegex":
        return f"(?=.*?(?:{clause.regex}))"
    if kind == "ClauseOr":
        return f"(?:{'|'.join(map(_expression, clause.or_))})"
    if kind == "ClauseAnd":
        return "".join(map(_expression, clause.and_))
    raise ValueError(f"This version of genai-prices has a {kind}, which we do not know.")


def _prices(model: Any) -> list[Price | None]:
    """Return the prices of a model by day and length of prompt; None alone where it has none."""
    variants = [
        variant for variant in model.price_variants or () if set(variant.when) == {"service_tier"}
    ]
    listed = model.prices if isinstance(model.prices, list) else []
    constraints = [part.constraint for part in (*listed, *variants) if part.constraint is not None]
    days = {day for part in constraints if (day := getattr(part, "start_date", None)) is not None}
    times = {_MIDNIGHT, *_times(constraints)}
    tiers = sorted({variant.when["service_tier"] for variant in variants})
    found: list[Price | None] = []
    for since in (None, *sorted(days)):
        instants = [datetime.combine(since or _LONG_AGO, at) for at in sorted(times)]
        standard = [model.get_prices(at) for at in instants]
        dearer = {
            tier: [model.get_prices(at, {"service_tier": tier}) for at in instants]
            for tier in tiers
        }
        for above in (0, *sorted(_lengths(standard))):
            rates = _rates(standard, above)
            if rates is None:
                return [None]
            factors = {
                tier: factor
                for tier, prices in dearer.items()
                if (factor := _factor(standard, prices, above)) is not None
            }
            found.append(Price(**rates, tiers=factors, since=since, above=above))
    return found


def _times(constraints: Sequence[Any]) -> Iterator[time]:
    """Yield the times of day (UTC) at which prices change."""
    for constraint in constraints:
        for name in ("start_time", "end_time"):
            at = getattr(constraint, name, None)
            if at is not None:
                aware = at if at.tzinfo else at.replace(tzinfo=UTC)
                yield datetime.combine(_LONG_AGO, aware).astimezone(UTC).timetz()


def _lengths(prices: Sequence[Any]) -> set[int]:
    """Return the numbers of input tokens beyond which prices change."""
    return {
        tier.start
        for price in prices
        for value in vars(price).values()
        for tier in getattr(value, "tiers", ())
        if tier.start
    }


def _rates(prices: Sequence[Any], above: int) -> dict[str, Any] | None:
    """Return the fields of our price, each the dearest; None where they cannot say it all."""
    rates: dict[str, Any] = {}
    tools: dict[str, int] = {}
    for key, value in ((key, value) for price in prices for key, value in _stated(price, above)):
        if key in _TOKENS:
            rates[_TOKENS[key]] = max(rates.get(_TOKENS[key], 0), _per(value, 1))
        elif key in _UNITS:
            name, count = _UNITS[key]
            rates[name] = max(rates.get(name, 0), _per(value, count))
        elif key in _TOOLS:
            tools[_TOOLS[key]] = max(tools.get(_TOOLS[key], 0), _per(value, 1000))
        elif key not in _FINER:
            return None
    tokens = rates.keys() & {*INPUT, *OUTPUT}
    if not rates or (tokens and not tokens & {"input", "output"}):
        return None
    return {**rates, "tools": tools}


def _factor(standard: Sequence[Any], tier: Sequence[Any], above: int) -> Fraction | None:
    """Return the greatest factor from standard prices to those of a tier; None without tokens."""
    ratios: list[Fraction] = []
    for usual, special in zip(standard, tier, strict=True):
        amounts = dict(_stated(special, above))
        ratios += [
            Fraction(amounts[key]) / Fraction(value)
            for key, value in _stated(usual, above)
            if key in _TOKENS and value
        ]
    return max(ratios, default=None)


def _stated(price: Any, above: int) -> Iterator[tuple[str, Decimal]]:
    """Yield the rates of a price for prompts beyond a number of tokens, in dollars."""
    for key, value in vars(price).items():
        if value is None:
            continue
        amount = getattr(value, "base", value)
        for tier in getattr(value, "tiers", ()):
            if tier.start <= above:
                amount = tier.price
        yield key, amount


def _per(dollars: Decimal, count: int) -> int:
    numerator, denominator = dollars.as_integer_ratio()
    return half_even(numerator * DOLLAR, denominator * count)
