"""The spool: what waits for a ledger that is away."""

import asyncio
from pathlib import Path

import pytest

from tests.ledger.spools import (
    SIZE,
    Model,
    inside,
    lines,
    names,
    settlement,
    some,
    until,
)
from veneer.ledger._spool_lines import encode
from veneer.ledger.spool import Spool


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("veneer.ledger._spool_replay.FIRST_PAUSE", 0.001)
    monkeypatch.setattr("veneer.ledger._spool_replay.LONGEST_PAUSE", 0.005)


async def test_what_waits_is_settled_in_its_order_when_the_ledger_is_back(tmp_path: Path) -> None:
    ledger = Model()
    ledger.away = True
    spool = Spool(tmp_path / "spool", ledger, max_bytes=SIZE)
    async with ledger.lifespan(), spool.lifespan():
        for each in some(3, 1, 2):
            await spool.append(each)
        assert b"".join(lines(tmp_path / "spool")) == b"".join(map(encode, some(3, 1, 2)))
        ledger.away = False
        await until(lambda: list(ledger.rows) == names(3, 1, 2))
        spool.is_back()
        await until(lambda: lines(tmp_path / "spool") == [b""])
        assert [row.total for row in ledger.rows.values()] == [3] * 3
    assert inside(tmp_path / "spool") == []


async def test_what_is_not_in_at_the_end_stays_and_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Model()
    ledger.away = True
    spool = Spool(tmp_path, ledger, max_bytes=SIZE)
    for _ in range(2):
        async with spool.lifespan():
            for each in some(1, 2):
                await spool.append(each)
    assert f"4 settlements wait for the ledger in {tmp_path}" in caplog.text
    ledger.away = False
    async with spool.lifespan():
        # What is there at the start goes in without that anybody calls.
        await until(lambda: list(ledger.rows) == names(1, 2))
    assert inside(tmp_path) == []


async def test_the_end_of_the_lifespan_is_a_last_try(tmp_path: Path) -> None:
    ledger = Model()
    ledger.away = True
    spool = Spool(tmp_path, ledger, max_bytes=SIZE)
    async with spool.lifespan():
        await spool.append(settlement(1))
        ledger.away = False
    assert (list(ledger.rows), inside(tmp_path)) == (names(1), [])
    await spool.append(settlement(2))
    spool.is_back()
    assert ledger.given == names(1, 2)
    assert not spool.has_room


async def test_it_may_be_entered_more_than_once(tmp_path: Path) -> None:
    ledger = Model()
    spool = Spool(tmp_path, ledger, max_bytes=SIZE)
    async with spool.lifespan():
        async with spool.lifespan():
            assert len(inside(tmp_path)) == 1
        await spool.append(settlement(1))
        await until(lambda: lines(tmp_path) == [b""])
    assert (list(ledger.rows), inside(tmp_path)) == (names(1), [])


async def test_a_ledger_that_never_answers_does_not_keep_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent(Model):
        async def find(self, call: str, /) -> None:
            del call
            await asyncio.Event().wait()

    monkeypatch.setattr("veneer.ledger.spool.DRAIN", 0.05)
    spool = Spool(tmp_path, Silent(), max_bytes=SIZE)
    async with spool.lifespan():
        await spool.append(settlement(1))
    assert lines(tmp_path) == [encode(settlement(1))]


async def test_whoever_is_cancelled_loses_nothing(tmp_path: Path) -> None:
    ledger = Model()
    ledger.away = True
    spool = Spool(tmp_path, ledger, max_bytes=SIZE)
    async with spool.lifespan():
        task = asyncio.create_task(spool.append(settlement(1)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait((task,))
        await until(lambda: b"".join(lines(tmp_path)) == encode(settlement(1)))
