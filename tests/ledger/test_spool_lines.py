"""The lines of a spool."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.contract import TEAM, end, hold
from tests.ledger.spools import settlement
from veneer.facts import Usage
from veneer.ledger._spool_lines import decode, encode
from veneer.ledger.columns import closed, opened
from veneer.ledger.entry import Account, Hold, Settlement

TEXTS = st.none() | st.text(max_size=8)


@st.composite
def settlements(draw: st.DrawFn) -> Settlement:
    account = Account("b", ("team", draw(st.text("aé\n", max_size=3))), 0, None, draw(LIMITS))
    held = Hold(
        call="call-1",
        amount=draw(st.integers(0, 10**15)),
        accounts=(account,) * draw(st.integers(0, 2)),
        at=draw(st.floats()),
        key=draw(TEXTS),
        tags=tuple(draw(st.lists(st.text(max_size=3), max_size=3))),
        model=draw(TEXTS),
        stream=draw(st.booleans()),
    )
    return Settlement(
        call="call-1",
        state=draw(st.sampled_from(["completed", "failed", "disconnected", "released"])),
        at=draw(st.floats()),
        usage=draw(st.none() | st.builds(Usage, input_tokens=st.integers(), seconds=st.floats())),
        parts=draw(st.dictionaries(st.text(max_size=3), st.integers(-(2**63), 2**63), max_size=3)),
        total=draw(st.integers(0, 10**15)),
        estimated=draw(st.booleans()),
        answered_model=draw(TEXTS),
        status=draw(st.none() | st.integers(0, 999)),
        latency=draw(st.none() | st.floats()),
        hold=held,
    )


LIMITS = st.none() | st.integers(0, 10**18)


@given(settlements())
def test_what_comes_back_is_the_same_row(given: Settlement) -> None:
    line = encode(given)
    assert line.index(b"\n") == len(line) - 1
    found = decode(line[:-1])
    assert found is not None
    assert found.hold is not None
    assert given.hold is not None
    assert found.hold.accounts == given.hold.accounts
    assert opened(found.hold) == opened(given.hold)
    assert closed(found) == closed(given)


@given(st.data())
def test_a_line_that_was_changed_or_cut_is_told(data: st.DataObject) -> None:
    line = encode(settlement(1))[:-1]
    at = data.draw(st.integers(0, len(line) - 1))
    assert decode(line[:at]) is None
    changed = data.draw(st.integers(0, 255).filter(lambda byte: byte != line[at]))
    assert decode(line[:at] + bytes([changed]) + line[at + 1 :]) is None


@pytest.mark.parametrize(
    "row",
    [b"", b"{}", b"[1]", b'{"hold":', b'"\xff"', b'{"hold":{"call":"\xff"}}', b"[" * 10_000],
)
def test_a_whole_line_of_another_version_is_not_read(row: bytes) -> None:
    assert decode(sealed(row)) is None


def sealed(row: bytes) -> bytes:
    from zlib import crc32  # noqa: PLC0415 - what the format says, said once more

    return b"%08x %b" % (crc32(row), row)


def test_a_row_without_an_end_is_not_read() -> None:
    row = {"hold": msgspec.to_builtins(hold(1, TEAM)), "settlement": None}
    assert decode(sealed(msgspec.json.encode(row))) is None


def test_what_no_ledger_takes_is_refused_at_once() -> None:
    held = hold(1, TEAM, call="one")
    for wrong in (
        end(held, 1),
        end(held, 1, hold=hold(1, TEAM, call="two")),
        end(held, -1, hold=held),
        end(held, 1, state="abandoned", hold=held),
        end(held, 1, hold=msgspec.structs.replace(held, amount=-1)),
    ):
        with pytest.raises(ValueError, match=r"brings the hold|costs 0|No call ends|hold is of"):
            encode(wrong)
