"""The limiter for the workers of one machine, among real processes."""

import asyncio
import json
import os
import sys
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

from tests.limiters.workers import REQUESTS, SLOTS, shared
from veneer.quotas.quota import Charge


def start(name: str, path: Path) -> Popen[bytes]:
    return Popen(
        [sys.executable, "-m", "tests.limiters.workers", name, str(path)],
        stdout=PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def answer(program: Popen[bytes]) -> Any:
    out, _ = program.communicate(timeout=25)
    assert program.returncode == 0
    return json.loads(out)


def test_four_processes_admit_what_there_is_and_no_more(tmp_path: Path) -> None:
    programs = [start("spend", tmp_path / "t") for _ in range(4)]
    admitted = sum(answer(program)["admitted"] for program in programs)
    assert 0.98 * REQUESTS.limit <= admitted <= REQUESTS.limit


async def test_slots_of_a_killed_process_come_back_in_a_second(tmp_path: Path) -> None:
    limiter = shared(tmp_path / "t")
    with start("hold", tmp_path / "t") as program:
        assert program.stdout is not None
        assert json.loads(program.stdout.readline()) == "held"
        assert (await limiter.take([Charge(SLOTS, ("one",), 1)])).refused
        program.kill()
    began = asyncio.get_running_loop().time()
    while (await limiter.take([Charge(SLOTS, ("one",), 1)])).refused:
        assert asyncio.get_running_loop().time() < began + 5
        await asyncio.sleep(0.02)
    standing = (await limiter.take([Charge(SLOTS, ("one",), 0)])).standings[0]
    assert standing.remaining == SLOTS.limit - 1
    limiter._abandon()


def test_a_forked_child_has_a_lock_and_calls_of_its_own(tmp_path: Path) -> None:
    expected = {"dropped": 1, "left": 6, "locked_out": 1, "at_end": 8}
    assert answer(start("fork", tmp_path / "t")) == expected


def test_a_table_is_sound_whenever_a_process_is_killed(tmp_path: Path) -> None:
    looks = answer(start("load", tmp_path / "t"))
    assert len(looks) == 20
    for look in looks:
        assert look["by_counters"] == look["by_rows"]
        assert look["left"] == [SLOTS.limit] * 3
    assert any(sum(look["by_rows"]) for look in looks)
