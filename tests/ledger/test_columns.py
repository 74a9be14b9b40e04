"""The columns of a row."""

from veneer.facts import Usage
from veneer.ledger.columns import CLOSED, OPENED, USAGE, closed, opened
from veneer.ledger.entry import Hold, Settlement


def test_the_columns_of_the_usage_are_its_members_in_their_order() -> None:
    assert Usage.__struct_fields__ == USAGE


def test_there_is_a_value_for_every_column() -> None:
    assert len(opened(Hold(call="c", amount=1, accounts=(), at=1.0))) == len(OPENED)
    for usage in (None, Usage()):
        settlement = Settlement(call="c", state="failed", at=1.0, usage=usage)
        assert len(closed(settlement)) == len(CLOSED)
