"""The idempotency layer and its store: other processes, lost leases, a store that is away."""

import asyncio
import logging
from typing import Any

import pytest

from tests.asgi import running
from tests.layers.keyed import (
    Counted,
    Stage,
    Watched,
    keyed,
    layer,
    nothing_left,
    stepping,
    whole,
)
from tests.layers.probe import SSE, Script
from tests.layers.streams import CHAT, compact
from tests.limiters import virtual
from veneer.errors import BrokenResponseError
from veneer.idempotency.flight import FAREWELL

ANSWER = compact({"id": "chatcmpl-1"})
OTHER = compact({"id": "chatcmpl-2"})


def two(store: Watched, first: Any, second: Any, **options: Any) -> tuple[Any, Any]:
    """Return the layers of two processes that share a store."""
    return layer(first, store=store, **options), layer(second, store=store, **options)


def test_a_duplicate_elsewhere_waits_for_the_end_and_replays() -> None:
    async def main() -> None:
        store, stage, unused = Watched(), Stage(), Counted(lambda: whole(OTHER))
        here, there = two(store, Script(CHAT[0], stage, *CHAT[1:], headers=SSE), unused)
        async with running(here, keyed(stream=True)) as first:
            await stage.reached.wait()
            async with running(there, keyed(stream=True)) as second:
                await asyncio.sleep(100)
                assert store.asked.count("look") < 250
                stage.go.set()
                await first
                assert (await second).body == b"".join(CHAT)
        assert second.result().header("idempotent-replayed") == "true"
        assert unused.calls == 0

    virtual.run(main())


def test_a_duplicate_elsewhere_runs_the_call_if_the_first_fails() -> None:
    async def main() -> None:
        store, stage = Watched(), Stage()
        here, there = two(store, Script(stage, b"{}", status=503), whole(OTHER))
        async with running(here, keyed()) as first:
            await stage.reached.wait()
            async with running(there, keyed()) as second:
                await asyncio.sleep(5)
                stage.go.set()
                assert ((await first).status, (await second).body) == (503, OTHER)

    virtual.run(main())


def test_who_waits_for_another_process_and_leaves_leaves_nothing() -> None:
    async def main() -> None:
        store, stage, unused = Watched(), Stage(), Counted(lambda: whole(OTHER))
        here, there = two(store, Script(stage, ANSWER), unused)
        async with running(here, keyed()) as first:
            await stage.reached.wait()
            leaving = keyed()
            async with running(there, leaving) as second:
                await asyncio.sleep(5)
                leaving.disconnect.set()
                await second
            await asyncio.sleep(1)
            looks = store.asked.count("look")
            await asyncio.sleep(5)
            assert store.asked.count("look") == looks
            stage.go.set()
            await first
        assert unused.calls == 0

    virtual.run(main())


async def test_by_option_a_call_in_flight_is_a_conflict_here_and_elsewhere() -> None:
    store, stage = Watched(), Stage()
    here, there = two(store, Script(stage, ANSWER), whole(OTHER), in_flight="conflict")
    async with running(here, keyed()) as first:
        await stage.reached.wait()
        for stack in (here, there):
            refused = await keyed().run(stack)
            assert (refused.status, refused.header("retry-after")) == (409, "1")
            assert refused.json()["error"]["code"] == "idempotency_key_in_use"
            assert refused.header("x-should-retry") is None
            assert refused.header("idempotent-replayed") is None
            mismatch = await keyed(temperature=1).run(stack)
            assert (mismatch.status, mismatch.header("x-should-retry")) == (422, "false")
        stage.go.set()
        await first
    for stack in (here, there):
        assert (await keyed().run(stack)).body == ANSWER
        assert (await keyed(temperature=1).run(stack)).status == 422


def test_a_lease_is_renewed_while_its_call_runs() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        store, stage = Watched(clock=loop.time), Stage()
        unused = Counted(lambda: whole(OTHER))
        here, there = two(store, Script(stage, ANSWER), unused, lease=3.0)
        async with running(here, keyed()) as first, running(there, keyed()) as second:
            await asyncio.sleep(100)
            stage.go.set()
            assert [(await task).body for task in (first, second)] == [ANSWER] * 2
        assert store.asked.count("renew") == 100
        assert unused.calls == 0
        assert (virtual.timers(), nothing_left()) == ([], True)

    virtual.run(main())


def test_a_lease_that_cannot_be_renewed_for_a_while_is_held() -> None:
    async def main() -> None:
        store, stage = Watched(clock=asyncio.get_running_loop().time), Stage()
        stack = layer(Script(stage, ANSWER), store=store, lease=3.0)
        async with running(stack, keyed()) as first:
            await stage.reached.wait()
            store.away = {"renew"}
            await asyncio.sleep(1.5)
            store.away = set()
            await asyncio.sleep(10)
            stage.go.set()
            assert (await first).body == ANSWER
        assert len(store.recordings) == 1

    virtual.run(main())


@pytest.mark.parametrize("relay", [True, False])
@pytest.mark.parametrize("stream", [True, False])
def test_a_call_that_another_has_taken_over_is_given_up(*, stream: bool, relay: bool) -> None:
    async def main() -> None:
        store, stage = Watched(), Stage()
        app = Script(CHAT[0], stage, headers=SSE) if stream else Script(stage, ANSWER)
        stack = layer(app, store=store, lease=3.0, relay=relay)
        exchange = keyed(stream=stream)
        async with running(stack, exchange) as first:
            await stage.reached.wait()
            store.void = True
            await asyncio.sleep(1.1 + FAREWELL)
            assert app.cancelled
            if stream:
                with pytest.raises(BrokenResponseError):
                    await first
                assert exchange.body.startswith(CHAT[0])
                assert not exchange.ended
            else:
                assert ((await first).status, first.result().header("retry-after")) == (409, "1")
        assert (store.recordings, virtual.timers(), nothing_left()) == ([], [], True)

    virtual.run(main())


@pytest.mark.parametrize("away", [False, True])
async def test_who_lost_its_lease_gives_the_other_s_answer(*, away: bool) -> None:
    now = [0.0]
    store, stage = Watched(clock=lambda: now[0]), Stage()
    here, there = two(store, Script(stage, ANSWER), whole(OTHER), lease=30.0)
    async with running(here, keyed()) as first, running(here, keyed()) as second:
        await stage.reached.wait()
        now[0] += 31
        assert (await keyed().run(there)).body == OTHER
        store.away = {"look"} if away else set()
        stage.go.set()
        for task in (first, second):
            answer = await task
            assert (answer.status, answer.body == OTHER) == ((503, False) if away else (200, True))
            assert answer.header("idempotent-replayed") == (None if away else "true")
    assert len(store.recordings) == 1


async def test_a_stream_that_lost_its_lease_is_cut_without_its_last_event() -> None:
    now = [0.0]
    store, stage = Watched(clock=lambda: now[0]), Stage()
    here, there = two(
        store, Script(CHAT[0], stage, *CHAT[1:], headers=SSE), Script(*CHAT, headers=SSE)
    )
    exchange = keyed(stream=True)
    async with running(here, exchange) as first:
        await stage.reached.wait()
        now[0] += 31
        await keyed(stream=True).run(there)
        stage.go.set()
        with pytest.raises(BrokenResponseError):
            await first
    assert exchange.body == b"".join(CHAT[:-1])
    assert not exchange.ended


@pytest.mark.parametrize("asked", [["look"], ["look", "claim"]])
@pytest.mark.parametrize("stream", [True, False])
async def test_while_the_store_is_away_calls_run_or_are_refused(
    asked: list[str], *, stream: bool
) -> None:
    store = Watched()
    store.away = {asked[-1]}
    app = Counted(lambda: Script(*CHAT, headers=SSE) if stream else whole(ANSWER))
    refused = await keyed(stream=stream).run(layer(app, store=store))
    assert (refused.status, refused.header("retry-after"), app.calls) == (503, "2", 0)
    assert refused.json()["error"]["code"] == "idempotency_unavailable"
    stack = layer(app, store=store, on_failure="open")
    for calls in (1, 2):
        answer = await keyed(stream=stream).run(stack)
        assert answer.ended
        assert answer.header("idempotency-status") == "unrecorded"
        assert app.calls == calls
    # A store that does not answer is waited for once.
    assert store.asked == asked * 3


@pytest.mark.parametrize("renewed", [True, False])
def test_an_answer_is_kept_though_its_lease_was_over_if_nobody_else_has_asked(
    *, renewed: bool
) -> None:
    async def main() -> None:
        now = [0.0]
        store, stage, unused = Watched(clock=lambda: now[0]), Stage(), Counted(lambda: whole(OTHER))
        here, there = two(store, Script(stage, ANSWER), unused, lease=30.0)
        async with running(here, keyed()) as first:
            await stage.reached.wait()
            now[0] += 31
            await asyncio.sleep(11 if renewed else 0)
            stage.go.set()
            assert (await first).body == ANSWER
        assert (await keyed().run(there)).body == ANSWER
        assert (unused.calls, len(store.recordings)) == (0, 1)
        assert ("renew" in store.asked) is renewed

    virtual.run(main())


def test_an_answer_that_cannot_be_kept_at_once_is_given_and_kept_when_the_store_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        store = Watched(slow=True)
        store.away = {"commit", "release"}
        app = Counted(lambda: whole(ANSWER))
        stack = layer(app, store=store)
        answer = await stepping().run(stack)
        assert (answer.body, answer.header("idempotency-status")) == (ANSWER, "unrecorded")
        await asyncio.sleep(5)
        store.away = set()
        await asyncio.sleep(5)
        replay = await keyed().run(stack)
        assert (replay.body, replay.header("idempotent-replayed")) == (ANSWER, "true")
        assert (app.calls, len(store.recordings)) == (1, 1)
        assert "release" not in store.asked

    virtual.run(main())
    texts = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert texts[0].startswith("an answer cannot be kept at present")
    assert texts[-1] == "an answer was kept late"


def test_the_key_of_an_answer_that_waits_to_be_kept_stays_taken_beyond_its_lease() -> None:
    async def main() -> None:
        store = Watched()
        store.away = {"commit"}
        app = Counted(lambda: whole(ANSWER))
        stack = layer(app, store=store, lease=3.0)
        assert (await keyed().run(stack)).body == ANSWER
        await asyncio.sleep(20)
        async with running(stack, keyed()) as again:
            await asyncio.sleep(10)
            store.away = set()
            assert (await again).header("idempotent-replayed") == "true"
        assert app.calls == 1

    virtual.run(main())


def test_an_answer_that_is_not_kept_in_a_minute_is_given_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        store = Watched()
        store.away = {"commit"}
        stack = layer(whole(ANSWER), store=store)
        assert (await keyed().run(stack)).body == ANSWER
        await asyncio.sleep(120)
        tries = store.asked.count("commit")
        await asyncio.sleep(120)
        assert store.asked.count("commit") == tries

    virtual.run(main())
    assert "an answer could not be kept, and may be made again" in caplog.text


def test_only_so_many_answers_wait_for_a_store_that_is_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("veneer.idempotency.late.MAX_WAITING", 2)

    async def main() -> None:
        store = Watched()
        store.away = {"commit"}
        stack = layer(Counted(lambda: whole(ANSWER)), store=store)
        for number in range(3):
            asked = keyed(key=(b"idempotency-key", b"%d" % number))
            assert (await asked.run(stack)).body == ANSWER
        assert "an answer could not be kept, and may be made again" in caplog.text
        store.away = set()
        await asyncio.sleep(5)
        assert (len(store.recordings), nothing_left()) == (2, True)

    virtual.run(main())
