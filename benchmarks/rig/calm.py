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

# The metric under which a sample keeps what others took.
OTHERS = "others"


def calm(run: Callable[[], Mapping[str, float]]) -> dict[str, float]:
    """Take a sample; where others disturbed it, take it again, and return the least disturbed.

    What others took (in cores) is added to it.
    """
    samples: list[dict[str, float]] = []
    while len(samples) < ATTEMPTS:
        busy, ours, started = busy_seconds(), own_seconds(), time.monotonic()
        found = run()
        took = time.monotonic() - started
        others = (busy_seconds() - busy - (own_seconds() - ours)) / took
        samples.append({**found, OTHERS: max(0.0, others)})
        if others < DISTURBED:
            break
        print(f"disturbed: others took {others:.2f} of a core", file=sys.stderr)
    return min(samples, key=lambda sample: sample[OTHERS])


def busy_seconds() -> float:
    """Return the CPU time that all cores have worked, stolen time included (proc(5))."""
    with Path("/proc/stat").open() as lines:
        user, nice, system, _, _, irq, softirq, steal = map(int, lines.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICK


def own_seconds() -> float:
    """Return the CPU time of this process and of all that it has started, ended ones included."""
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
    return sum(ticks for pid, ticks in used.items() if _descends(pid, own, parents)) / TICK


def _descends(pid: int, ancestor: int, parents: Mapping[int, int]) -> bool:
    while pid not in (0, ancestor):
        pid = parents.get(pid, 0)
    return pid == ancestor
