"""Processes: started on a core of their own, watched by their id, and ended whatever happens."""

import http.client
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn
from urllib.parse import urlsplit

HOME = Path(__file__).resolve().parent.parent
SOURCE = HOME.parent / "src"

# Seconds for a server to come up, and for a process to obey SIGTERM.
START = 15.0
STOP = 8.0

TICK = os.sysconf("SC_CLK_TCK")

Process = subprocess.Popen[bytes]


def environment() -> dict[str, str]:
    """Return the environment of our Python children, which import this checkout."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(SOURCE), str(HOME)]),
        "VENEER_BENCHMARK_KEY": "sk-benchmark",
    }


def cores() -> tuple[set[int] | None, set[int] | None]:
    """Return the core for what is measured and the one for load and upstream.

    None twice where there is but one, or where processes cannot be pinned.
    """
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    usable = sorted(os.sched_getaffinity(0))
    return ({usable[0]}, {usable[1]}) if len(usable) > 1 else (None, None)


@contextmanager
def on(cpus: set[int] | None) -> Iterator[None]:
    """Run what is inside, and the processes started there, on these cores."""
    if cpus is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def running(
    command: Sequence[str | Path],
    cpus: set[int] | None = None,
    *,
    piped: bool = False,
    env: Mapping[str, str] | None = None,
) -> Iterator[Process]:
    """Run a process as long as the context is open; `piped` leaves its standard output to read.

    `env` is its environment, where it is none of ours; what it has to say of errors goes nowhere
    then, either.
    """
    with on(cpus):
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if piped else subprocess.DEVNULL,
            stderr=None if env is None else subprocess.DEVNULL,
            env=environment() if env is None else env,
        )
    try:
        yield process
    finally:
        end(process)


def end(process: Process) -> None:
    """End a process of ours, with SIGKILL where SIGTERM is not enough."""
    process.terminate()
    try:
        process.wait(STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of this folder or of the package."""
    return [sys.executable, "-m", module, *arguments]


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def until_listening(process: Process, port: int, *, every: float = 0.02) -> None:
    """Wait until a port takes connections; raises RuntimeError where its process never does."""
    give_up = time.monotonic() + START
    while time.monotonic() < give_up:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with code {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(every)
        else:
            return
    raise RuntimeError(f"{process.args!r} does not listen on its port")


def ask(  # noqa: PLR0913 - what a request has
    url: str,
    body: bytes | None = None,
    *,
    method: str = "POST",
    key: str = "",
    headers: Mapping[str, str] | None = None,
    timeout: float = 10,
) -> tuple[int, bytes]:
    """Send one request on a connection of its own; return the status and the body.

    `headers` stand in place of that of the `key`.
    """
    fields = {"authorization": f"Bearer {key}"} if headers is None else headers
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=timeout)
    try:
        connection.request(method, parts.path, body, {"content-type": "application/json", **fields})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def family(pid: int) -> list[int]:
    """Return the ids of a process and of all that descend from it."""
    found = [pid]
    for member in found:
        for thread in Path(f"/proc/{member}/task").iterdir():
            found += map(int, (thread / "children").read_text().split())
    return found


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used, all its threads, user and system (proc(5))."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / TICK


def resident(pid: int, *, peak: bool = False) -> int:
    """Return the bytes of memory that a process has resident, or had at most since `reset_peak`."""
    name = "VmHWM:" if peak else "VmRSS:"
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"the kernel does not tell the {name} of {pid}")


def reset_peak(pid: int) -> None:
    """Let the peak of a process's resident memory begin anew (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def raise_open_files() -> int:
    """Allow this process and its children as many open files as may be; return how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def exit_on_sigterm() -> None:
    """Make SIGTERM unwind this process, so that what it started is ended too."""

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        del number, frame
        raise SystemExit(143)

    signal.signal(signal.SIGTERM, leave)
