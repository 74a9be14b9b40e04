"""Names and tables on a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.cli.terminal import MAX_WIDTH, print_table, printable, shortened


@given(st.text())
def test_no_terminal_obeys_a_name(text: str) -> None:
    assert printable(text).isprintable()
    assert len(shortened(text)) <= MAX_WIDTH
    if text.isprintable():
        assert printable(text) == text


def test_numbers_stand_to_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([["NAME", "N"], ["a", "1,000"], ["longer", ""]], left=1)
    assert capsys.readouterr().out == "NAME        N\na       1,000\nlonger\n"
