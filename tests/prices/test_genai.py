"""List prices from the package genai-prices, against its own reckoning."""

import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest
from genai_prices import Usage as ListedUsage
from genai_prices import types
from genai_prices.data_snapshot import get_snapshot

from veneer.facts import Usage
from veneer.prices.book import PriceBook
from veneer.prices.costing import cost_of
from veneer.prices.genai import from_genai
from veneer.prices.money import DOLLAR, parse
from veneer.prices.price import Price

NOW = datetime(2026, 11, 20, tzinfo=UTC)
OPENAI = next(provider for provider in get_snapshot().providers if provider.id == "openai")


@pytest.fixture(scope="module")
def book() -> PriceBook:
    found = from_genai()
    return PriceBook(found.entries, version=found.version)


def names(clause: Any) -> Iterator[str]:
    """Yield names that a clause matches or nearly does."""
    for part in getattr(clause, "or_", None) or getattr(clause, "and_", None) or ():
        yield from names(part)
    for member in ("equals", "starts_with", "ends_with", "contains"):
        text = getattr(clause, member, None)
        if text is not None:
            yield from (text, text.upper(), f"{text}-2026-01-01", f"x{text}", f"{text}x{text}")
    regex = getattr(clause, "regex", None)
    if regex is not None:
        text = regex.strip("^$").replace("\\d{4}", "2026").replace("\\d{2}", "01")
        yield from (text.replace("\\", ""), f"x{text}")


def test_entries_match_the_names_that_the_package_matches() -> None:
    models = [model for provider in get_snapshot().providers for model in provider.models]
    by_id = [provider.id for provider in get_snapshot().providers]
    patterns = list(dict.fromkeys(name for name, _ in from_genai(by_id).entries))
    first: dict[str, Any] = {}
    for model in models:
        first.setdefault(repr(model.match), model)
    assert len(patterns) == len(first)
    checked = 0
    for pattern, model in zip(patterns, first.values(), strict=True):
        assert not isinstance(pattern, str)
        for name in names(model.match):
            assert bool(pattern.match(name)) == model.is_match(name), (model.match, name)
            checked += 1
    assert checked > 1000


@pytest.mark.parametrize("model", OPENAI.models, ids=lambda model: model.id)
def test_costs_are_those_of_the_package(book: PriceBook, model: Any) -> None:
    """Plain text is compared, short and long; tiers may be rounded up, and are tested below."""
    name = next(name for name in names(model.match) if OPENAI.find_model(name) is model)
    for tokens in (1_000, 300_000):
        price = book.price(name, at=NOW.timestamp(), input_tokens=tokens)
        if price is None:
            continue
        listed = model.calc_price(
            ListedUsage(input_tokens=tokens, output_tokens=500, cache_read_tokens=300),
            OPENAI,
            genai_request_timestamp=NOW,
        )
        usage = Usage(
            input_tokens=tokens,
            output_tokens=500,
            total_tokens=tokens + 500,
            cached_input_tokens=300,
        )
        ours = cost_of(usage, price, requests=0)
        if "output_mtok" in vars(model.get_prices(NOW)) or not price.has_tokens:
            assert ours.total == listed.total_price * DOLLAR
        else:
            assert ours.parts["input"] + ours.parts["cached_input"] == listed.total_price * DOLLAR


def test_most_models_have_a_price(book: PriceBook) -> None:
    ours = [model for model in OPENAI.models if book.price(model.id, at=NOW.timestamp())]
    assert len(ours) > 0.7 * len(OPENAI.models)


def test_prices_by_day_hold_from_theirs(book: PriceBook) -> None:
    before = book.price("o3", at=datetime(2025, 6, 9, tzinfo=UTC).timestamp())
    after = book.price("o3", at=datetime(2025, 6, 10, tzinfo=UTC).timestamp())
    assert before is not None
    assert after is not None
    assert (before.input, after.input) == (parse("10"), parse("2"))


def test_tiers_are_never_below_what_is_listed(book: PriceBook) -> None:
    checked = 0
    for model in OPENAI.models:
        price = book.price(model.id, at=NOW.timestamp())
        for tier in ("flex", "priority", "fast"):
            if price is None or tier not in price.tiers:
                continue
            checked += 1
            listed = model.calc_price(
                ListedUsage(input_tokens=900, output_tokens=500, cache_read_tokens=300),
                OPENAI,
                genai_request_timestamp=NOW,
                price_context={"service_tier": tier},
            )
            usage = Usage(
                input_tokens=900, output_tokens=500, total_tokens=1400, cached_input_tokens=300
            )
            ours = cost_of(usage, price, tier=tier).total
            exact = Fraction(listed.total_price) * DOLLAR
            # Published prices of cached tokens are rounded, which makes their factor a little more.
            assert exact <= ours <= exact * Fraction(105, 100), (model.id, tier)
    assert checked > 10


def test_what_is_not_counted_makes_a_model_have_no_price(book: PriceBook) -> None:
    at = NOW.timestamp()
    assert book.price("tts-1", at=at) is None
    assert book.price("omni-moderation-latest", at=at) is None


def test_audio_by_the_hour_is_charged_by_the_second(book: PriceBook) -> None:
    assert book.price("whisper-1", at=NOW.timestamp()) == Price(second=parse("0.0001"))


def test_every_provider_makes_a_book() -> None:
    found = from_genai([provider.id for provider in get_snapshot().providers])
    assert PriceBook(found.entries, version=found.version).version.startswith("genai-prices ")


def made(*models: Any) -> list[types.Provider]:
    return [types.Provider(id="one", name="One", api_pattern="x", models=list(models))]


def model(prices: Any, variants: Any = None, name: str = "m") -> types.ModelInfo:
    return types.ModelInfo(
        id=name, match=types.ClauseEquals(name), prices=prices, price_variants=variants
    )


def listed(monkeypatch: pytest.MonkeyPatch, *models: Any) -> PriceBook:
    snapshot = SimpleNamespace(providers=made(*models))
    monkeypatch.setattr("genai_prices.data_snapshot.get_snapshot", lambda: snapshot)
    return PriceBook(from_genai(["one"]).entries)


def test_of_prices_by_time_of_day_the_dearest_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    night = types.TimeOfDateConstraint(time(16, 30), time(0, 30))
    book = listed(
        monkeypatch,
        model(
            [
                types.ConditionalPrice(prices=types.ModelPrice(input_mtok=Decimal(1))),
                types.ConditionalPrice(night, prices=types.ModelPrice(input_mtok=Decimal("0.5"))),
            ]
        ),
    )
    for hour in (0, 12, 20):
        price = book.price("m", at=NOW.replace(hour=hour).timestamp())
        assert price == Price(input=DOLLAR)


def test_long_prompts_have_their_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    tiered = types.TieredPrices(base=Decimal(1), tiers=[types.Tier(200_000, Decimal(2))])
    book = listed(monkeypatch, model(types.ModelPrice(input_mtok=tiered, output_mtok=Decimal(3))))
    at = NOW.timestamp()
    assert book.price("m", at=at, input_tokens=200_000) == Price(input=DOLLAR, output=3 * DOLLAR)
    assert book.price("m", at=at, input_tokens=200_001) == Price(
        input=2 * DOLLAR, output=3 * DOLLAR, above=200_000
    )


def test_a_tier_has_the_greatest_factor_from_its_day_on(monkeypatch: pytest.MonkeyPatch) -> None:
    variant = types.PriceVariant(
        when={"service_tier": "flex"},
        prices=types.ModelPrice(input_mtok=Decimal("0.5"), output_mtok=Decimal("1.8")),
        constraint=types.StartDateConstraint(date(2026, 10, 1)),
    )
    prices = types.ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(3))
    book = listed(monkeypatch, model(prices, [variant]))
    found = book.price("m", at=NOW.timestamp())
    assert found is not None
    assert found.tiers == {"flex": Fraction(3, 5)}
    earlier = book.price("m", at=0.0)
    assert earlier is not None
    assert earlier.tiers == {"flex": 1}


@pytest.mark.parametrize(
    "prices",
    [
        types.ModelPrice(),
        types.ModelPrice(input_mtok=Decimal(1), input_mchars=Decimal(1)),
        types.ModelPrice(input_audio_mtok=Decimal(1)),
    ],
)
def test_a_model_without_a_price_hides_those_that_match_after_it(
    monkeypatch: pytest.MonkeyPatch, prices: Any
) -> None:
    broader = types.ModelInfo(
        id="n",
        match=types.ClauseStartsWith("m"),
        prices=types.ModelPrice(input_mtok=Decimal(1)),
    )
    book = listed(monkeypatch, model(prices), broader)
    assert book.price("m", at=0.0) is None
    assert book.price("mn", at=0.0) == Price(input=DOLLAR)


def test_other_prices_are_ours_by_the_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    prices = types.ModelPrice(
        input_mtok=Decimal(1),
        output_mtok=None,
        cache_write_1h_mtok=Decimal(2),
        requests_kcount=Decimal(5),
        web_searches_kcount=Decimal(10),
        storage_searches_kcount=Decimal("2.5"),
    )
    assert listed(monkeypatch, model(prices)).price("m", at=0.0) == Price(
        input=DOLLAR,
        request=parse("0.005"),
        tools={"web_search": parse("0.01"), "file_search": parse("0.0025")},
    )


def test_an_unknown_provider_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="no list prices of 'opnai': they are of anthropic, "):
        from_genai(["opnai"])


def test_a_clause_of_a_later_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = model(types.ModelPrice(input_mtok=Decimal(1)))
    odd.match = SimpleNamespace()  # type: ignore[assignment]  # the package has no such clause
    with pytest.raises(ValueError, match="has a SimpleNamespace, which we do not know"):
        listed(monkeypatch, odd)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    with pytest.raises(ValueError, match="List prices need the package genai_prices: install "):
        from_genai()
