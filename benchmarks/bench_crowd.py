"""What it takes to hold 100 to 10,000 streams at once through the full stack, in one worker or two.

Chat completions stream at once through `veneer serve` with everything on, evenly spaced events,
5,000 a second over all of them; 64 are begun at a time, and every stream must come to its proper
end with no event missing. All workers have one core, upstream and client share the other. CPU time
is user and system time of all processes of the proxy for an event; the time to open is that until
all streams have begun. Then the same workers take small completions, as in the comparison with
other gateways, 32 at a time.

A proxy has two sockets for each stream: where a process may have fewer open files than that takes,
there are fewer streams, as the table says.
"""

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial

from rig import nginx, wrk
from rig.completion import COMPLETION
from rig.contest import Served, served
from rig.processes import Process, cores, cpu_seconds, family, raise_open_files, resident
from rig.results import Bar, Column, Plot, Result, Table, alternate, main, median_ratio
from rig.streams import Load, emitting, stream_through

STREAMS = (100, 1000, 4000, 10_000)
WORKERS = (1, 2)
RATE = 5000.0
# Open files of a process that are no sockets of streams.
OTHERS = 200


def measure(*, rounds: int, seconds: float) -> Result:
    """Measure, `seconds` for each number of streams and workers in each of the rounds."""
    missing = [reason for reason in (nginx.missing(), wrk.missing()) if reason]
    result = Result(
        name="crowd",
        doc=__doc__,
        settings={"rounds": rounds, "seconds": seconds, "rate": RATE},
        skipped=missing,
    )
    if missing:
        return result
    core, other = cores()
    files = raise_open_files()
    with ExitStack() as held:
        answering = held.enter_context(nginx.answering(COMPLETION.decode(), other))
        cases = {}
        for workers in WORKERS:
            # The workers do not take quite the same number of connections.
            room = int((files - OTHERS) / 2 * (1 if workers == 1 else 1.5))
            for wanted in STREAMS:
                count = min(wanted, room)
                load = Load(count, RATE, seconds, paced=True)
                origin, emitter = held.enter_context(emitting(load, other))
                stack = served("full", origin, core, streams=True, workers=workers)
                found = held.enter_context(stack)
                case = f"{workers} {wanted}"
                result.labels[case] = f"{count:,} streams, workers: {workers}"
                cases[case] = partial(crowded, found, emitter, load, other)
            found = held.enter_context(served("full", answering, core, workers=workers))
            case = f"{workers} calls"
            result.labels[case] = f"small completions, workers: {workers}"
            cases[case] = partial(called, found, other, seconds=seconds)
        failed: dict[str, str] = {}
        result.samples = alternate(cases, rounds, failed=failed)
    result.skipped += [f"{result.labels[case]}: {why}" for case, why in failed.items()]
    show(result)
    return result


def crowded(
    found: Served, emitter: Process, load: Load, cpus: set[int] | None
) -> Mapping[str, float]:
    """Run the streams once; raises RuntimeError where one of them does not end as it should."""
    idle = sum(resident(pid) for pid in family(found.process.pid))
    seen = stream_through(found.origin, found.process, emitter, load, cpus, found.call)
    return {
        "cpu_us": seen.cpu / seen.events * 1e6,
        "p50_ms": seen.p50 * 1e3,
        "p99_ms": seen.p99 * 1e3,
        "open_s": seen.opened,
        "stream_kb": max(0.0, seen.resident - idle) / load.streams / 1000,
    }


def called(found: Served, cpus: set[int] | None, *, seconds: float) -> Mapping[str, float]:
    """Load the workers with calls."""
    pids = family(found.process.pid)
    before = sum(map(cpu_seconds, pids))
    seen = wrk.load(found.origin, cpus, connections=32, seconds=seconds, call=found.call)
    used = sum(map(cpu_seconds, pids)) - before
    return {"speed": seen["requests_per_second"], "call_us": used / seen["requests"] * 1e6}


def show(result: Result) -> None:
    """Say which tables, pictures and bars there are."""
    streams = [case for case in result.samples if not case.endswith("calls")]
    columns = [
        Column("cpu_us", "CPU µs an event"),
        Column("p50_ms", "delay, p50 ms", digits=2),
        Column("p99_ms", "delay, p99 ms", digits=1),
        Column("open_s", "seconds to open", digits=2),
        Column("stream_kb", "KB a stream"),
    ]
    speeds = [
        Column("speed", "requests/s", digits=0, ratio_to="1 calls"),
        Column("call_us", "CPU µs a request"),
    ]
    result.tables = [
        Table("Streams", streams, columns),
        Table("Calls", [f"{workers} calls" for workers in WORKERS], speeds),
    ]
    lines = {
        f"workers: {workers}": [(float(count), f"{workers} {count}") for count in STREAMS]
        for workers in WORKERS
    }
    result.plots = [
        Plot(
            "crowd",
            "CPU time of an event through the full stack",
            "cpu_us",
            "µs",
            lines=lines,
            along="streams at once",
        )
    ]
    most, least = STREAMS[-1], STREAMS[0]
    counts = [int(result.labels[case].split()[0].replace(",", "")) for case in streams]
    result.bars = [
        Bar("streams at once on one core, each to its end", max(counts), at_least=most, digits=0),
        Bar(
            "CPU of a call in two workers, times that in one",
            median_ratio(result.samples, "2 calls", "1 calls", "call_us"),
            at_most=2,
        ),
    ]
    if f"1 {most}" in streams:
        result.bars.append(
            Bar(
                f"CPU of an event with {most:,} streams, times that with {least:,}, one worker",
                median_ratio(result.samples, f"1 {most}", f"1 {least}", "cpu_us"),
                at_most=2,
            )
        )


if __name__ == "__main__":
    sys.exit(main(measure, rounds=2, seconds=4))
