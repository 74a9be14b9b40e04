"""A row in the file, as far as it is needed to judge and to close it."""

import msgspec

from veneer.ledger._sqlite_accounts import Resolved
from veneer.ledger.entry import Hold, State
from veneer.ledger.judging import Row

# What is read of a row: its call, id, state, amount, total and accounts.
Found = tuple[str, int, State, int, int, tuple[int, ...]]

decode_found = msgspec.json.Decoder(list[Found]).decode


class FileRow(Row[int], kw_only=True):
    """What counts of a row, and its id, 0 for one that is not written."""

    id: int


def held_row(hold: Hold, accounts: Resolved, number: int) -> FileRow:
    """Return the row of a hold, with this id."""
    return FileRow(state="held", amount=hold.amount, total=0, accounts=accounts.unique, id=number)


def found_row(found: Found) -> FileRow:
    """Return a row that was read."""
    _, number, state, amount, total, accounts = found
    return FileRow(state=state, amount=amount, total=total, accounts=accounts, id=number)
