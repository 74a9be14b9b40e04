"""Amounts and names on a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.cli.amounts import dollars, print_table, printable, shortened
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


@given(st.text())
def test_no_terminal_obeys_a_name(text: str) -> None:
    assert printable(text).isprintable()
    assert len(shortened(text)) <= 40
    if text.isprintable():
        assert printable(text) == text


def test_numbers_stand_to_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([["NAME", "N"], ["a", "1,000"], ["longer", ""]])
    assert capsys.readouterr().out == "NAME        N\na       1,000\nlonger\n"
