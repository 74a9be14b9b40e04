"""The limiter for the workers of one machine, where its file is locked, unfit or gone."""

import asyncio
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.limiters.sharing import EACH, left, sharing
from tests.limiters.workers import at_once
from veneer.limiters.shared import PATIENCE, SharedLimiter
from veneer.quotas.limiter import LimiterBusyError, LimiterUnavailableError


@contextmanager
def locked(limiter: SharedLimiter) -> Iterator[None]:
    """Hold the lock as somebody who is stopped does."""
    with Path(limiter._path).open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        yield


async def test_who_is_locked_out_waits_a_bounded_time_and_lets_others_go_on() -> None:
    with sharing() as (_, (limiter,)):
        at_once(limiter.take([]))
        with locked(limiter):
            both = [asyncio.ensure_future(limiter.take(EACH)) for _ in range(2)]
            await asyncio.sleep(0.002)
            both[1].cancel()
            with pytest.raises(LimiterBusyError, match="40 ms"):
                await both[0]
        assert left(limiter, EACH) == [5, 100, 2]
        assert limiter._waiting == 0


async def test_who_is_locked_out_for_a_moment_takes_then() -> None:
    with sharing() as (_, (limiter,)):
        with locked(limiter):
            taking = asyncio.ensure_future(limiter.take(EACH))
            await asyncio.sleep(0.002)
        assert not (await taking).refused


async def test_who_was_late_itself_tries_again_before_it_gives_up() -> None:
    with sharing() as (_, (limiter,)):
        with locked(limiter):
            taking = asyncio.ensure_future(limiter.take(EACH))
            await asyncio.sleep(0)
            # The loop is held up for longer than anyone waits, as where a core is shared.
            time.sleep(2 * PATIENCE)  # noqa: ASYNC251 - as said
            await asyncio.sleep(0)
        assert not (await taking).refused


async def test_what_is_settled_while_locked_is_settled_soon_after() -> None:
    with sharing(2) as (_, (limiter, other)):
        calls = [await limiter.take(EACH), await limiter.take(EACH)]
        with locked(limiter):
            for call in calls:
                limiter.settle(call.taken, 0)
            await asyncio.sleep(0.02)
            assert len(limiter._owed) == 2
        for _ in range(1000):
            await asyncio.sleep(0.001)
            if not limiter._owed:
                break
        assert left(other, EACH) == [3, 100, 2]


async def test_what_is_settled_while_locked_is_settled_by_whoever_comes_next() -> None:
    with sharing() as (_, (limiter,)):
        call = await limiter.take(EACH)
        with locked(limiter):
            limiter.settle(call.taken, 0)
        assert left(limiter, EACH) == [4, 100, 2]


def test_what_is_settled_while_locked_and_without_a_loop_is_kept() -> None:
    with sharing() as (_, (limiter,)):
        call = at_once(limiter.take(EACH))
        with locked(limiter):
            limiter.settle(call.taken, 0)
        assert left(limiter, EACH) == [4, 100, 2]


async def test_its_lifespan_ends_with_everything_settled_and_closed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with sharing(2) as (_, (limiter, other)):
        async with limiter.lifespan(), limiter.lifespan():
            calls = [await limiter.take(EACH), await limiter.take(EACH)]
            with locked(limiter):
                limiter.settle(calls[0].taken, 0)
        assert limiter._table is None
        assert left(other, EACH) == [3, 70, 2]
        async with limiter.lifespan():
            call = await limiter.take(EACH)
            with ExitStack() as until_the_end:
                until_the_end.enter_context(locked(limiter))
                limiter.settle(call.taken, 0)
                async with other.lifespan():
                    await limiter._finish()
        assert "1 calls are left unsettled" in caplog.text


async def test_a_file_that_cannot_be_opened_stops_the_start_and_fails_each_take(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "note").write_text("a note")
    for name, error in (("note", ValueError), ("nowhere/t", OSError)):
        limiter = SharedLimiter(tmp_path / name)
        with pytest.raises(error):
            await limiter.lifespan().__aenter__()
        with pytest.raises(LimiterUnavailableError, match=name):
            await limiter.take(EACH)
        limiter.settle([], 0)
        assert "1 calls cannot be settled yet" in caplog.text
        limiter._abandon()


async def test_a_file_that_is_removed_is_made_anew() -> None:
    with sharing(2) as (clock, (limiter, other)):
        call = await limiter.take(EACH)
        os.unlink(limiter._path)  # noqa: PTH108 - a path object may not block here either
        assert left(limiter, EACH) == [4, 70, 1]
        clock.now += 1
        assert left(limiter, EACH) == [4, 84, 1]
        assert not (await limiter.take(EACH)).refused
        limiter.settle(call.taken, 0)
        assert left(other, EACH) == [4, 70, 1]
