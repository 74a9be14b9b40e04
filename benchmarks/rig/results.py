"""Results: what a benchmark found, as it is kept in `results/` and shown in the README."""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

import msgspec

from rig import machine
from rig.calm import calm
from rig.processes import exit_on_sigterm, raise_open_files

# For each case, for each metric, a number a round.
Samples = dict[str, dict[str, list[float]]]


class Column(msgspec.Struct):
    """A metric and how it is shown; `ratio_to` names the case that it is divided by.

    Without `spread`, the median stands alone.
    """

    metric: str
    title: str
    digits: int = 1
    ratio_to: str | None = None
    spread: bool = True


class Table(msgspec.Struct):
    """Some of the cases, in a table of its own."""

    title: str
    cases: list[str]
    columns: list[Column]


class Plot(msgspec.Struct):
    """A picture of a metric: a bar for each case, or lines through cases along an axis.

    `lines` are series of cases, each with where it stands on the axis, which is called `along`.
    Without them there are bars, of `cases`. `file` is the name of the picture's file.
    """

    file: str
    title: str
    metric: str
    unit: str
    cases: list[str] = []
    lines: dict[str, list[tuple[float, str]]] = {}
    along: str = ""


class Bar(msgspec.Struct):
    """A value and the bound that it must keep."""

    text: str
    value: float
    at_least: float | None = None
    at_most: float | None = None
    unit: str = ""
    digits: int = 2

    @property
    def met(self) -> bool:
        """Whether it is kept."""
        if self.at_least is not None and self.value < self.at_least:
            return False
        return self.at_most is None or self.value <= self.at_most

    @property
    def bound(self) -> str:
        """The bound in words."""
        if self.at_least is not None:
            return f"at least {self.shown(self.at_least)}"
        return f"at most {self.shown(self.at_most or 0)}"

    def shown(self, value: float) -> str:
        """Return a value with its unit."""
        return f"{value:,.{self.digits}f}{self.unit}"


class Result(msgspec.Struct, kw_only=True):
    """One benchmark's answer to its question, which `doc`, its docstring, states.

    `labels` say in words what the cases are, `machine` what it was measured on. Its table has all
    cases and these `columns`, unless there are `tables`.
    """

    name: str
    doc: str | None
    columns: list[Column] = []
    tables: list[Table] = []
    plots: list[Plot] = []
    labels: dict[str, str] = {}
    settings: dict[str, float] = {}
    skipped: list[str] = []
    samples: Samples = {}
    bars: list[Bar] = []
    machine: dict[str, str] = {}

    @property
    def question(self) -> str:
        """The question, without a stop."""
        return (self.doc or "").strip().partition("\n")[0].rstrip(".")

    @property
    def how(self) -> str:
        """The paragraphs on how it is answered."""
        return (self.doc or "").strip().partition("\n\n")[2].strip()


def alternate(
    cases: Mapping[str, Callable[[], Mapping[str, float]]],
    rounds: int,
    *,
    watched: bool = True,
    failed: dict[str, str] | None = None,
) -> Samples:
    """Run every case once a round, in turns, so that a noisy moment does not hit one case alone.

    Where it is `watched`, a sample that other processes disturbed is taken again, as `calm` says.
    Where `failed` is given, a case that raises RuntimeError is left out from then on, and why
    stands there; of the rounds before, it has its samples.
    """
    samples: Samples = {name: {} for name in cases}
    left_out: set[str] = set()
    for index in range(rounds):
        for name, run in cases.items():
            if name in left_out:
                continue
            try:
                found = calm(run) if watched else run()
            except RuntimeError as error:
                if failed is None:
                    raise
                failed[name] = f"in round {index + 1} of {rounds}: {error}"
                left_out.add(name)
                if not index:
                    del samples[name]
                continue
            for metric, value in found.items():
                samples[name].setdefault(metric, []).append(value)
            shown = ", ".join(f"{metric} {value:.6g}" for metric, value in found.items())
            print(f"round {index + 1}/{rounds} {name}: {shown}", file=sys.stderr, flush=True)
    return samples


def ratios(samples: Samples, case: str, reference: str, metric: str) -> list[float]:
    """Return a case's share of another, in each round that both have."""
    pairs = zip(samples[case][metric], samples[reference][metric], strict=False)
    return [value / base for value, base in pairs if base]


def median_ratio(samples: Samples, case: str, reference: str, metric: str) -> float:
    """Return the median of `ratios`."""
    return median(ratios(samples, case, reference, metric))


def main(measure: Callable[..., Result], *, rounds: int, **defaults: float) -> int:
    """Be a benchmark's command line: measure, print what was found, write it where asked to."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--output", type=Path, help="file for the result, as JSON")
    for name, value in defaults.items():
        parser.add_argument(f"--{name}", type=float, default=value)
    given = vars(parser.parse_args())
    output: Path | None = given.pop("output")
    exit_on_sigterm()
    raise_open_files()
    result = measure(**given)
    result.machine = machine.describe()
    for reason in result.skipped:
        print(f"skipped: {reason}", file=sys.stderr)
    for case, metrics in result.samples.items():
        shown = ", ".join(f"{name} {median(values):.6g}" for name, values in metrics.items())
        print(f"{case:16} {shown}")
    for bar in result.bars:
        print(f"{'met   ' if bar.met else 'MISSED'} {bar.text}: {bar.shown(bar.value)}")
    if output is not None:
        output.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
    return 0
