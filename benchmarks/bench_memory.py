"""How much memory a proxy needs for each of 2,000 slow streams.

2,000 chat completions stream at once, one event a second each. What a stream takes is what the
resident memory of the proxy's process has grown by since it answered its first request, divided by
the streams; a new process each time. Buffers of the kernel's sockets are not in it.
"""

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from statistics import median

from rig import nginx
from rig.processes import Process, ask, cores, raise_open_files, resident
from rig.proxies import LABELS, proxy
from rig.results import Bar, Column, Result, alternate, main
from rig.streams import Load, emitting, stream_through

STREAMS = 2000
CASES = ("nginx", "upstream", "stack", "serve")


def measure(*, rounds: int, seconds: float) -> Result:
    """Measure after the streams have run for so many seconds."""
    missing = nginx.missing()
    # A proxy has two sockets for each stream.
    streams = min(STREAMS, (raise_open_files() - 200) // 2)
    result = Result(
        name="memory",
        doc=__doc__,
        columns=[
            Column("stream_kb", "KB a stream"),
            Column("idle_mb", "MB before"),
        ],
        labels={name: LABELS[name] for name in CASES},
        settings={"streams": streams, "rounds": rounds, "seconds": seconds},
        skipped=[missing] if missing else [],
    )
    core, other = cores()
    load = Load(streams, float(streams), seconds)
    with ExitStack() as stack:
        origin, emitter = stack.enter_context(emitting(load, other))
        cases = {
            name: partial(grown, name, origin, emitter, load, (core, other))
            for name in CASES
            if name != "nginx" or not missing
        }
        result.samples = alternate(cases, rounds, watched=False)
    result.bars = [
        Bar(
            "a slow stream through the stack",
            median(result.samples["stack"]["stream_kb"]),
            at_most=30,
            unit=" KB",
            digits=1,
        )
    ]
    return result


def grown(
    name: str,
    origin: str,
    emitter: Process,
    load: Load,
    cpus: tuple[set[int] | None, set[int] | None],
) -> Mapping[str, float]:
    """Start a proxy and run the streams through it; return what memory that took."""
    with proxy(name, origin, cpus[0], buffering=False) as (url, process):
        ask(f"{url}/v1/models", method="GET")
        before = resident(process.pid)
        seen = stream_through(url, process, emitter, load, cpus[1])
    return {"stream_kb": (seen.resident - before) / load.streams / 1000, "idle_mb": before / 1e6}


if __name__ == "__main__":
    sys.exit(main(measure, rounds=3, seconds=4))
