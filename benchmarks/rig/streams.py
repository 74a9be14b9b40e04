"""Many streams through a proxy at once: the emitter on one side, the reader on the other."""

import select
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from subprocess import TimeoutExpired
from tempfile import TemporaryDirectory

import msgspec

from rig.completion import Call
from rig.processes import (
    START,
    Process,
    cpu_seconds,
    family,
    free_port,
    python,
    resident,
    running,
    until_listening,
)

# Seconds that streams run before they are measured, and after.
WARM = 1.0
AFTER = 0.5

USUAL = Call()


class Load(msgspec.Struct, frozen=True):
    """How many streams, how many events a second over all of them, for how many seconds.

    `keyed` is whether each call has an idempotency key of its own, `paced` whether calls wait until
    those before are answered.
    """

    streams: int
    rate: float
    seconds: float
    keyed: bool = False
    paced: bool = False


class Seen(msgspec.Struct):
    """What was measured: of the proxy, CPU seconds and bytes of memory; of each event, seconds.

    `opened` is how many seconds it took until all streams had begun.
    """

    events: int
    cpu: float
    resident: int
    latencies: list[float]
    opened: float

    @property
    def p50(self) -> float:
        """The median of the times from write to read, in seconds."""
        return median(self.latencies)

    @property
    def p99(self) -> float:
        """The time within which 99 of 100 events were read."""
        return quantiles(self.latencies, n=100)[98]


@contextmanager
def emitting(load: Load, cpus: set[int] | None) -> Iterator[tuple[str, Process]]:
    """Run the emitter; gives its origin and its process."""
    port = free_port()
    whole = WARM + load.seconds + AFTER
    command = python("rig.emitter", str(port), str(load.streams), str(load.rate), str(whole))
    with running(command, cpus, piped=True) as process:
        until_listening(process, port)
        yield f"http://127.0.0.1:{port}", process


def stream_through(  # noqa: PLR0913, PLR0917 - both sides, and what is between them
    origin: str,
    proxy: Process | None,
    emitter: Process,
    load: Load,
    cpus: set[int] | None,
    call: Call = USUAL,
) -> Seen:
    """Read streams from an origin, while the proxy behind it and its workers are watched.

    Raises RuntimeError where a stream does not come to its end in time.
    """
    with TemporaryDirectory() as home:
        output = Path(home, "times")
        options = [name for name in ("keyed", "paced") if getattr(load, name)]
        how = msgspec.json.encode(call).decode()
        command = python("rig.reader", origin, str(load.streams), str(output), how, *options)
        with running(command, cpus, piped=True) as reader:
            began = time.monotonic()
            _await_start(emitter, reader)
            opened = time.monotonic() - began
            time.sleep(WARM)
            watched = [] if proxy is None else family(proxy.pid)
            begin, cpu = time.monotonic_ns(), sum(map(cpu_seconds, watched))
            time.sleep(load.seconds)
            end, cpu = time.monotonic_ns(), sum(map(cpu_seconds, watched)) - cpu
            memory = sum(map(resident, watched))
            if not _ended_well(reader):
                raise RuntimeError(f"the streams from {origin} did not end as they should")
        times = array("q", output.read_bytes())
    latencies = [
        (read - sent) / 1e9
        for sent, read in zip(times[::2], times[1::2], strict=True)
        if begin <= sent < end
    ]
    if len(times) != 2 * int(load.rate * (WARM + load.seconds + AFTER)):
        raise RuntimeError(f"events from {origin} are missing")
    return Seen(len(latencies), cpu, memory, latencies, opened)


def _ended_well(reader: Process) -> bool:
    try:
        return reader.wait(START) == 0
    except TimeoutExpired:
        return False


def _await_start(emitter: Process, reader: Process) -> None:
    """Wait until the emitter has all its calls."""
    if emitter.stdout is None:
        raise ValueError("the emitter's output is not piped")
    ready, _, _ = select.select([emitter.stdout], [], [], 2 * START)
    if not ready or emitter.stdout.readline() != b"started\n" or reader.poll() is not None:
        raise RuntimeError("not all of the streams could be begun")
