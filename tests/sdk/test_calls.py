"""The calls of a client, by context and by span."""

import asyncio
import contextvars
import gc
import threading
import weakref
from collections.abc import AsyncIterator

import httpx2
import pytest

from veneer.sdk.calls import _LAST, _OPEN, LIMIT, Calls


def response(name: str) -> httpx2.Response:
    return httpx2.Response(200, headers={"x-request-id": name})


def call(calls: Calls, name: str) -> None:
    calls.forget()
    calls.answered(response(name), streams=False)


def last(calls: Calls) -> str | None:
    found = calls.last()
    return None if found is None else found.request_id


def test_the_last_call_is_that_of_the_same_client() -> None:
    one, other = Calls(), Calls()
    assert last(one) is None
    call(one, "a")
    call(other, "b")
    call(one, "c")
    assert (last(one), last(other)) == ("c", "b")


def test_a_call_that_nobody_answered_is_not_taken_for_the_one_before() -> None:
    calls = Calls()
    call(calls, "a")
    calls.forget()
    assert last(calls) is None


def test_a_call_that_was_refused_is_the_last_and_the_callback_is_not_told() -> None:
    told: list[object] = []
    calls = Calls(on_response=told.append)
    calls.refused(response("a"))
    assert last(calls) == "a"
    assert told == []


async def test_every_task_has_its_own_last_call() -> None:
    calls = Calls()

    async def made(name: str) -> str | None:
        call(calls, name)
        await asyncio.sleep(0)
        return last(calls)

    names = [str(number) for number in range(50)]
    assert await asyncio.gather(*map(made, names)) == names
    assert last(calls) is None


def test_every_thread_has_its_own_last_call() -> None:
    calls = Calls()
    call(calls, "a")
    seen: list[str | None] = []
    thread = threading.Thread(target=lambda: seen.append(last(calls)))
    thread.start()
    thread.join()
    assert seen == [None]


async def test_a_recording_has_the_calls_of_tasks_and_threads_that_start_inside() -> None:
    calls, other = Calls(), Calls()
    call(calls, "before")
    with calls.recording(LIMIT) as made:
        assert (made.last, len(made)) == (None, 0)
        await asyncio.create_task(asyncio.to_thread(call, calls, "thread"))
        call(other, "other")
        call(calls, "here")
    call(calls, "after")
    assert [told.request_id for told in made] == ["thread", "here"]
    assert made.last is not None
    assert (made.last.request_id, len(made)) == ("here", 2)


def test_recordings_lie_within_one_another_and_keep_the_newest() -> None:
    calls = Calls()
    with calls.recording(LIMIT) as outer:
        call(calls, "a")
        with calls.recording(1) as inner:
            call(calls, "b")
            call(calls, "c")
    assert [told.request_id for told in inner] == ["c"]
    assert [told.request_id for told in outer] == ["a", "b", "c"]


async def test_a_recording_in_a_generator_ends_in_whichever_context_closes_it() -> None:
    calls = Calls()

    async def recorded() -> AsyncIterator[int]:
        with calls.recording(LIMIT):
            yield 1

    generator = recorded()
    await anext(generator)
    assert _OPEN.get()
    closing = generator.aclose()  # type: ignore[attr-defined] # an AsyncIterator that is more
    await asyncio.create_task(closing, context=contextvars.Context())


def test_nothing_is_kept_of_responses_nor_of_clients_that_are_gone() -> None:
    calls, other = Calls(), Calls()
    answer = response("a")
    calls.answered(answer, streams=False)
    gone = weakref.ref(answer)
    del answer
    gc.collect()
    assert gone() is None
    assert last(calls) == "a"
    del calls
    call(other, "b")
    assert len([owner for owner, _ in _LAST.get() if owner() is not None]) == len(_LAST.get())


def test_a_callback_that_must_be_awaited_is_refused() -> None:
    async def told(_: object) -> None: ...

    with pytest.raises(ValueError, match="coroutine function: give a plain one"):
        Calls(told)
    with pytest.raises(ValueError, match="at least 1 call, not 0"), Calls().recording(0):
        pass
