"""How many small completions a second one core relays, and what part of nginx's that is.

wrk keeps 32 connections busy with small chat completions; the upstream is nginx with a fixed
answer. The proxy has a core for itself, load and upstream share the other. The proxies take turns.
All but nginx run under uvicorn with uvloop and httptools.

Where the proxy is fast enough, the core with load and upstream is what bounds it (nginx); CPU time
is the user and system time of the proxy's process.
"""

import sys
from contextlib import ExitStack
from functools import partial
from http import HTTPStatus

from rig import nginx, wrk
from rig.completion import CLIENT_KEY, COMPLETION, PATH, REQUEST
from rig.processes import ask, cores, cpu_seconds
from rig.proxies import LABELS, proxy
from rig.results import Bar, Column, Result, alternate, main, median_ratio

CONNECTIONS = 32


def measure(*, rounds: int, seconds: float) -> Result:
    """Measure, `seconds` for each proxy in each of the rounds."""
    missing = [reason for reason in (nginx.missing(), wrk.missing()) if reason]
    result = Result(
        name="relay",
        doc=__doc__,
        columns=[
            Column("requests_per_second", "requests/s", digits=0, ratio_to="nginx"),
            Column("cpu_us", "CPU µs a request"),
            Column("p50_ms", "p50 ms", digits=2),
            Column("p99_ms", "p99 ms", digits=2),
        ],
        labels=dict(LABELS),
        settings={"connections": CONNECTIONS, "rounds": rounds, "seconds": seconds},
        skipped=missing,
    )
    if missing:
        return result
    core, other = cores()
    with ExitStack() as stack:
        origin = stack.enter_context(nginx.answering(COMPLETION.decode(), other))
        cases = {}
        for name in LABELS:
            url, process = stack.enter_context(proxy(name, origin, core))
            status, answer = ask(url + PATH, REQUEST, key=CLIENT_KEY)
            # A paid one has a receipt.
            if status != HTTPStatus.OK or (name != "paid" and answer != COMPLETION):
                raise RuntimeError(f"{name} does not answer the completion")
            cases[name] = partial(loaded, url, process.pid, other, seconds=seconds)
        for load in cases.values():
            load(seconds=1)
        result.samples = alternate(cases, rounds)
    speed = "requests_per_second"
    result.bars = [
        Bar(
            "`Upstream` alone, of nginx's requests/s",
            median_ratio(result.samples, "upstream", "nginx", speed),
            at_least=0.40,
        ),
        Bar(
            "`Upstream` alone, times the same on httpx",
            median_ratio(result.samples, "upstream", "upstream-httpx", speed),
            at_least=15,
            digits=0,
        ),
        Bar(
            "through keys, limits, cost and relay, of nginx's requests/s",
            median_ratio(result.samples, "paid", "nginx", speed),
            at_least=0.19,
        ),
    ]
    return result


def loaded(origin: str, pid: int, cpus: set[int] | None, *, seconds: float) -> dict[str, float]:
    """Load a proxy; return what wrk saw, and the CPU time that each request cost the proxy.

    The latter hardly suffers from what else the machine does.
    """
    before = cpu_seconds(pid)
    found = wrk.load(origin, cpus, connections=CONNECTIONS, seconds=seconds)
    requests = found.pop("requests")
    return {**found, "cpu_us": (cpu_seconds(pid) - before) / requests * 1e6}


if __name__ == "__main__":
    sys.exit(main(measure, rounds=5, seconds=3))
