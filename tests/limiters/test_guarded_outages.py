"""When whoever counts is asked again, and what it costs meanwhile."""

import asyncio
import logging
import socket
import time
from itertools import pairwise
from typing import Any

import pytest

from tests.limiters.scripted import CLOSED, LOCAL, SHORT, Room, begun, cancelled
from veneer.quotas.limiter import Decision, LimiterUnavailableError


async def test_after_a_failure_nobody_asks_for_a_pause_that_doubles_up_to_a_bound() -> None:
    room = Room("fail")
    asked_at = []
    for _ in range(600):
        before = len(room.far.asked)
        await room.take()
        if len(room.far.asked) > before:
            asked_at.append(room.clock.now)
        room.clock.now += 0.125
    assert [b - a for a, b in pairwise(asked_at)] == [0.5, 1, 2, 4, 8, 10, 10, 10, 10, 10]
    assert room.guard.failures == len(asked_at)


async def test_success_lets_everybody_ask_and_the_next_pause_is_short_again() -> None:
    room = Room("fail")
    for _ in range(4):
        await room.take()
        room.clock.now += 60.0
    room.far.deed = "admit"
    for _ in range(3):
        assert (await room.take()).taken is not None
    assert len(room.far.asked) == 7

    room.far.deed = "fail"
    await room.take()
    room.far.deed = "admit"
    room.clock.now += 0.49
    assert (await room.take()).taken is None
    room.clock.now += 0.02
    assert (await room.take()).taken is not None


async def test_only_one_tries_while_all_others_go_on_at_once() -> None:
    room = Room("fail")
    await room.take()
    room.clock.now += 0.5
    room.far.deed = "wait"
    trial, *others = await begun(*(room.take(LOCAL) for _ in range(50)))
    assert not trial.done()
    for other in others:
        assert other.done()
        assert (await other).standings[0].policy == "local-requests@near"
    assert len(room.far.asked) == 2

    room.far.go.set()
    assert (await trial).standings[0].policy == "local-requests@far"
    assert (await room.take(LOCAL)).standings[0].policy == "local-requests@far"


async def test_a_trial_that_fails_lets_nobody_else_try_before_the_longer_pause() -> None:
    room = Room("fail")
    await room.take()
    room.clock.now += 0.5
    await asyncio.gather(*(room.take() for _ in range(20)))
    assert len(room.far.asked) == 2
    room.clock.now += 0.99
    await room.take()
    assert len(room.far.asked) == 2
    room.clock.now += 0.01
    await room.take()
    assert len(room.far.asked) == 3


async def test_a_limiter_that_hangs_costs_its_timeout_until_that_has_lasted() -> None:
    room = Room("hang", timeout=SHORT)
    began = time.monotonic()
    assert (await room.take(LOCAL)).standings[0].policy == "local-requests@near"
    assert SHORT * 0.9 < time.monotonic() - began < 1.0
    assert room.far.cancelled == 1
    assert room.guard.failures == 1
    room.clock.now += 0.25
    await room.take(LOCAL)
    assert len(room.far.asked) == 2
    for _ in range(50):
        with pytest.raises(LimiterUnavailableError):
            await room.take(CLOSED)
    assert len(room.far.asked) == 2


async def test_one_that_is_late_once_is_asked_again_at_once() -> None:
    room = Room("hang", timeout=SHORT)
    assert (await room.take(LOCAL)).standings[0].policy == "local-requests@near"
    room.far.deed = "admit"
    room.clock.now += 10.0
    assert (await room.take(LOCAL)).standings[0].policy == "local-requests@far"


async def test_calls_that_were_under_way_when_all_was_lost_do_not_lengthen_the_pause() -> None:
    room = Room("hang", timeout=SHORT)
    await asyncio.gather(*(room.take() for _ in range(30)))
    assert (len(room.far.asked), room.guard.failures) == (30, 30)
    room.far.deed = "admit"
    room.clock.now += 0.5
    assert (await room.take()).taken is not None


async def test_an_answer_that_was_asked_for_before_a_failure_does_not_end_the_pause() -> None:
    room = Room("wait")
    (early,) = await begun(room.take())
    room.far.deed = "fail"
    await room.take()
    room.far.deed = "admit"
    room.far.go.set()
    assert (await early).taken == ("far", 1)
    assert (await room.take()).taken is None
    assert len(room.far.asked) == 2


async def test_a_failure_of_what_began_before_it_was_back_is_no_new_one() -> None:
    room = Room("hang", timeout=0.2)
    (early,) = await begun(room.take(CLOSED))
    room.far.deed = "fail"
    await room.take()
    room.far.deed = "admit"
    room.clock.now += 0.5
    await room.take()
    with pytest.raises(LimiterUnavailableError):
        await early
    assert room.guard.failures == 2
    assert (await room.take()).taken is not None


async def test_a_take_that_is_late_among_others_that_are_not_changes_nothing_for_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    room = Room("hang", timeout=SHORT)
    (late,) = await begun(room.take(LOCAL))
    room.far.deed = "admit"
    await room.take()
    assert (await late).standings[0].policy == "local-requests@near"
    assert (room.guard.failures, caplog.records) == (1, [])
    assert (await room.take()).taken is not None


async def test_a_client_that_leaves_is_no_failure() -> None:
    room = Room("hang")
    (task,) = await begun(room.take(LOCAL))
    await cancelled(task)
    assert (room.far.cancelled, room.guard.failures) == (1, 0)
    assert room.near.asked == []
    room.far.deed = "admit"
    assert (await room.take()).taken is not None


async def test_a_trial_whose_client_leaves_is_made_by_the_next() -> None:
    room = Room("fail")
    await room.take()
    room.clock.now += 0.5
    room.far.deed = "hang"
    (trial,) = await begun(room.take())
    await cancelled(trial)
    assert room.guard.failures == 1
    room.far.deed = "admit"
    assert (await room.take()).taken is not None


async def test_a_trial_that_ends_in_a_bug_is_made_by_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    room = Room("fail")
    await room.take()
    room.clock.now += 0.5

    async def buggy(_charges: Any) -> Decision:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(room.far, "take", buggy)
        with pytest.raises(ZeroDivisionError):
            await room.take()
    room.far.deed = "admit"
    assert (await room.take()).taken is not None


async def test_what_the_loop_was_late_for_is_not_the_limiters_fault() -> None:
    """The answer is there when the loop comes back, and so is the deadline."""
    room = Room(timeout=0.05)
    here, there = socket.socketpair()
    here.settimeout(0)

    async def take(_charges: Any) -> Decision:
        await asyncio.create_task(asyncio.get_running_loop().sock_recv(here, 1))
        return Decision(standings=())

    room.guard._limiter.take = take  # type: ignore[method-assign]  # reads in some turns
    with here, there:
        (task,) = await begun(room.take(CLOSED))
        await asyncio.sleep(0)
        there.send(b"1")
        time.sleep(0.06)  # noqa: ASYNC251 - a loop that is blocked is the point
        assert await task == Decision(standings=())
    assert room.guard.failures == 0


async def test_each_change_is_logged_once_and_without_secrets(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "veneer.limits")
    room = Room("fail")
    for _ in range(40):
        await room.take()
        room.clock.now += 0.25
    room.far.deed = "admit"
    room.clock.now += 10.0
    for _ in range(3):
        await room.take()
    away, back = caplog.records
    assert (away.levelname, back.levelname) == ("WARNING", "INFO")
    assert away.getMessage() == (
        "the limiter Scripted is away (ConnectionRefusedError): until it is back, each quota's "
        "on_failure decides"
    )
    assert back.getMessage() == "the limiter Scripted is back after 20.0 s"


async def test_a_full_limiter_fails_one_take_and_is_asked_for_the_next(
    caplog: pytest.LogCaptureFixture,
) -> None:
    room = Room("full")
    for _ in range(61):
        assert (await room.take(LOCAL)).standings[0].policy == "local-requests@near"
        with pytest.raises(LimiterUnavailableError):
            await room.take(CLOSED)
        room.clock.now += 1.0
    assert len(room.far.asked) == room.guard.failures == 122
    assert [r.getMessage() for r in caplog.records] == 2 * [
        "the limiter Scripted has no room, and each quota's on_failure decides: no row is free"
    ]
    room.far.deed = "admit"
    assert (await room.take()).taken is not None


async def test_a_limiter_that_was_away_and_is_full_is_back() -> None:
    room = Room("fail")
    await room.take()
    room.clock.now += 0.5
    room.far.deed = "full"
    await room.take()
    room.far.deed = "admit"
    assert (await room.take()).taken is not None


async def test_a_busy_limiter_fails_one_take_and_is_asked_for_the_next(
    caplog: pytest.LogCaptureFixture,
) -> None:
    room = Room()
    for _ in range(20):
        room.far.deed = "busy"
        assert (await room.take(LOCAL)).standings[0].policy == "local-requests@near"
        with pytest.raises(LimiterUnavailableError):
            await room.take(CLOSED)
        room.far.deed = "admit"
        room.clock.now += 0.2
        assert (await room.take()).taken is not None
    assert (room.guard.failures, caplog.records) == (40, [])


async def test_a_limiter_that_stays_busy_is_away() -> None:
    room = Room("busy")
    for _ in range(9):
        await room.take()
        room.clock.now += 0.03125
    assert len(room.far.asked) == 9
    await room.take()
    assert len(room.far.asked) == 9
    room.clock.now += 0.5
    await room.take()
    await room.take()
    assert len(room.far.asked) == 10
    room.far.deed = "admit"
    room.clock.now += 1.0
    assert (await room.take()).taken is not None
    assert (await room.take()).taken is not None


async def test_being_late_is_logged_as_such(caplog: pytest.LogCaptureFixture) -> None:
    room = Room("hang", timeout=SHORT)
    await room.take()
    assert not caplog.text
    room.clock.now += 0.25
    await room.take()
    assert "(TimeoutError)" in caplog.text
