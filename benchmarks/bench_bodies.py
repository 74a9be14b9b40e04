"""How much memory a body of 1 GB takes on its way, in each direction.

An upload and a download of 1 GB go through an operation that is passed on as it is (`files`, which
is allowed by name). What counts is the peak of the proxy's resident memory in that time, over what
it had after its first small request; a new process each time.
"""

import socket
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from statistics import median
from urllib.parse import urlsplit

from rig import nginx
from rig.model_server import length_of, read_head, send_bytes, serving, swallow
from rig.processes import ask, cores, cpu_seconds, on, reset_peak, resident
from rig.proxies import LABELS, proxy
from rig.results import Bar, Column, Result, alternate, main

SIZE = 1_000_000_000
# Seconds without any progress after which it is given up.
STALLED = 30.0


def upload(connection: socket.socket) -> None:
    """Send a file; read the answer."""
    head = (
        b"POST /v1/files HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer sk-client\r\n"
        b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: %d\r\n\r\n"
    )
    connection.sendall(head % SIZE)
    send_bytes(connection, SIZE)
    answer, body = read_head(connection)
    expect(answer)
    swallow(connection, length_of(answer) - len(body))


def download(connection: socket.socket) -> None:
    """Ask for a file; read it."""
    connection.sendall(
        b"GET /v1/files/%d/content HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Authorization: Bearer sk-client\r\n\r\n" % SIZE
    )
    head, body = read_head(connection)
    expect(head)
    if length_of(head) != SIZE:
        raise RuntimeError("the file is not announced with its length")
    swallow(connection, SIZE - len(body))


def expect(head: bytes) -> None:
    """Raise RuntimeError for anything but success."""
    if not head.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"answered with {head[:40]!r}")


def measure(*, rounds: int) -> Result:
    """Measure both directions with each proxy."""
    missing = nginx.missing()
    names = [name for name in ("nginx", "upstream", "stack") if name != "nginx" or not missing]
    directions: dict[str, Callable[[socket.socket], None]] = {
        "upload": upload,
        "download": download,
    }
    result = Result(
        name="bodies",
        doc=__doc__,
        columns=[
            Column("peak_mb", "MB at most"),
            Column("mb_per_second", "MB/s", digits=0),
            Column("cpu_s", "CPU s", digits=2),
        ],
        labels={
            f"{name}-{direction}": f"{LABELS[name]}: {direction}"
            for direction in directions
            for name in names
        },
        settings={"bytes": SIZE, "rounds": rounds},
        skipped=[missing] if missing else [],
    )
    core, other = cores()
    with on(other), serving() as origin:
        cases = {
            f"{name}-{direction}": partial(passed, name, origin, transfer, core)
            for direction, transfer in directions.items()
            for name in names
        }
        result.samples = alternate(cases, rounds, watched=False)
    result.bars = [
        Bar(
            f"1 GB {direction} through the stack",
            median(result.samples[f"stack-{direction}"]["peak_mb"]),
            at_most=20,
            unit=" MB",
            digits=1,
        )
        for direction in directions
    ]
    return result


def passed(
    name: str,
    origin: str,
    transfer: Callable[[socket.socket], None],
    cpus: set[int] | None,
) -> Mapping[str, float]:
    """Start a proxy and pass a body through it; return what that took."""
    with proxy(name, origin, cpus, buffering=False) as (url, process):
        ask(f"{url}/v1/models", method="GET")
        where = urlsplit(url)
        with socket.create_connection((where.hostname, where.port), STALLED) as connection:
            reset_peak(process.pid)
            before, cpu, started = (
                resident(process.pid),
                cpu_seconds(process.pid),
                time.monotonic(),
            )
            transfer(connection)
            took = time.monotonic() - started
            return {
                "peak_mb": (resident(process.pid, peak=True) - before) / 1e6,
                "mb_per_second": SIZE / took / 1e6,
                "cpu_s": cpu_seconds(process.pid) - cpu,
            }


if __name__ == "__main__":
    sys.exit(main(measure, rounds=3))
