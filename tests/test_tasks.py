"""Tasks that nobody waits for."""

import asyncio
import logging

import pytest

from veneer.tasks import retrieved, telling

logger = logging.getLogger("veneer.test")


async def fails() -> None:
    raise KeyError("bug")


async def lasts() -> None:
    await asyncio.Event().wait()


async def test_a_task_that_has_failed_is_told_and_one_that_was_ended_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failed, ended = asyncio.create_task(fails()), asyncio.create_task(lasts())
    for task in (failed, ended):
        task.add_done_callback(telling(logger, "no longer looked after"))
    await asyncio.wait([failed])
    ended.cancel()
    await asyncio.wait([ended])
    (record,) = caplog.records
    assert (record.levelname, record.message) == ("CRITICAL", "no longer looked after")
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], KeyError)


async def test_what_was_retrieved_is_no_more_complained_of() -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    failed, ended = asyncio.create_task(fails()), asyncio.create_task(lasts())
    for task in (failed, ended):
        task.add_done_callback(retrieved)
    ended.cancel()
    await asyncio.wait([failed, ended])
    del failed, ended, task
    assert complaints == []
