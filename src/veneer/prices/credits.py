"""Credits: what some services show in place of dollars."""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

import msgspec

from veneer.prices.money import DOLLAR, half_even, parse, point
from veneer.prices.price import ONE, Price

# Beyond so many places nobody reads on; a credit whose parts have more is shown rounded.
MOST_PLACES = 18
ROUNDED_PLACES = 12


class Credits(msgspec.Struct, frozen=True, kw_only=True):
    """What a credit is worth, in picodollars, and what is added to prices in dollars (1/2: 50 %).

    A price in dollars is charged with the markup; one in credits is charged as it is. Raises
    ValueError for a credit that is worth nothing, and for a negative markup.
    """

    usd_per_credit: int = DOLLAR // 100
    markup: Fraction = Fraction(0)

    def __post_init__(self) -> None:
        if self.usd_per_credit <= 0:
            raise ValueError("A credit is worth nothing: usd_per_credit must be above 0.")
        if self.markup < 0:
            raise ValueError(f"The markup is {self.markup}: give 0 or more.")

    @property
    def places(self) -> int:
        """How many places after the point show any amount exactly; 12 where none up to 18 do."""
        for places in range(MOST_PLACES + 1):
            if 10**places % self.usd_per_credit == 0:
                return places
        return ROUNDED_PLACES

    def charged(self, price: Price) -> Price:
        """Return what is charged at a price in dollars: each rate with the markup, half-even."""
        return price.times(ONE + self.markup) if self.markup else price

    def parse(self, text: str) -> int:
        """Return the picodollars of an amount of credits, half-even; raises as `money.parse`."""
        return half_even(parse(text) * self.usd_per_credit, DOLLAR)

    def shown(self, amount: int) -> str:
        """Return an amount in credits as digits, exactly where there are `places` for that."""
        places = self.places
        text = point(self._units(amount, places), places)
        return text.rstrip("0").rstrip(".") if places else text

    def receipt(self, parts: Mapping[str, int]) -> tuple[dict[str, Decimal], Decimal]:
        """Return parts of a cost in credits, and their total, which is the sum of what is shown."""
        places = self.places
        units = {name: self._units(amount, places) for name, amount in parts.items()}
        shown = {name: Decimal(point(unit, places)) for name, unit in units.items()}
        return shown, Decimal(point(sum(units.values()), places))

    def _units(self, amount: int, places: int) -> int:
        return half_even(amount * 10**places, self.usd_per_credit)
