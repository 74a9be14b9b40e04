"""Prices and usages of every kind, sensible and not, for property tests."""

from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from veneer.facts import Usage
from veneer.prices.counting import LARGEST
from veneer.prices.price import INPUT, OUTPUT, UNITS, Price

rates = st.integers(0, 50) | st.integers(0, 10**16)
factors = st.builds(Fraction, st.integers(0, 3000), st.sampled_from([1, 2, 3, 1000]))
counts = st.integers(0, 20) | st.integers(0, LARGEST)

TOKENS = (
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
    "input_image_tokens",
    "output_image_tokens",
)


def small_prices() -> st.SearchStrategy[Price]:
    """Prices whose costs stay below the most that a call may cost."""
    return prices(st.integers(0, 1000))


def prices(amounts: st.SearchStrategy[int] = rates) -> st.SearchStrategy[Price]:
    """Return prices of tokens and maybe of more, with tiers."""
    optional = [name for name in (*INPUT, *OUTPUT, *UNITS) if name != "input"]

    def made(
        drawn: tuple[int, list[int | None], tuple[int, int], tuple[Fraction, Fraction]],
    ) -> Price:
        whole, own, tools, tiers = drawn
        fields: dict[str, Any] = dict(zip(optional, own, strict=True))
        return Price(
            input=whole,
            tools=dict(zip(("web_search", "file_search"), tools, strict=True)),
            tiers=dict(zip(("flex", "priority"), tiers, strict=True)),
            **fields,
        )

    size = len(optional)
    return st.tuples(
        amounts,
        st.lists(st.none() | amounts, min_size=size, max_size=size),
        st.tuples(amounts, amounts),
        st.tuples(factors, factors),
    ).map(made)


def usages(numbers: st.SearchStrategy[Any] = counts) -> st.SearchStrategy[Usage]:
    """Return usages whose counts may contradict each other."""
    size = len(TOKENS)

    def made(drawn: tuple[list[Any], float, bool]) -> Usage:
        tokens, seconds, malformed = drawn
        counted = dict(zip(TOKENS, tokens, strict=True))
        return Usage(**counted, seconds=seconds, malformed=malformed)

    return st.tuples(
        st.lists(numbers, min_size=size, max_size=size), st.floats(0, 10_000), st.booleans()
    ).map(made)


def sound(usage: Usage, **changes: int) -> Usage:
    """Return a usage with its total mended."""
    fields: dict[str, Any] = {name: getattr(usage, name) for name in TOKENS} | changes
    fields["total_tokens"] = fields["input_tokens"] + fields["output_tokens"]
    return Usage(**fields)


nonsense = st.one_of(
    counts,
    st.integers(),
    st.floats(),
    st.none(),
    st.booleans(),
    st.text(max_size=3),
    st.just(10**400),
    st.builds(Fraction, st.integers(-5, 5)),
    st.lists(st.integers(), max_size=2),
)
