"""What an event of a stream costs each gateway, and how much later the client reads it.

200 and 2,000 chat completions stream at once, evenly spaced events, 10,000 a second over all of
them; Portkey is given 2,000 and LiteLLM 500, more than which they cannot take. Nginx does not
buffer, the full stack has everything on. The events carry the time at which the upstream wrote
them; the client notes when it read them. The proxy has a core for itself, upstream and client share
the other, so the delays contain theirs. CPU time is user and system time of the proxy's process;
with fewer events a second there are more wake-ups for each.

The time to the first event is that from the call, on a connection that is open, of calls that have
one token: before the streams, one after the other. Memory is what the process had grown by with all
streams open, divided by them, since it first answered.
"""

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from statistics import median

from rig import first_event, nginx
from rig.contest import ESSENTIAL, LABELS, Served, present, served
from rig.peers import FAST, PEERS
from rig.processes import Process, cores, raise_open_files, resident
from rig.results import Bar, Column, Plot, Result, Table, alternate, main, median_ratio
from rig.streams import Load, emitting, stream_through

STREAMS = (200, 2000)
NAMES = [name for name in LABELS if name != "hello"]

FIRSTS = 100


def measure(*, rounds: int, seconds: float) -> Result:
    """Measure, `seconds` for each proxy and number of streams in each of the rounds."""
    missing = nginx.missing()
    result = Result(
        name="peer_streams",
        doc=__doc__,
        labels={f"{name} {count}": LABELS[name] for count in STREAMS for name in NAMES},
        settings={"rounds": rounds, "seconds": seconds, "first events": FIRSTS},
        skipped=[missing] if missing else [],
    )
    if missing:
        return result
    core, other = cores()
    room = (raise_open_files() - 200) // 2
    failed: dict[str, str] = {}
    with ExitStack() as held:
        cases = {}
        for name in present(NAMES, result.skipped):
            for count in STREAMS:
                rate = PEERS[name].rate if name in PEERS else FAST
                load = Load(min(count, room), rate, seconds)
                origin, emitter = held.enter_context(emitting(load, other))
                try:
                    found = held.enter_context(served(name, origin, core, streams=True))
                    first_event.times(found.origin, found.call, other, calls=FIRSTS)
                except RuntimeError as error:
                    if name in ESSENTIAL:
                        raise
                    failed[f"{name} {count}"] = str(error)
                    continue
                idle = resident(found.process.pid)
                cases[f"{name} {count}"] = partial(streamed, found, emitter, load, other, idle=idle)
        result.samples = alternate(cases, rounds, failed=failed)
    result.skipped += [f"{name} failed: {why}" for name, why in failed.items()]
    for case, metrics in result.samples.items():
        floor = result.samples[f"nginx {case.rpartition(' ')[2]}"]
        metrics["added_ms"] = [
            value - base
            for value, base in zip(metrics["first_ms"], floor["first_ms"], strict=False)
        ]
    show(result)
    return result


def streamed(
    found: Served, emitter: Process, load: Load, cpus: set[int] | None, *, idle: int
) -> Mapping[str, float]:
    """Make calls, then run the streams once; return the metrics."""
    first = median(first_event.times(found.origin, found.call, cpus, calls=FIRSTS))
    seen = stream_through(found.origin, found.process, emitter, load, cpus, found.call)
    return {
        "first_ms": first * 1e3,
        "cpu_us": seen.cpu / seen.events * 1e6,
        "p50_ms": seen.p50 * 1e3,
        "p99_ms": seen.p99 * 1e3,
        "stream_kb": (seen.resident - idle) / load.streams / 1000,
        "rate": load.rate,
    }


def show(result: Result) -> None:
    """Say which tables, pictures and bars there are."""
    for count in STREAMS:
        cases = [case for case in result.samples if case.endswith(f" {count}")]
        columns = [
            Column("cpu_us", "CPU µs an event", ratio_to=f"nginx {count}"),
            Column("added_ms", "first event, ms more than nginx", digits=2),
            Column("p50_ms", "delay, p50 ms", digits=2),
            Column("p99_ms", "delay, p99 ms", digits=2),
            Column("stream_kb", "KB a stream"),
            Column("rate", "events/s", digits=0, spread=False),
        ]
        result.tables.append(Table(f"{count:,} streams", cases, columns))
        result.plots.append(
            Plot(
                f"peers-event-{count}",
                f"CPU time of an event, {count:,} streams",
                "cpu_us",
                "µs",
                cases,
            )
        )
        result.bars.append(
            Bar(
                f"CPU of an event with everything on, times nginx's, {count:,} streams",
                median_ratio(result.samples, f"full {count}", f"nginx {count}", "cpu_us"),
                at_most=1.6,
            )
        )


if __name__ == "__main__":
    sys.exit(main(measure, rounds=3, seconds=4))
