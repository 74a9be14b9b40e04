"""What an event of a stream costs the proxy, and how much later the client reads it.

200 chat completions stream at once, 50 events a second each, evenly spaced: 10,000 a second.
The events carry the time at which the upstream wrote them; the client notes when it read them. The
proxy has a core for itself, upstream and client share the other, so the latencies contain theirs:
"no proxy" shows how much that is. CPU time is user and system time of the proxy's process.
"""

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from statistics import median

from rig import nginx
from rig.processes import Process, ask, cores
from rig.proxies import LABELS, proxy
from rig.results import Bar, Column, Result, alternate, main, median_ratio
from rig.streams import Load, emitting, stream_through

STREAMS = 200
RATE = 10_000.0

CASES = ("nginx", "upstream", "stack", "serve")


def measure(*, rounds: int, seconds: float) -> Result:
    """Measure, `seconds` for each proxy in each of the rounds."""
    missing = nginx.missing()
    result = Result(
        name="stream",
        doc=__doc__,
        columns=[
            Column("cpu_us", "CPU µs an event", ratio_to="nginx"),
            Column("p50_us", "p50 µs", digits=0),
            Column("p99_us", "p99 µs", digits=0),
            Column("events_per_second", "events/s", digits=0),
        ],
        labels={
            "direct": "no proxy",
            **{name: LABELS[name] for name in CASES},
            "nginx": "nginx, `proxy_buffering off`",
        },
        settings={"streams": STREAMS, "rate": RATE, "rounds": rounds, "seconds": seconds},
        skipped=[missing] if missing else [],
    )
    core, other = cores()
    load = Load(STREAMS, RATE, seconds)
    with ExitStack() as stack:
        origin, emitter = stack.enter_context(emitting(load, other))
        cases = {"direct": partial(streamed, origin, None, emitter, load, other)}
        for name in CASES:
            if name == "nginx" and missing:
                continue
            url, process = stack.enter_context(proxy(name, origin, core, buffering=False))
            ask(f"{url}/v1/models", method="GET")
            cases[name] = partial(streamed, url, process, emitter, load, other)
        result.samples = alternate(cases, rounds)
    if not missing:
        result.bars.append(
            Bar(
                "CPU of an event, the stack's times nginx's",
                median_ratio(result.samples, "stack", "nginx", "cpu_us"),
                at_most=1.5,
            )
        )
    result.bars.append(
        Bar(
            "from write to read through the stack, median",
            median(result.samples["stack"]["p50_us"]) / 1000,
            at_most=1.0,
            unit=" ms",
        )
    )
    return result


def streamed(
    origin: str, process: Process | None, emitter: Process, load: Load, cpus: set[int] | None
) -> Mapping[str, float]:
    """Run the streams once; return the metrics."""
    seen = stream_through(origin, process, emitter, load, cpus)
    found = {
        "p50_us": seen.p50 * 1e6,
        "p99_us": seen.p99 * 1e6,
        "events_per_second": seen.events / load.seconds,
    }
    return found if process is None else {"cpu_us": seen.cpu / seen.events * 1e6, **found}


if __name__ == "__main__":
    sys.exit(main(measure, rounds=5, seconds=6))
