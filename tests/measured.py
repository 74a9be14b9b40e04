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
    """Return the tables of requests through one core, and of what else matters."""
    return f"{_peers()}\n{_bars()}"


def _result(name: str) -> Result:
    return msgspec.json.decode((RESULTS / f"{name}.json").read_bytes(), type=Result)


def _peers() -> str:
    found = _result("peers")
    speeds = {case: metrics["speed_32"] for case, metrics in found.samples.items()}
    ordered = sorted(speeds, key=lambda case: -median(speeds[case]))
    lines = ["| proxy | requests/s | of nginx |", "|---|--:|--:|"]
    for case in ordered:
        pairs = zip(speeds[case], speeds["nginx"], strict=False)
        share = median(speed / floor for speed, floor in pairs)
        digits = 2 if share > 0.01 else 3
        speed = median(speeds[case])
        lines.append(f"| {found.labels[case]} | {speed:,.0f} | {share:.{digits}f} |")
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
