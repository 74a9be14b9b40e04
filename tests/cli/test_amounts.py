"""Amounts as people read them."""

import pytest

from veneer.cli.amounts import dollars
from veneer.prices.money import DOLLAR


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (0, "$0.0000"),
        (1, "<$0.0001"),
        (DOLLAR // 10_000 - 1, "<$0.0001"),
        (DOLLAR // 10_000, "$0.0001"),
        (12 * DOLLAR + 345_600_000_000, "$12.3456"),
        (1_234_567 * DOLLAR, "$1,234,567.0000"),
        (10**30, "$1,000,000,000,000,000,000.0000"),
    ],
)
def test_amounts_are_readable_dollars(amount: int, shown: str) -> None:
    assert dollars(amount) == shown
