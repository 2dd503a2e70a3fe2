"""The table, the CSV file and the chart of `make leaks`."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from tools.benchmarks.client import Sample
from tools.leaks.samples import Growth, Samples
from tools.leaks.slope import Point

_WIDTH, _HEIGHT, _LEFT, _GAP = 420, 110, 20, 60
_STYLE: Final = """
    text { font: 13px system-ui, sans-serif; fill: #1f2328 }
    polyline { fill: none; stroke: #0969da; stroke-width: 1.5 }
    @media (prefers-color-scheme: dark) { text { fill: #f0f6fc } polyline { stroke: #4493f8 } }
"""


def table(growth: Sequence[Growth]) -> str:
    """The growth per hour of each value; leaks are marked."""
    head = (
        f"{'process':<9} {'what':<17} {'first':>9} {'last':>9} {'per hour':>10} {'95 %':>18} bound"
    )
    return "\n".join([head, *map(_line, growth)])


def _line(each: Growth) -> str:
    slope = each.slope
    interval = f"{slope.low:+.1f} to {slope.per_hour + slope.margin:+.1f}"
    return (
        f"{each.process:<9} {each.what:<17} {each.first:>9.1f} {each.last:>9.1f}"
        f" {slope.per_hour:>+10.1f} {interval:>18} {each.bound.per_hour:g}"
        f"{'  GROWS' if each.is_leak else ''}"
    )


def traffic_line(sample: Sample) -> str:
    """A summary of the requests."""
    wrong = f"; the first wrong one: {sample.first_wrong}" if sample.wrong else ""
    return (
        f"{len(sample.latencies):,} requests in {sample.seconds:.0f} s, {sample.rate:.0f} a second,"
        f" {sample.wrong} wrong responses{wrong}"
    )


def write_csv(samples: Samples, file: Path) -> None:
    """Write every sample."""
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(("seconds", "process", "what", "value"))
        for (process, what), points in samples.series.items():
            writer.writerows((f"{x:.1f}", process, what, f"{y:.3f}") for x, y in points)


def chart_svg(samples: Samples) -> str:
    """The chart as SVG: a line for each value of each process, scaled to its maximum."""
    panels = [
        panel
        for index, ((process, what), points) in enumerate(samples.series.items())
        for panel in _panel(f"{process}: {what}", points, index)
    ]
    rows = -(-len(samples.series) // 2)
    size = f"0 0 {2 * (_WIDTH + _LEFT)} {rows * (_HEIGHT + _GAP)}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}" role="img">'
    return "\n".join([head, f"  <style>{_STYLE}  </style>", *panels, "</svg>", ""])


def _panel(title: str, points: Sequence[Point], index: int) -> list[str]:
    left = _LEFT + index % 2 * (_WIDTH + _LEFT)
    top = _GAP // 2 + index // 2 * (_HEIGHT + _GAP)
    maximum = max((y for _, y in points), default=0.0) or 1.0
    end = points[-1][0] or 1.0
    line = " ".join(
        f"{left + x / end * (_WIDTH - _LEFT):.1f},{top + _HEIGHT - y / maximum * _HEIGHT:.1f}"
        for x, y in points
    )
    text = escape(f"{title}, at most {maximum:.1f} in {end / 60:.0f} minutes")
    return [f'  <text x="{left}" y="{top - 6}">{text}</text>', f'  <polyline points="{line}"/>']
