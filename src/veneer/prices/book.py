"""The price book: which price a model has, at a time and for a length of prompt."""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from fnmatch import translate
from functools import lru_cache
from hashlib import sha256

import msgspec

from veneer.catalog.catalog import stands_for_many
from veneer.prices.price import Price, dearest

# Models whose prices are remembered, each under a name that a client gave.
MAX_REMEMBERED = 1024

ALWAYS = float("-inf")

# A model's name, or a pattern as in fnmatch, or an expression that is matched from the start of the
# name; and its price, None for a model that is known to have none.
Entry = tuple[str | re.Pattern[str], Price | None]


class Era(msgspec.Struct, frozen=True):
    """The prices of a model from a time on (Unix seconds): those of long prompts come first.

    `base` is that of short ones. `dearest` is the most that anything of the model can cost,
    whatever the prompt and the tier: it is for holds, and has no tiers of its own.
    """

    since: float
    longer: tuple[Price, ...]
    base: Price
    dearest: Price

    def price(self, input_tokens: int) -> Price:
        """Return the price for a prompt of some tokens."""
        for price in self.longer:
            if input_tokens > price.above:
                return price
        return self.base


_Eras = tuple[Era, ...]


class PriceBook:
    """The prices of models.

    An exact name goes before patterns, of which the first that matches counts; names are told apart
    by case. Several entries of one name differ in `since` or in `above`: the latest that holds at
    the time counts, and of these the one for the longest prompt. Where no entry of a name holds
    yet, the next pattern that matches counts. An entry of None ends the search: the model has no
    price. What is not found here is looked for in the book `otherwise`. What a model costs at one
    target is said of `target/model`: see `name_at`.

    `version` is what receipts call these prices; left out, it is made from them, so that it changes
    when they do. Raises ValueError for two entries that hold at the same time, and for one of long
    prompts without one for short.
    """

    def __init__(
        self,
        entries: Iterable[Entry],
        *,
        version: str | None = None,
        otherwise: "PriceBook | None" = None,
    ) -> None:
        given = list(entries)
        self.version = version or _digest(given, otherwise)
        self._otherwise = otherwise
        named: dict[str | re.Pattern[str], list[Price]] = {}
        ends = {name for name, price in given if price is None}
        for name, price in given:
            prices = named.setdefault(name, [])
            if price is not None:
                prices.append(price)
                if name in ends:
                    raise ValueError(f"{_text(name)!r} is said to have a price and to have none.")
        found = {name: _eras(name, prices) for name, prices in named.items()}
        self._exact = {name: eras for name, eras in found.items() if isinstance(name, str)}
        patterns = [
            (re.compile(translate(name)), name, eras)
            if isinstance(name, str)
            else (name, name.pattern, eras)
            for name, eras in found.items()
            if not isinstance(name, str) or stands_for_many(name)
        ]
        self._patterns = [(pattern, eras) for pattern, _, eras in patterns]
        self._texts = [(pattern, text) for pattern, text, _ in patterns]
        self._of = lru_cache(MAX_REMEMBERED)(self._find)

    def price(self, model: str, *, at: float, input_tokens: int = 0) -> Price | None:
        """Return a model's price `at` a time (Unix seconds), for a prompt of some tokens.

        None where it has none.
        """
        era = self.era(model, at)
        return None if era is None else era.price(input_tokens)

    def era(self, model: str, at: float) -> Era | None:
        """Return what a model costs at a time; None where it has no price.

        Take it when a call begins, for its hold and for its cost, so that midnight does not come
        between them.
        """
        for era in self._of(model):
            if era.since <= at:
                return era
        return None

    def names(self, model: str) -> bool:
        """Whether a model has an entry of its very name, not only one of a pattern."""
        return model in self._exact or (
            self._otherwise is not None and self._otherwise.names(model)
        )

    def name_at(self, target: str, model: str) -> str:
        """Return the name that a model at a target has its price by.

        That is `target/model` if there is an entry of it, or if the first pattern that matches it
        begins with `target/`; else the model's own.
        """
        name = f"{target}/{model}"
        return name if self._is_at(f"{target}/", name) else model

    def _is_at(self, prefix: str, name: str) -> bool:
        if name in self._exact:
            return True
        for pattern, text in self._texts:
            if pattern.match(name):
                return text.startswith(prefix)
        return self._otherwise is not None and self._otherwise._is_at(prefix, name)  # noqa: SLF001 - as below

    def _find(self, model: str) -> _Eras:
        """Return the eras of a model in the order in which they are tried."""
        found: list[Era] = []
        for eras in self._matching(model):
            if not eras:
                return tuple(found)
            found += eras
        if self._otherwise is not None:
            found += self._otherwise._find(model)  # noqa: SLF001 - another of the same class
        return tuple(found)

    def _matching(self, model: str) -> Iterator[_Eras]:
        if model in self._exact:
            yield self._exact[model]
        for pattern, eras in self._patterns:
            if pattern.match(model):
                yield eras


def _eras(name: str | re.Pattern[str], prices: list[Price]) -> _Eras:
    by_since: dict[float, list[Price]] = {}
    for price in prices:
        by_since.setdefault(_start(price), []).append(price)
    return tuple(_era(name, since, by_since[since]) for since in sorted(by_since, reverse=True))


def _era(name: str | re.Pattern[str], since: float, prices: list[Price]) -> Era:
    *longer, base = sorted(prices, key=lambda price: price.above, reverse=True)
    aboves = [price.above for price in prices]
    day = f", since {base.since}" if base.since is not None else ""
    if len(set(aboves)) < len(aboves):
        raise ValueError(f"{_text(name)!r} has two prices for the same prompts{day}.")
    if base.above:
        raise ValueError(
            f"{_text(name)!r} has no price for prompts of up to {base.above} tokens{day}."
        )
    return Era(since, tuple(longer), base, dearest(prices))


def _start(price: Price) -> float:
    day = price.since
    if day is None:
        return ALWAYS
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()


def _text(name: str | re.Pattern[str]) -> str:
    return name if isinstance(name, str) else name.pattern


def _digest(entries: list[Entry], otherwise: PriceBook | None) -> str:
    text = repr([(_text(name), price) for name, price in entries])
    below = "" if otherwise is None else otherwise.version
    return sha256(f"{text}{below}".encode()).hexdigest()[:12]
