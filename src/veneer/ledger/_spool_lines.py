"""The lines of a spool: one settlement each, with what tells a line that is torn from a whole one.

A line is the CRC-32 of what follows in eight hexadecimal digits, a space, and a row as JSON.
"""

from zlib import crc32

import msgspec

from veneer.ledger.columns import closed, entry, opened
from veneer.ledger.entry import Entry, Settlement

_DIGITS = 8

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode


def encode(settlement: Settlement) -> bytes:
    """Return the line of a settlement, which has its `hold`.

    What comes back is what a row would have of it. Raises ValueError for what no ledger takes.
    """
    hold = settlement.hold
    if hold is None or hold.call != settlement.call:
        raise ValueError("What waits for the ledger brings the hold that its row can be made of.")
    written = _encode(entry((*opened(hold), *closed(settlement)), hold.accounts))
    return b"%08x %b\n" % (crc32(written), written)


def decode(line: bytes) -> Settlement | None:
    """Return the settlement of a line that has lost its end; None for one that is not whole."""
    written = line[_DIGITS + 1 :]
    if line[: _DIGITS + 1] != b"%08x " % crc32(written):
        return None
    try:
        row = _decode(written)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # It is whole, and of another version.
        return None
    if row.settlement is None:
        return None
    return msgspec.structs.replace(row.settlement, hold=row.hold)
