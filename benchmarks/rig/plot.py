"""Pictures of results, as SVG that is readable on light and on dark pages: bars, and lines."""

import math
from collections.abc import Iterator, Sequence
from statistics import median
from xml.sax.saxutils import escape

from rig.results import Plot, Result

WIDTH = 760
# Of text: its size, about how wide a letter is, and the height of a line.
TEXT, LETTER, LINE = 13, 7, 24
COLOURS = ("#2f6fdf", "#d9622b", "#2a9d5c", "#9b4fc7", "#b8860b", "#d1387a")

STYLE = f"""\
<style>
svg {{ font: {TEXT}px system-ui, sans-serif; }}
.page {{ fill: #ffffff; }}
text {{ fill: #1f2328; }}
.quiet {{ fill: #59636e; }}
.grid {{ stroke: #d1d9e0; }}
@media (prefers-color-scheme: dark) {{
.page {{ fill: #0d1117; }}
text {{ fill: #f0f6fc; }}
.quiet {{ fill: #9198a1; }}
.grid {{ stroke: #3d444d; }}
}}
</style>"""


def draw(plot: Plot, result: Result) -> str:
    """Return the picture of some of a result's figures."""
    if plot.lines:
        height, parts = 360, list(_lines(plot, result, 360))
    else:
        cases = [case for case in plot.cases if plot.metric in result.samples.get(case, {})]
        height, parts = 60 + LINE * len(cases), list(_bars(plot, result, cases))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
            f"<title>{escape(plot.title)}</title>",
            STYLE,
            f'<rect class="page" width="{WIDTH}" height="{height}" rx="6"/>',
            _text(16, 26, f"{plot.title} ({plot.unit})", weight="600"),
            *parts,
            "</svg>\n",
        ]
    )


def _bars(plot: Plot, result: Result, cases: Sequence[str]) -> Iterator[str]:
    """Yield a bar for each case, to a scale that begins at nothing; ours stand out."""
    labels = {case: _plain(result.labels.get(case, case)) for case in cases}
    values = {case: median(result.samples[case][plot.metric]) for case in cases}
    left = 24 + LETTER * max(map(len, labels.values()), default=0)
    room = WIDTH - left - 90
    most = max(values.values(), default=1) or 1
    for index, case in enumerate(cases):
        top = 44 + LINE * index
        width = max(1.0, room * values[case] / most)
        colour = COLOURS["**" in result.labels.get(case, "")]
        yield _text(left - 8, top + 15, labels[case], anchor="end")
        yield f'<rect x="{left}" y="{top + 3}" width="{width:.1f}" height="16" fill="{colour}"/>'
        yield _text(left + width + 6, top + 15, _figure(values[case]), kind="quiet")


def _lines(plot: Plot, result: Result, height: int) -> Iterator[str]:
    """Yield lines on two logarithmic axes, with what each is below."""
    series = {
        label: [
            (at, median(result.samples[case][plot.metric]))
            for at, case in points
            if plot.metric in result.samples.get(case, {})
        ]
        for label, points in plot.lines.items()
    }
    points = [point for line in series.values() for point in line if min(point) > 0]
    if not points:
        return
    left, right, top, bottom = 70, WIDTH - 24, 50, height - 70
    across = _Axis([x for x, _ in points], left, right)
    up = _Axis([y for _, y in points], bottom, top)
    for tick in up.ticks():
        y = up.place(tick)
        yield f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield _text(left - 8, y + 4, _figure(tick), anchor="end", kind="quiet")
    for tick in across.ticks():
        yield _text(across.place(tick), bottom + 20, _figure(tick), anchor="middle", kind="quiet")
    yield _text(right, bottom + 40, plot.along, anchor="end", kind="quiet")
    beside = left
    for index, (label, line) in enumerate(series.items()):
        colour = COLOURS[index % len(COLOURS)]
        placed = [(across.place(x), up.place(y)) for x, y in line if x > 0 and y > 0]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        yield from (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in placed)
        yield f'<rect x="{beside}" y="{height - 24}" width="12" height="12" fill="{colour}"/>'
        yield _text(beside + 18, height - 13, label)
        beside += 40 + LETTER * len(label)


class _Axis:
    """A logarithmic axis between two places, over whole powers of ten."""

    def __init__(self, values: Sequence[float], begin: float, end: float) -> None:
        self._low = math.floor(math.log10(min(values)))
        self._high = max(self._low + 1, math.ceil(math.log10(max(values))))
        self._begin, self._end = begin, end

    def place(self, value: float) -> float:
        share = (math.log10(value) - self._low) / (self._high - self._low)
        return self._begin + share * (self._end - self._begin)

    def ticks(self) -> list[float]:
        return [10.0**power for power in range(self._low, self._high + 1)]


def _text(  # noqa: PLR0913 - what a text has in SVG
    x: float, y: float, text: str, *, anchor: str = "start", kind: str = "", weight: str = "400"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}"'
        f' class="{kind}">{escape(text)}</text>'
    )


def _plain(label: str) -> str:
    """Return a label without marks of Markdown."""
    return label.replace("*", "").replace("`", "")


def _figure(value: float) -> str:
    for size, name in ((1e6, " M"), (1e4, " k")):
        if value >= size:
            return f"{value / (1e3 if name == ' k' else size):,.3g}{name}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
