"""The report: `README.md`, made of what stands in `results/`."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median

import msgspec

from rig.calm import OTHERS
from rig.plot import draw
from rig.results import Bar, Column, Result, Table, ratios

INTRODUCTION = """\
# Benchmarks

This page is made by `run.py` from the raw figures in `results/`; do not edit it.

    pip install -e '.[serve]'              # in the repository
    apt install nginx-light wrk            # what is absent is skipped, and named
    python benchmarks/run.py               # all of it, an hour
    python benchmarks/run.py relay stream  # some of it
    python benchmarks/run.py --report      # this page alone

Other gateways are compared where `VENEER_PEERS` names a folder that has them, each in an
environment of its own; so is the stack on Redis and PostgreSQL where `VENEER_TEST_REDIS` and
`VENEER_TEST_POSTGRESQL` name them, or they are where they usually are:

    export VENEER_PEERS=~/peers; mkdir -p "$VENEER_PEERS/portkey"; cd "$VENEER_PEERS"
    for peer in litellm ferrogw tensorzero vllm-router; do python3 -m venv $peer; done
    litellm/bin/pip install 'litellm[proxy]==1.106.2'
    ferrogw/bin/pip install ferrogw==1.5.10
    tensorzero/bin/pip install tensorzero==2026.6.0
    vllm-router/bin/pip install vllm-router==0.1.17
    npm install --prefix portkey @portkey-ai/gateway@1.15.2

Every benchmark answers one question, which its file states. Figures are medians, with the least and
the greatest of the rounds behind them. One machine on one day, but where a table says otherwise:
what counts are the ratios, which are medians of the ratios of each round, the cases taking turns. A
sample that other processes disturbed was taken again; how much of a core they took in the end
stands below each table.
"""


def write(results: Path, names: Iterable[str], readme: Path) -> None:
    """Write the page from the folder of results; `names` is the order of those that are there."""
    machine = msgspec.json.decode((results / "machine.json").read_bytes(), type=dict[str, str])
    found = [
        msgspec.json.decode(file.read_bytes(), type=Result)
        for file in (results / f"{name}.json" for name in names)
        if file.exists()
    ]
    parts = [
        INTRODUCTION,
        "## Machine and versions\n",
        table(["", ""], [[name, value] for name, value in machine.items()]),
        "## Bars\n",
        bars(bar for result in found for bar in result.bars),
        *[section(result, machine) for result in found],
    ]
    for result in found:
        for plot in result.plots:
            (results / f"{plot.file}.svg").write_text(draw(plot, result))
    readme.write_text("\n".join(parts).rstrip() + "\n")


def bars(found: Iterable[Bar]) -> str:
    """Return the table of what has to be kept, and whether it is."""
    return table(
        ["what", "bar", "measured", ""],
        [
            [bar.text, bar.bound, bar.shown(bar.value), "met" if bar.met else "**missed**"]
            for bar in found
        ],
    )


def section(result: Result, machine: Mapping[str, str]) -> str:
    """Return the part of the page that answers one question; `machine` is the page's."""
    lines = [f"## {result.question}\n", f"{result.how}\n"]
    if result.samples:
        for part in result.tables or [Table("", list(result.samples), result.columns)]:
            lines += [f"### {part.title[:1].upper()}{part.title[1:]}\n"] if part.title else []
            lines.append(figures(result, part))
        lines += [f"![{plot.title}](results/{plot.file}.svg)\n" for plot in result.plots]
        lines += disturbance(result)
    settings = ", ".join(f"{name} {value:,g}" for name, value in result.settings.items())
    lines.append(f"Settings: {settings}.\n")
    lines += [f"Skipped: {reason}.\n" for reason in result.skipped]
    other = {name: value for name, value in result.machine.items() if machine.get(name) != value}
    if other:
        told = ", ".join(f"{name} {value}" for name, value in other.items())
        lines.append(f"Measured apart from the others: {told}.\n")
    return "\n".join(lines)


def figures(result: Result, part: Table) -> str:
    """Return a table of figures."""
    headers = [""]
    for column in part.columns:
        headers.append(column.title)
        if column.ratio_to is not None:
            reference = result.labels.get(column.ratio_to, column.ratio_to)
            headers.append(f"of {reference.partition(' as ')[0].partition(', ')[0]}")
    rows = [
        [result.labels.get(case, case), *cells(result, case, part.columns)]
        for case in part.cases
        if case in result.samples
    ]
    return table(headers, rows)


def cells(result: Result, case: str, columns: Sequence[Column]) -> list[str]:
    """Return a case's row: medians, spreads, ratios."""
    found = []
    for column in columns:
        values = result.samples[case].get(column.metric, [])
        if values:
            shown = values if column.spread else [median(values)]
            found.append(spread(shown, column.digits))
        else:
            found.append("")
        if column.ratio_to is None:
            continue
        if values and column.ratio_to in result.samples:
            shares = ratios(result.samples, case, column.ratio_to, column.metric)
            found.append(
                f"{median(shares):.2f}" if median(shares) >= 0.1 else f"{median(shares):.3f}"
            )
        else:
            found.append("")
    return found


def spread(values: Sequence[float], digits: int) -> str:
    """Return the median, with the least and the greatest where there are several values."""
    low, middle, high = (
        f"{value:,.{digits}f}" for value in (min(values), median(values), max(values))
    )
    return middle if len(values) == 1 else f"{middle} ({low} to {high})"


def disturbance(result: Result) -> list[str]:
    """Return a sentence on what other processes took meanwhile, where that was watched."""
    others = [value for case in result.samples.values() for value in case.get(OTHERS, [])]
    if not others:
        return []
    usual, most = median(others), max(others)
    return [f"Meanwhile other processes took {usual:.0%} of a core, {most:.0%} at most.\n"]


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, numbers to the right."""
    lines = ["| " + " | ".join(headers) + " |"]
    lines.append("|---|" + "--:|" * (len(headers) - 1))
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"
