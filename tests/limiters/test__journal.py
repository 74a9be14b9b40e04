"""The journal of a mapped file."""

import mmap
from collections.abc import Iterator
from typing import Any

import pytest

from veneer.limiters._journal import Journal
from veneer.quotas.limiter import LimiterUnavailableError

SIZE = 4096
ROOM = 256


class Killed(BaseException):
    """Ends a process that was writing."""


class Dying(mmap.mmap):
    """A mapping whose process dies before one of its writes."""

    writes_left: float = float("inf")

    def __setitem__(self, key: Any, value: Any) -> None:
        if self.writes_left < 1:
            raise Killed
        self.writes_left -= 1
        super().__setitem__(key, value)


@pytest.fixture
def mapped() -> Iterator[Dying]:
    with Dying(-1, SIZE) as opened:
        yield opened


WRITES = {1000: b"first", 2000: b"second", 3000: b"3"}


def written(mapped: mmap.mmap) -> list[bool]:
    return [mapped[at : at + len(data)] == data for at, data in WRITES.items()]


@pytest.mark.parametrize("survived", range(7))
def test_who_dies_at_any_write_has_written_all_or_nothing(mapped: Dying, survived: int) -> None:
    journal = Journal(mapped, 0, ROOM)
    mapped.writes_left = survived
    try:
        journal.commit(WRITES)
    except Killed:
        assert survived < 6
    mapped.writes_left = float("inf")
    journal.recover()
    assert written(mapped) == [survived >= 2] * 3
    # What was finished is not done again over what came after it.
    mapped[1000:1005] = b"later"
    Journal(mapped, 0, ROOM).recover()
    assert mapped[1000:1005] == b"later"


@pytest.mark.parametrize("survived", range(4))
def test_who_dies_while_recovering_is_recovered_from(mapped: Dying, survived: int) -> None:
    mapped.writes_left = 2
    with pytest.raises(Killed):
        Journal(mapped, 0, ROOM).commit(WRITES)
    mapped.writes_left = survived
    with pytest.raises(Killed):
        Journal(mapped, 0, ROOM).recover()
    mapped.writes_left = float("inf")
    Journal(mapped, 0, ROOM).recover()
    assert written(mapped) == [True] * 3


def test_more_than_it_holds_is_not_written_at_all(mapped: Dying) -> None:
    journal = Journal(mapped, 0, ROOM)
    with pytest.raises(LimiterUnavailableError):
        journal.commit({1000: b"first", 2000: bytes(ROOM)})
    journal.recover()
    assert not mapped[:].strip(b"\0")
