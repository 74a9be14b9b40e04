"""How long each gateway takes from its start to its first answer, and the memory it has then.

From the moment the command is given until a chat completion has been answered, asked for every few
milliseconds. The upstream is nginx with a fixed answer. Compiled files are there, as after any
first start; the tables of our stores are, too, as its keys have been made.
"""

import sys
from collections.abc import Mapping
from functools import partial
from statistics import median

from rig import nginx
from rig.completion import COMPLETION
from rig.contest import LABELS, present, served
from rig.processes import cores, resident
from rig.results import Bar, Column, Plot, Result, alternate, main


def measure(*, rounds: int) -> Result:
    """Start all of them in turns."""
    missing = nginx.missing()
    result = Result(
        name="peer_startup",
        doc=__doc__,
        columns=[Column("ms", "ms", digits=0), Column("memory_mb", "MB")],
        labels=dict(LABELS),
        settings={"rounds": rounds},
        skipped=[missing] if missing else [],
    )
    if missing:
        return result
    core, other = cores()
    failed: dict[str, str] = {}
    with nginx.answering(COMPLETION.decode(), other) as origin:
        cases = {
            name: partial(started, name, origin, core) for name in present(LABELS, result.skipped)
        }
        # What they compile and read for the first time, they do now.
        alternate(cases, 1, watched=False, failed=failed)
        cases = {name: run for name, run in cases.items() if name not in failed}
        result.samples = alternate(cases, rounds, failed=failed)
    result.skipped += [f"{name} failed: {why}" for name, why in failed.items()]
    result.plots = [
        Plot("peers-startup", "From start to first answer", "ms", "ms", list(result.samples)),
        Plot(
            "peers-memory", "Memory after the first answer", "memory_mb", "MB", list(result.samples)
        ),
    ]
    result.bars = [
        Bar(
            "the full stack, from start to first answer",
            median(result.samples["full"]["ms"]),
            at_most=1000,
            unit=" ms",
            digits=0,
        )
    ]
    return result


def started(name: str, origin: str, cpus: set[int] | None) -> Mapping[str, float]:
    """Start one of them; return what that took."""
    with served(name, origin, cpus) as found:
        return {"ms": found.started * 1e3, "memory_mb": resident(found.process.pid) / 1e6}


if __name__ == "__main__":
    sys.exit(main(measure, rounds=3))
