"""Calm: how much of the machine others take while something is measured, and measuring again."""

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from rig.processes import TICK

# Cores' worth of other processes beyond which a sample is taken again, and how often.
DISTURBED = 0.1
ATTEMPTS = 3

# Seconds without much of them that are waited for before a sample, and for how long.
PAUSE = 0.5
PATIENCE = 5.0

# The metric under which a sample keeps what others took.
OTHERS = "others"


def calm(run: Callable[[], Mapping[str, float]]) -> dict[str, float]:
    """Take a sample when others are calm, or patience is at an end.

    Where they disturbed it, it is taken again, and the least disturbed counts. What others took (in
    cores) is added to it.
    """
    samples: list[dict[str, float]] = []
    while len(samples) < ATTEMPTS:
        wait()
        before, started = others_seconds(), time.monotonic()
        found = run()
        others = (others_seconds() - before) / (time.monotonic() - started)
        samples.append({**found, OTHERS: max(0.0, others)})
        if others < DISTURBED:
            break
        print(f"disturbed: others took {others:.2f} of a core", file=sys.stderr)
    return min(samples, key=lambda sample: sample[OTHERS])


def wait() -> None:
    """Wait until others are calm, but not for long."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        before = others_seconds()
        time.sleep(PAUSE)
        if others_seconds() - before < DISTURBED * PAUSE:
            return


def others_seconds() -> float:
    """Return the CPU time of all processes but this one and those that it has started (proc(5)).

    That of processes which have ended is with their parents, so the sum does not lose it.
    """
    parents: dict[int, int] = {}
    used: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            after_name = (entry / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(entry.name)] = int(after_name[1])
        used[int(entry.name)] = sum(map(int, after_name[11:15]))
    own = os.getpid()
    return sum(ticks for pid, ticks in used.items() if not _descends(pid, own, parents)) / TICK


def _descends(pid: int, ancestor: int, parents: Mapping[int, int]) -> bool:
    while pid not in (0, ancestor):
        pid = parents.get(pid, 0)
    return pid == ancestor
