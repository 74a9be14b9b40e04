"""A deterministic number for the number keywords of a JSON Schema."""

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, Final

from .error import SchemaError

# Every JSON reader takes whole numbers up to here exactly (RFC 8259 §6).
_LARGEST: Final = 2**53


def number(schema: Mapping[str, Any], *, whole: bool) -> int | float:
    """Return 1, or else a number near the bounds; an int if `whole` or if it is one.

    It is 2**53 at most, either way from 0. Heeds minimum, maximum, exclusiveMinimum,
    exclusiveMaximum and multipleOf; raises SchemaError if they are malformed or leave no number.
    """
    bounds = _Bounds(schema)
    for candidate in bounds.candidates():
        if (not whole or candidate.denominator == 1) and bounds.allow(candidate):
            return int(candidate) if candidate.denominator == 1 else float(candidate)
    raise SchemaError("no number is within its bounds")


class _Bounds:
    """The number keywords as exact fractions, each None where the schema is silent."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._low = _fraction(schema, "minimum")
        self._high = _fraction(schema, "maximum")
        self._above = _fraction(schema, "exclusiveMinimum")
        self._below = _fraction(schema, "exclusiveMaximum")
        self._step = _fraction(schema, "multipleOf")

    def allow(self, value: Fraction) -> bool:
        return (
            abs(value) <= _LARGEST
            and (self._low is None or value >= self._low)
            and (self._high is None or value <= self._high)
            and (self._above is None or value > self._above)
            and (self._below is None or value < self._below)
            and (not self._step or (value / self._step).denominator == 1)
        )

    def candidates(self) -> Iterator[Fraction]:
        """Yield numbers to try; where the bounds allow a whole number, one of them is it."""
        yield Fraction(1)
        edges = [
            edge for edge in (self._low, self._high, self._above, self._below) if edge is not None
        ]
        for edge in edges:
            step = self._step or Fraction(1)
            nearest = Fraction(math.floor(edge / step)) * step
            # Without a step a whole number is at most one from the edge; with one, a whole
            # multiple is at most the step's denominator away.
            reach = min(step.denominator, 100) + 1
            for away in range(reach + 1):
                yield nearest + away * step
                yield nearest - away * step
            yield edge
        yield from (Fraction(0), self._step or Fraction(0))
        if len(edges) > 1:
            yield (max(self._lows()) + min(self._highs())) / 2 if self._closed() else Fraction(0)

    def _lows(self) -> list[Fraction]:
        return [edge for edge in (self._low, self._above) if edge is not None]

    def _highs(self) -> list[Fraction]:
        return [edge for edge in (self._high, self._below) if edge is not None]

    def _closed(self) -> bool:
        return bool(self._lows() and self._highs())


def _fraction(schema: Mapping[str, Any], keyword: str) -> Fraction | None:
    found = schema.get(keyword)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        raise SchemaError(f"{keyword} is not a number")
    # Through the decimal text, so that 0.1 is a tenth and not the nearest double.
    return Fraction(str(found))
