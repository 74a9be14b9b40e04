"""The parent of workers, where none serves anything."""

import os
import subprocess
import sys
import time
from multiprocessing import get_context

import pytest

from tests.cli.programs import PATIENCE
from veneer.cli.workers import Supervisor, Worker

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="workers are forked")


def run(code: str) -> "subprocess.CompletedProcess[str]":
    """Run Python in a process that may fork."""
    return subprocess.run(
        [sys.executable, "-c", f"import os, signal, sys, time\n{code}"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_workers_that_cannot_start_are_not_started_again() -> None:
    done = run(
        "from veneer.cli.workers import Supervisor\n"
        "sys.exit(Supervisor(lambda control: print('tried', flush=True) or 3, 2).run())"
    )
    assert done.returncode == 3
    assert done.stdout.count("tried") <= 2
    assert done.stderr == ""


def test_workers_that_do_not_listen_are_killed_in_the_end() -> None:
    started = time.monotonic()
    done = run(
        "from veneer.cli import workers\n"
        "workers.LAST_WORDS = 0.2\n"
        "def tell_parent(control):\n"
        "    for _ in range(2):\n"
        "        os.kill(os.getppid(), signal.SIGTERM)\n"
        "        time.sleep(0.05)\n"
        "    time.sleep(60)\n"
        "sys.exit(workers.Supervisor(tell_parent, 1).run())"
    )
    assert done.returncode == 0
    assert time.monotonic() - started < 10


def test_pauses_grow_with_crashes() -> None:
    done = run(
        "import logging; logging.basicConfig(level=logging.INFO, format='%(message)s')\n"
        "from veneer.cli import workers\n"
        "workers.FIRST_PAUSE = 0.01\n"
        "def stop_after(crashes):\n"
        "    def count(record):\n"
        "        said.append(record.getMessage())\n"
        "        if len(said) == crashes: os.kill(os.getpid(), signal.SIGTERM)\n"
        "        return True\n"
        "    return count\n"
        "said = []\n"
        "logging.getLogger('veneer.server').addFilter(stop_after(3))\n"
        "sys.exit(workers.Supervisor(lambda control: 7, 1).run())"
    )
    assert done.returncode == 0
    assert "ended with code 7" in done.stderr
    pauses = [float(line.split()[-2]) for line in done.stderr.splitlines()]
    assert pauses == sorted(pauses)


def test_telling_a_worker_that_is_gone_is_no_error() -> None:
    theirs, ours = os.pipe()
    os.close(theirs)
    worker = Worker(get_context("fork").Process(), ours, 0.0)
    worker.tell()
    os.close(ours)


def test_more_signals_than_a_pipe_holds_are_no_error() -> None:
    supervisor = Supervisor(lambda _: 0, 1)
    for _ in range(70_000):
        supervisor._count_signal(15, None)
    assert supervisor._signals == 70_000
