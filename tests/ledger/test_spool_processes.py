"""The spool, among real processes that are killed."""

import asyncio
import json
import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import psycopg
import pytest

from tests.ledger.contract import COUNTED, standing
from tests.ledger.spool_programs import TASKS, till
from tests.ledger.spools import lines, until
from tests.stores.databases import gate_to, postgresql_schema
from veneer.ledger.sqlite import SqliteLedger


@contextmanager
def program(name: str, folder: Path, ledger: str | None = None) -> Iterator[Popen[bytes]]:
    started = Popen(
        [
            sys.executable,
            "-m",
            "tests.ledger.spool_programs",
            name,
            ledger or str(folder / "ledger"),
            str(folder / "spool"),
        ],
        stdin=PIPE,
        stdout=PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with started:
        try:
            yield started
        finally:
            started.kill()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Have the ledger away: somebody writes into its file, and does not come to an end."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=20)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


async def made(path: Path) -> None:
    """Make a ledger's file."""
    ledger = SqliteLedger(path, timeout=20.0)
    async with ledger.lifespan():
        await ledger.balances([])


def line(started: Popen[bytes]) -> Any:
    assert started.stdout is not None
    return json.loads(started.stdout.readline())


def go(started: Popen[bytes]) -> None:
    assert started.stdin is not None
    started.stdin.write(b"\n")
    started.stdin.flush()


async def spent(path: Path) -> tuple[int, int]:
    """Return what all calls together have spent, and hold."""
    ledger = SqliteLedger(path, timeout=20.0)
    async with ledger.lifespan():
        [found] = await standing(ledger, COUNTED)
    return found


def rows(path: Path) -> list[tuple[str, str, int]]:
    """Return the calls of a ledger in the order of their rows: id, state, cost."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT call, state, total FROM entries ORDER BY id").fetchall()


def killed(started: Popen[bytes]) -> None:
    started.send_signal(signal.SIGKILL)
    started.wait()


async def test_what_a_killed_process_left_is_replayed_in_its_order(tmp_path: Path) -> None:
    await made(tmp_path / "ledger")
    with locked(tmp_path / "ledger"), program("outside", tmp_path) as started:
        calls = line(started)
        killed(started)
    assert len(calls) == TASKS
    assert rows(tmp_path / "ledger") == []
    [waiting] = lines(tmp_path / "spool")
    order = sorted(calls, key=lambda call: waiting.index(call.encode()))
    ours = till(str(tmp_path / "ledger"), str(tmp_path / "spool"), timeout=20.0)
    async with ours.lifespan():
        await until(lambda: lines(tmp_path / "spool") == [b""])
    assert rows(tmp_path / "ledger") == [(call, "completed", 3) for call in order]
    assert await spent(tmp_path / "ledger") == (TASKS * 3, 0)


async def test_of_two_processes_that_race_each_row_comes_once(tmp_path: Path) -> None:
    await made(tmp_path / "ledger")
    calls = []
    with locked(tmp_path / "ledger"):
        for _ in range(2):
            with program("outside", tmp_path) as started:
                calls += line(started)
    with ExitStack() as stack:
        racing = [stack.enter_context(program("take", tmp_path)) for _ in range(2)]
        assert [line(started) for started in racing] == ["ready"] * 2
        for started in racing:
            go(started)
        assert [line(started) for started in racing] == ["done"] * 2
        assert [started.wait(20) for started in racing] == [0, 0]
    assert sorted(rows(tmp_path / "ledger")) == [(call, "completed", 3) for call in sorted(calls)]
    assert await spent(tmp_path / "ledger") == (2 * TASKS * 3, 0)
    assert list((tmp_path / "spool").iterdir()) == []


async def test_whenever_a_process_is_killed_all_calls_outside_the_ledger_come_in_once(
    tmp_path: Path,
) -> None:
    path, calls = tmp_path / "ledger", []
    await made(path)
    for _ in range(2):
        with program("work", tmp_path) as started:
            assert line(started) == "working"
            for _ in range(2):
                with locked(path):
                    calls.append(line(started))
                    time.sleep(random.uniform(0, 0.05))  # noqa: S311, ASYNC251 - any moment will do
                time.sleep(random.uniform(0, 0.02))  # noqa: S311, ASYNC251 - as above
            killed(started)
            assert started.stdout is not None
            for said in started.stdout.read().splitlines():
                # The last one may be torn.
                with suppress(ValueError):
                    calls.append(json.loads(said))
    ours = till(str(path), str(tmp_path / "spool"), timeout=20.0)
    async with ours.lifespan():
        await until(lambda: lines(tmp_path / "spool") == [b""])
    found = {call: (state, total) for call, state, total in rows(path)}
    assert {found.get(call) for call in calls} == {("completed", 3)}
    assert len(calls) >= 4
    assert (await spent(path))[0] == sum(total for _, total in found.values())


@pytest.mark.parametrize("away", ["refused", "silent"])
async def test_what_waits_for_a_server_is_replayed_in_its_order(tmp_path: Path, away: str) -> None:
    with postgresql_schema() as url:
        async with gate_to(url) as (gate, way):
            if away == "silent":
                gate.silence()
            else:
                await gate.close()
            with program("outside", tmp_path, way) as started:
                calls = await asyncio.to_thread(line, started)
                killed(started)
            assert len(calls) == TASKS
            await gate.open()
            [waiting] = lines(tmp_path / "spool")
            ours = till(way, str(tmp_path / "spool"), timeout=20.0)
            async with ours.lifespan():
                await until(lambda: lines(tmp_path / "spool") == [b""])
        with psycopg.connect(url) as connection:
            found = connection.execute(
                "SELECT call, state, total FROM veneer_entries ORDER BY id"
            ).fetchall()
            spent = connection.execute("SELECT spent, held FROM veneer_accounts").fetchall()
    order = sorted(calls, key=lambda call: waiting.index(call.encode()))
    assert found == [(call, "completed", 3) for call in order]
    assert spent == [(TASKS * 3, 0)]
