"""The entries in the file: leases and clocks, what is removed, and what is counted."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.clock import Clock
from veneer.idempotency._sqlite_entries import GRACE, OVERHEAD, Entries, WriteNeeded
from veneer.idempotency._sqlite_file import FORMAT
from veneer.idempotency.store import Claim, Done, InFlight, Recording
from veneer.stores.sqlite_file import open_file

FINGERPRINT = b"f"


class Room:
    """Entries in a file, each of whose operations has a transaction of its own."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.clock = Clock()
        self.connection = open_file(path, FORMAT)
        self.connection.execute("PRAGMA synchronous = OFF")
        self.entries = Entries(self.connection, max_bytes=max_bytes, clock=self.clock)

    def claim(self, key: bytes, lease: float = 30.0) -> Claim | InFlight | Done:
        """Claim a key."""
        with self.entries.transaction():
            return self.entries.claim(key, FINGERPRINT, lease)

    def claimed(self, key: bytes, lease: float = 30.0) -> int:
        """Claim a key that is free, and return the token."""
        outcome = self.claim(key, lease)
        assert isinstance(outcome, Claim)
        return outcome.token

    def commit(self, key: bytes, token: int, size: int, ttl: float = 3600.0) -> bool:
        """Keep a recording that counts with this size."""
        recording = Recording(200, (), bytes(size - OVERHEAD - 1))
        with self.entries.transaction():
            return self.entries.commit(key, token, recording, ttl)

    def look(self, key: bytes) -> InFlight | Done | None:
        """Tell what is there, and mend it."""
        with self.entries.transaction():
            return self.entries.mend(key)

    def release(self, key: bytes, token: int) -> None:
        """Give a claim up."""
        with self.entries.transaction():
            self.entries.release(key, token)

    def number(self, statement: str) -> int:
        """Return what a statement selects."""
        found: int = self.connection.execute(statement).fetchone()[0]
        return found

    @property
    def count(self) -> int:
        """How many entries there are."""
        return self.number("SELECT count(*) FROM entries")


@contextmanager
def new_room(max_bytes: int = 100_000) -> Iterator[Room]:
    with TemporaryDirectory() as folder:
        room = Room(Path(folder) / "r", max_bytes)
        try:
            yield room
        finally:
            room.entries.close()


@pytest.fixture
def room() -> Iterator[Room]:
    with new_room() as room:
        yield room


def test_a_clock_that_is_put_back_makes_no_lease_immortal(room: Room) -> None:
    room.clock.now = 1e9
    room.claimed(b"a")
    room.claimed(b"b")
    room.clock.now = 1e6
    with pytest.raises(WriteNeeded):
        room.entries.look(b"a")
    assert room.look(b"a") == InFlight(FINGERPRINT, 30.0)
    assert room.claim(b"b") == InFlight(FINGERPRINT, 30.0)
    room.clock.now += 29
    assert room.look(b"a") == InFlight(FINGERPRINT, 1.0)
    room.clock.now += 2
    assert room.look(b"a") is None
    room.claimed(b"b")


def test_a_clock_that_is_set_right_by_a_moment_costs_no_write(room: Room) -> None:
    room.claimed(b"a")
    room.clock.now -= 0.5
    assert room.entries.look(b"a") == InFlight(FINGERPRINT, 30.0)


def test_a_holder_that_comes_late_may_commit_as_long_as_nobody_else_has_claimed(room: Room) -> None:
    first, second = room.claimed(b"a"), room.claimed(b"b")
    room.clock.now += 30 + GRACE - 1
    assert room.look(b"a") is None
    next_one = room.claimed(b"b")
    assert room.commit(b"a", first, 300)
    assert isinstance(room.look(b"a"), Done)
    assert not room.commit(b"b", second, 300)
    assert room.commit(b"b", next_one, 300)


def test_what_is_over_leaves_little_by_little(room: Room) -> None:
    for number in range(40):
        key = b"%d" % number
        room.commit(key, room.claimed(key), 300, ttl=10.0)
    room.clock.now += 11
    room.claimed(b"x")
    assert room.count == 41
    room.clock.now += GRACE
    counts = []
    for number in range(4):
        room.claimed(b"y%d" % number)
        counts.append(room.count)
    # The claim of x is over as well, and in its grace.
    assert counts == [26, 11, 4, 5]


def test_large_ones_that_are_over_leave_one_or_two_at_a_time() -> None:
    with new_room(100_000_000) as room:
        for number in range(4):
            key = b"%d" % number
            room.commit(key, room.claimed(key), 3_000_000, ttl=10.0)
        room.clock.now += 11 + GRACE
        room.claimed(b"x")
        assert room.count == 3


def test_the_oldest_recordings_leave_first_and_live_claims_never(room: Room) -> None:
    early = room.claimed(b"early")
    for number in range(12):
        key = b"%d" % number
        room.commit(key, room.claimed(key), 9_000)
    assert [number for number in range(12) if room.look(b"%d" % number) is None] == [0]
    # It began first, and was answered last.
    assert room.commit(b"early", early, 9_000)
    assert [number for number in range(12) if room.look(b"%d" % number) is None] == [0, 1]
    assert isinstance(room.look(b"early"), Done)


def test_claims_are_kept_even_where_they_alone_are_more_than_there_may_be() -> None:
    with new_room(OVERHEAD * 3) as room:
        tokens = [room.claimed(b"%d" % number) for number in range(8)]
        assert tokens == sorted(tokens)
        assert all(isinstance(room.look(b"%d" % number), InFlight) for number in range(8))


def test_an_answer_larger_than_everything_may_be_counts_as_too_large(room: Room) -> None:
    assert room.commit(b"a", room.claimed(b"a"), 100_001)
    assert room.look(b"a") == Done(FINGERPRINT, None)
    assert room.commit(b"b", room.claimed(b"b"), 99_000)
    found = room.look(b"b")
    assert isinstance(found, Done)
    assert found.recording is not None


def test_a_bound_that_was_lowered_is_reached_in_steps() -> None:
    with new_room(100_000_000) as room:
        for number in range(20):
            key = b"%d" % number
            room.commit(key, room.claimed(key), 1_000_000)
        lower = Entries(room.connection, max_bytes=1_000_000, clock=room.clock)
        counts = []
        for number in range(5):
            with lower.transaction():
                lower.claim(b"x%d" % number, FINGERPRINT, 30.0)
            counts.append(room.number("SELECT count(*) FROM entries WHERE lease IS NULL"))
        assert counts == [15, 10, 5, 0, 0]


def test_a_transaction_that_fails_leaves_nothing(room: Room) -> None:
    def fail() -> None:
        with room.entries.transaction():
            room.entries.claim(b"b", FINGERPRINT, 30.0)
            room.connection.execute("SELECT * FROM nothing")

    room.claimed(b"a")
    with pytest.raises(sqlite3.OperationalError):
        fail()
    assert not room.connection.in_transaction
    assert room.look(b"b") is None
    assert room.count == 1


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["claim", "commit", "release", "wait"]),
        st.integers(0, 5),
        st.integers(300, 12_000),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_whatever_happens_sizes_add_up_tokens_grow_and_claims_stay(
    steps: list[tuple[str, int, int]],
) -> None:
    with new_room(20_000) as room:
        held: dict[bytes, tuple[int, float]] = {}
        last = 0
        for kind, number, size in steps:
            key = b"%d" % number
            now = room.clock.now
            live = key in held and held[key][1] > now
            if kind == "claim":
                outcome = room.claim(key, size / 100)
                assert not (live and isinstance(outcome, Claim))
                if isinstance(outcome, Claim):
                    assert outcome.token > last
                    last = outcome.token
                    held[key] = (last, now + size / 100)
            elif kind == "commit" and key in held:
                assert room.commit(key, held.pop(key)[0], size) or not live
            elif kind == "release" and key in held:
                room.release(key, held.pop(key)[0])
            else:
                room.clock.now += size / 100
            total = room.number("SELECT size FROM totals")
            claims = room.number("SELECT count(*) FROM entries WHERE lease IS NOT NULL")
            assert total == room.number("SELECT ifnull(sum(size), 0) FROM entries")
            assert total <= max(20_000, claims * OVERHEAD)
            for other, (_, until) in held.items():
                assert isinstance(room.look(other), InFlight) == (until > room.clock.now)


@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=20))
@settings(max_examples=25, deadline=None)
def test_every_byte_comes_back(key: bytes, name: bytes, body: bytes) -> None:
    recording = Recording(299, ((name, body), (name, b"")), body)
    with new_room() as room:
        token = room.claimed(key)
        with room.entries.transaction():
            assert room.entries.commit(key, token, recording, 1.0)
        assert room.entries.find(key) == Done(FINGERPRINT, recording)
