"""The store in an SQLite file, among real processes."""

import json
import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

from tests.idempotency.sqlite_programs import FINGERPRINT, KEYS
from veneer.idempotency.sqlite import SqliteRecordingStore
from veneer.idempotency.store import Claim, InFlight, Recording


@contextmanager
def program(name: str, path: Path) -> Iterator[Popen[bytes]]:
    started = Popen(
        [sys.executable, "-m", "tests.idempotency.sqlite_programs", name, str(path)],
        stdin=PIPE,
        stdout=PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with started:
        try:
            yield started
        finally:
            started.kill()


def line(started: Popen[bytes]) -> Any:
    assert started.stdout is not None
    return json.loads(started.stdout.readline())


def go(started: Popen[bytes]) -> None:
    assert started.stdin is not None
    started.stdin.write(b"\n")
    started.stdin.flush()


def test_of_many_claims_in_several_processes_exactly_one_wins_each_key(tmp_path: Path) -> None:
    path = tmp_path / "r"
    with program("race", path) as one, program("race", path) as two, program("race", path) as three:
        programs = (one, two, three)
        assert [line(started) for started in programs] == ["ready"] * 3
        for started in programs:
            go(started)
        won = [number for started in programs for number in line(started)]
    assert sorted(won) == [key[0] for key in KEYS]


async def test_the_claim_of_a_killed_process_lasts_for_its_lease_and_no_longer(
    tmp_path: Path,
) -> None:
    path = tmp_path / "r"
    with program("hold", path) as holder:
        token = line(holder)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    ahead = 0.0
    store = SqliteRecordingStore(path, clock=lambda: time.time() + ahead)
    async with store.lifespan():
        assert isinstance(await store.claim(KEYS[0], FINGERPRINT, 30.0), InFlight)
        ahead = 31.0
        outcome = await store.claim(KEYS[0], FINGERPRINT, 30.0)
        assert isinstance(outcome, Claim)
        assert outcome.token > token


async def test_a_stopped_process_does_not_lock_the_others_out_of_reading(tmp_path: Path) -> None:
    path = tmp_path / "r"
    with program("hold", path) as holder:
        line(holder)
        holder.send_signal(signal.SIGSTOP)
        store = SqliteRecordingStore(path)
        async with store.lifespan():
            assert isinstance(await store.look(KEYS[0]), InFlight)
            assert isinstance(await store.claim(KEYS[1], FINGERPRINT, 30.0), Claim)


async def test_the_file_is_sound_whenever_a_process_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "r"
    last = 0
    for turn in range(5):
        with program("work", path) as one:
            assert line(one) == "working"
            time.sleep(random.uniform(0.0, 0.08))  # noqa: S311, ASYNC251 - any moment will do
        store = SqliteRecordingStore(path, max_bytes=200_000)
        key = bytes([turn]) * 20
        async with store.lifespan():
            outcome = await store.claim(key, FINGERPRINT, 30.0)
            assert isinstance(outcome, Claim)
            assert outcome.token > last
            last = outcome.token
            assert await store.commit(key, last, Recording(200, (), b"."), 3600.0)
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            sizes = "SELECT ifnull(sum(size), 0) FROM entries"
            (total,) = connection.execute("SELECT size FROM totals").fetchone()
            assert connection.execute(sizes).fetchone() == (total,)
            assert connection.execute(f"{sizes} WHERE lease IS NULL").fetchone()[0] <= 200_000


def test_a_store_can_be_used_on_both_sides_of_a_fork(tmp_path: Path) -> None:
    with program("fork", tmp_path / "r") as started:
        assert line(started) == [0, True]
