"""How many requests a second one core takes, side by side with other gateways.

wrk keeps 1, 32 and 256 connections busy with small chat completions; the upstream is nginx with a
fixed answer. The proxy has a core for itself, load and upstream share the other. All take turns.
The full stack is `veneer serve` with a `veneer.toml`: keys in a store, limits of requests, tokens
and running calls, idempotency, a catalog, prices, budgets, a ledger with a row for each call, and
receipts. The others do as little as they can: no database, no limits, no log.

Latencies are what came on top of nginx's in the same round. With one connection they are what a
call takes; with more, what it waits for others. CPU time is the user and system time of the proxy's
process. Who is slow gets more time where there are many connections, so that each of them has had
several answers.
"""

import sys
from contextlib import ExitStack
from functools import partial

from rig import nginx, wrk
from rig.calm import OTHERS
from rig.completion import COMPLETION
from rig.contest import ESSENTIAL, LABELS, Served, present, served
from rig.processes import cores, cpu_seconds
from rig.results import Bar, Column, Plot, Result, Samples, Table, alternate, main, median_ratio

CONNECTIONS = (1, 32, 256)
USUAL = 32

# Answers that each connection gets at the least, and the most seconds that this may take.
ANSWERS = 3
LONGEST = 12.0

# What the requests/s of the full stack are at the least, as a share of theirs.
BARS = {"nginx": 0.22, "ferrogw": 1.6, "tensorzero": 1.6, "litellm": 80.0}


def measure(*, rounds: int, seconds: float) -> Result:
    """Measure, `seconds` for each proxy and number of connections in each of the rounds."""
    missing = [reason for reason in (nginx.missing(), wrk.missing()) if reason]
    result = Result(
        name="peers",
        doc=__doc__,
        labels=dict(LABELS),
        settings={"rounds": rounds, "seconds": seconds},
        skipped=missing,
    )
    if missing:
        return result
    core, other = cores()
    failed: dict[str, str] = {}
    with ExitStack() as held:
        origin = held.enter_context(nginx.answering(COMPLETION.decode(), other))
        cases = {}
        for name in present(LABELS, result.skipped):
            try:
                found = held.enter_context(served(name, origin, core))
                speed = wrk.load(
                    found.origin, other, connections=USUAL, seconds=2, call=found.call
                )["requests_per_second"]
            except RuntimeError as error:
                if name in ESSENTIAL:
                    raise
                failed[name] = str(error)
                continue
            for connections in CONNECTIONS:
                enough = min(LONGEST, ANSWERS * connections / speed)
                time = max(seconds, enough)
                run = partial(loaded, found, other, connections=connections, seconds=time)
                cases[f"{name} {connections}"] = run
        samples = alternate(cases, rounds, failed=failed)
    result.skipped += [f"{name} failed: {why}" for name, why in failed.items()]
    result.samples = joined(samples)
    show(result)
    return result


def loaded(
    found: Served, cpus: set[int] | None, *, connections: int, seconds: float
) -> dict[str, float]:
    """Load a proxy; return what wrk saw, and the CPU time that each request cost the proxy."""
    pid = found.process.pid
    before = cpu_seconds(pid)
    seen = wrk.load(found.origin, cpus, connections=connections, seconds=seconds, call=found.call)
    return {
        "speed": seen["requests_per_second"],
        "cpu_us": (cpu_seconds(pid) - before) / seen["requests"] * 1e6,
        "p50": seen["p50_ms"],
        "p99": seen["p99_ms"],
    }


def joined(samples: Samples) -> Samples:
    """Return the samples by proxy, each metric with the number of connections in its name.

    Of latencies there is also what came on top of nginx's. A proxy that failed with one number of
    connections has no such figures, and is not left out for that.
    """
    found: Samples = {}
    for case, metrics in samples.items():
        name, _, connections = case.partition(" ")
        into = found.setdefault(name, {})
        floor = samples[f"nginx {connections}"]
        for metric, values in metrics.items():
            if metric == OTHERS:
                into.setdefault(OTHERS, []).extend(values)
                continue
            into[f"{metric}_{connections}"] = values
            if metric in ("p50", "p99"):
                into[f"added_{metric}_{connections}"] = [
                    value - base for value, base in zip(values, floor[metric], strict=False)
                ]
    return found


def show(result: Result) -> None:
    """Say which tables, pictures and bars there are."""
    cases = list(result.samples)
    speeds = [
        Column(f"speed_{count}", f"requests/s, {count} at a time", digits=0, ratio_to="nginx")
        for count in CONNECTIONS
    ]
    added = [
        Column(f"added_{part}_{count}", f"{part}, {count} at a time", digits=2, spread=False)
        for count in CONNECTIONS
        for part in ("p50", "p99")
    ]
    result.tables = [
        Table("Requests", cases, [*speeds, Column(f"cpu_us_{USUAL}", "CPU µs a request")]),
        Table("Milliseconds more than nginx", cases, added),
    ]
    result.plots = [
        Plot(
            "peers-speed",
            f"Requests through one core, {USUAL} at a time",
            f"speed_{USUAL}",
            "requests/s",
            cases,
        ),
        Plot(
            "peers-latency",
            "Median latency more than nginx, one call at a time",
            "added_p50_1",
            "ms",
            [case for case in cases if case != "nginx"],
        ),
    ]
    metric = f"speed_{USUAL}"
    result.bars = [
        Bar(
            f"the full stack's requests/s, of {LABELS[name].partition(' ')[0]}'s",
            median_ratio(result.samples, "full", name, metric),
            at_least=least,
            digits=2 if least < 10 else 0,
        )
        for name, least in BARS.items()
        if metric in result.samples.get(name, {})
    ]


if __name__ == "__main__":
    sys.exit(main(measure, rounds=3, seconds=2))
