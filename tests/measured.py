"""What the README says of measurements: the results in `benchmarks/`, so that it cannot differ."""

from pathlib import Path
from statistics import median

import msgspec

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"

# Of the benchmarks' bars, those that tell somebody new the most.
SHOWN = {
    "whole": ["the whole stack, a plain call", "the whole stack, an event of a stream"],
    "stream": [
        "CPU of an event, the stack's times nginx's",
        "from write to read through the stack, median",
    ],
    "crowd": ["streams at once on one core, each to its end"],
    "memory": ["a slow stream through the stack"],
    "routing": ["choosing among 20 targets, with readings"],
    "failover": ["answered, where one of three fails"],
    "startup": ["`import veneer`", "`veneer serve` until its first answer"],
}


class Bar(msgspec.Struct):
    """What was aimed at, and what came of it."""

    text: str
    value: float
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None
    digits: int = 2


class Result(msgspec.Struct):
    """What a benchmark found: by case and metric, a figure for each round."""

    bars: list[Bar]
    labels: dict[str, str]
    samples: dict[str, dict[str, list[float]]]


def measured() -> str:
    """Return the tables of requests and of events through one core, and of what else matters."""
    speeds = _compared("peers", "speed_32", "nginx", ("requests/s", 0), falling=True)
    events = _compared("peer_streams", "cpu_us", "nginx 200", ("CPU µs an event", 1), falling=False)
    return f"{speeds}\n{events}\n{_bars()}"


def _result(name: str) -> Result:
    return msgspec.json.decode((RESULTS / f"{name}.json").read_bytes(), type=Result)


def _compared(
    name: str, metric: str, reference: str, shown: tuple[str, int], *, falling: bool
) -> str:
    """Return the table of a metric of those who are compared as the reference is, best first."""
    found = _result(name)
    title, digits = shown
    _, _, count = reference.partition(" ")
    figures = {
        case: metrics[metric]
        for case, metrics in found.samples.items()
        if case.partition(" ")[2] == count
    }
    ordered = sorted(figures, key=lambda case: median(figures[case]), reverse=falling)
    lines = [f"| proxy | {title} | of nginx |", "|---|--:|--:|"]
    for case in ordered:
        pairs = zip(figures[case], figures[reference], strict=False)
        share = median(figure / floor for figure, floor in pairs)
        fine = 2 if share > 0.01 else 3
        figure = median(figures[case])
        rounds, all_rounds = len(figures[case]), len(figures[reference])
        short = f" ({rounds} of {all_rounds} rounds)" if rounds < all_rounds else ""
        lines.append(f"| {found.labels[case]}{short} | {figure:,.{digits}f} | {share:.{fine}f} |")
    return "\n".join(lines) + "\n"


def _bars() -> str:
    lines = ["| what | measured | aim |", "|---|--:|--:|"]
    for name, texts in SHOWN.items():
        bars = {bar.text: bar for bar in _result(name).bars}
        lines += [_row(bars[text]) for text in texts]
    return "\n".join(lines) + "\n"


def _row(bar: Bar) -> str:
    aim, word = (bar.at_most, "at most") if bar.at_least is None else (bar.at_least, "at least")
    return f"| {bar.text} | {bar.value:,.{bar.digits}f}{bar.unit} | {word} {aim:,g}{bar.unit} |"
