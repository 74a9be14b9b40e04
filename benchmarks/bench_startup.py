"""How long `import veneer` and the start of `veneer serve` take.

The import is timed inside a new interpreter, beside one that imports nothing of ours but Starlette;
the start from the moment the command is given until its first chat completion has been answered,
asked for every few milliseconds. Compiled files are there, as after any first start.
"""

import subprocess
import sys
import time
from collections.abc import Mapping
from functools import partial
from statistics import median

from rig.completion import COMPLETION, PATH, REQUEST
from rig.model_server import serving
from rig.processes import START, ask, cores, environment, free_port, on, python, running
from rig.results import Bar, Column, Result, alternate, main

TIMED = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"
PAUSE = 0.002


def measure(*, rounds: int) -> Result:
    """Measure all of them in turns."""
    result = Result(
        name="startup",
        doc=__doc__,
        columns=[Column("ms", "ms", digits=0)],
        labels={
            "starlette": "`import starlette.middleware`, for comparison",
            "import": "`import veneer`",
            "serve": "`veneer serve` until its first answer",
        },
        settings={"rounds": rounds},
    )
    core, other = cores()
    with on(other), serving() as origin:
        cases = {
            "starlette": partial(imported, "starlette.middleware", core),
            "import": partial(imported, "veneer", core),
            "serve": partial(served, origin, core),
        }
        alternate(cases, 1)
        result.samples = alternate(cases, rounds)
    result.bars = [
        Bar(
            "`import veneer`",
            median(result.samples["import"]["ms"]),
            at_most=150,
            unit=" ms",
            digits=0,
        ),
        Bar(
            "`veneer serve` until its first answer",
            median(result.samples["serve"]["ms"]),
            at_most=1000,
            unit=" ms",
            digits=0,
        ),
    ]
    return result


def imported(module: str, cpus: set[int] | None) -> Mapping[str, float]:
    """Import a module in a new interpreter; return the milliseconds."""
    with on(cpus):
        done = subprocess.run(
            [sys.executable, "-c", TIMED.format(module)],
            capture_output=True,
            check=True,
            env=environment(),
            timeout=START,
        )
    return {"ms": float(done.stdout) * 1000}


def served(origin: str, cpus: set[int] | None) -> Mapping[str, float]:
    """Start `veneer serve` and ask until it answers; return the milliseconds."""
    port = free_port()
    command = python(
        "veneer", "serve", "--upstream", f"{origin}/v1", "--port", str(port), "--no-auth"
    )
    started = time.monotonic()
    with running(command, cpus) as process:
        while time.monotonic() < started + START and process.poll() is None:
            try:
                answer = ask(f"http://127.0.0.1:{port}{PATH}", REQUEST)
            except ConnectionError:
                time.sleep(PAUSE)
                continue
            if answer != (200, COMPLETION):
                raise RuntimeError(f"veneer serve answers with status {answer[0]}")
            return {"ms": (time.monotonic() - started) * 1000}
    raise RuntimeError("veneer serve does not answer")


if __name__ == "__main__":
    sys.exit(main(measure, rounds=7))
