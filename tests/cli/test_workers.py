"""`veneer serve --workers N`."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.programs import PATIENCE, Connection, Program, get, program
from tests.cli.test_serve import post
from tests.cli.upstreams import DONE, EVENT, HeldUpstream

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def upstream() -> Iterator[HeldUpstream]:
    """Run a model server that waits for the test."""
    with HeldUpstream() as running:
        yield running


def children(program: Program) -> set[int]:
    """Return the ids of a program's processes but the first."""
    pid = program.process.pid
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return {int(child) for child in text.split()}


def until_there_are(program: Program, count: int, but: frozenset[int] = frozenset()) -> set[int]:
    end = time.monotonic() + PATIENCE
    while len(found := children(program) - but) != count:
        assert time.monotonic() < end, found
        time.sleep(0.01)
    return found


def alive(pid: int) -> bool:
    """Whether a process still runs; one that waits for its parent's notice does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def serve(upstream: HeldUpstream, *arguments: str) -> tuple[str, ...]:
    return (
        "serve",
        "--no-auth",
        "--upstream",
        upstream.url,
        "--port",
        "0",
        "--workers",
        "2",
        *arguments,
    )


def test_calls_are_finished_when_the_parent_is_stopped(upstream: HeldUpstream) -> None:
    with program(*serve(upstream)) as running:
        with Connection(running.port) as stream:
            stream.send(post(stream=True))
            stream.until(EVENT)
            workers = until_there_are(running, 2)
            running.stop()
            time.sleep(0.1)
            for pid in workers:
                # As a service manager does that signals every process of a service.
                if alive(pid):
                    os.kill(pid, signal.SIGTERM)
            upstream.release.set()
            assert DONE in stream.rest()
        assert running.wait() == 0
        assert not any(map(alive, workers))


def test_a_second_signal_does_not_wait(upstream: HeldUpstream) -> None:
    with program(*serve(upstream)) as running:
        with Connection(running.port) as stream:
            stream.send(post(stream=True))
            stream.until(EVENT)
            running.stop(signal.SIGINT)
            running.stop(signal.SIGTERM)
            assert b"server_is_shutting_down" in stream.rest()
        assert running.wait() == 0


def test_a_crashed_worker_is_replaced(upstream: HeldUpstream) -> None:
    with program(*serve(upstream)) as running:
        first = until_there_are(running, 2)
        for _ in range(2):
            os.kill(next(iter(children(running))), signal.SIGKILL)
            running.said("ended with code -9; the next starts in")
        until_there_are(running, 2)
        assert children(running) != first
        assert get(running.port, "/healthz").startswith(b"HTTP/1.1 200 ")


def test_workers_do_not_outlive_their_parent(upstream: HeldUpstream) -> None:
    with program(*serve(upstream)) as running:
        workers = until_there_are(running, 2)
        assert get(running.port, "/healthz").startswith(b"HTTP/1.1 200 ")
        running.stop(signal.SIGKILL)
        running.wait()
        end = time.monotonic() + PATIENCE
        while any(map(alive, workers)):
            assert time.monotonic() < end
            time.sleep(0.01)


def test_a_worker_told_to_stop_by_itself_is_replaced(upstream: HeldUpstream) -> None:
    with program(*serve(upstream)) as running:
        assert get(running.port, "/healthz").startswith(b"HTTP/1.1 200 ")
        one = until_there_are(running, 2).pop()
        running.said("veneer serves")
        os.kill(one, signal.SIGTERM)
        until_there_are(running, 2, frozenset([one]))
