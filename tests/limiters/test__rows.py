"""Rows of a mapped file, found by digest."""

import hashlib
import mmap
import struct

from hypothesis import given
from hypothesis import strategies as st

from veneer.limiters._rows import GROUP, Rows, size_of


def rows_for(count: int) -> tuple[mmap.mmap, Rows]:
    mapped = mmap.mmap(-1, 64 + size_of(count, "d"))
    return mapped, Rows(mapped, 64, count, "d")


def digest_of(number: int) -> bytes:
    return hashlib.blake2b(b"%d" % number, digest_size=16).digest()


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=150))
def test_rows_are_found_until_their_place_is_needed_after_their_time(
    made: list[tuple[int, int]],
) -> None:
    mapped, rows = rows_for(16)
    live: dict[int, float] = {}
    for now, (number, lasts) in enumerate(made):
        digest = digest_of(number)
        at = rows.find(digest) or rows.vacant(digest, now, ())
        live = {known: until for known, until in live.items() if until > now}
        if at:
            row = rows.pack(digest, float(number), float(now + lasts))
            mapped[at : at + len(row)] = row
            live[number] = now + lasts
        for known, until in live.items():
            assert rows.read(rows.find(digest_of(known))) == (digest_of(known), known, until)
    mapped.close()


def test_as_many_as_were_asked_for_find_room() -> None:
    mapped, rows = rows_for(4000)
    for number in range(4000):
        at = rows.vacant(digest_of(number), 0.0, ())
        assert at
        row = rows.pack(digest_of(number), 0.0, 1.0)
        mapped[at : at + len(row)] = row
    assert all(rows.find(digest_of(number)) for number in range(4000))
    mapped.close()


def test_there_is_no_room_among_the_living_and_the_promised() -> None:
    mapped, rows = rows_for(1)
    promised: list[int] = []
    for _ in range(GROUP):
        promised.append(rows.vacant(b"d" * 16, 0.0, promised))
    assert 0 not in promised
    assert len(set(promised)) == GROUP
    assert rows.vacant(b"d" * 16, 0.0, promised) == 0
    mapped.close()


def test_values_that_look_like_a_digest_are_none() -> None:
    mapped = mmap.mmap(-1, 64 + size_of(1, "16s"))
    rows = Rows(mapped, 64, 1, "16s")
    row = rows.pack(b"a" * 16, b"b" * 16, 1.0)
    mapped[64 : 64 + len(row)] = row
    assert rows.find(b"a" * 16) == 64
    assert rows.find(b"b" * 16) == 0
    second = rows.vacant(b"b" * 16, 0.0, ())
    mapped[second : second + 16] = b"b" * 16
    assert rows.find(b"b" * 16) == second == 64 + struct.calcsize("=16s16sd")
    mapped.close()
