"""Generates performance.md from the figures and from hand-written prose.

`python -m tools.benchmarks.report.document` regenerates docs/performance.md without measuring.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.benchmarks.report import figures as stored
from tools.benchmarks.report.chart import OPERATIONS, SUBJECTS, chart
from tools.benchmarks.report.goals import goals

PROSE = stored.DOCUMENTS / "performance" / "prose.md"

Figures = Mapping[str, Any]

_HEAD = (
    "<!-- Made by `make bench` of performance/prose.md and performance/figures.json: "
    "write there. -->\n"
)
_LIMITS = ("asyncpg", "asyncpg, and the log", "pgbench", "pgbench, and the log", "aiohttp")


def document(prose: str, figures: Figures) -> str:
    """The prose with a table in index of each `{{name}}`."""
    for name, table in TABLES.items():
        prose = prose.replace(f"{{{{{name}}}}}", table(figures))
    return _HEAD + prose


def write(figures: Figures, folder: Path) -> Path:
    """Write the document and its chart below a folder; returns the document's path."""
    target = document_file(folder)
    target.write_text(document(PROSE.read_text(), figures))
    if "1000" in figures.get("comparisons", {}):
        chart_file(folder).write_text(chart(figures["comparisons"]["1000"]))
    return target


def document_file(folder: Path) -> Path:
    """The path of the document in a folder."""
    return folder / "performance.md"


def chart_file(folder: Path) -> Path:
    """The path of the document's chart in a folder."""
    return folder / "performance" / "chart.svg"


def _goals(figures: Figures) -> str:
    verdicts = {True: "met", False: "**not met**", None: "not measured"}
    return _table(
        ("", "goal", "measured", ""),
        [(each.what, each.wanted, each.measured, verdicts[each.met]) for each in goals(figures)],
    )


def _comparison(people: str) -> Callable[[Figures], str]:
    def table(figures: Figures) -> str:
        comparison = figures.get("comparisons", {}).get(people)
        if comparison is None:
            return "Not measured yet."
        rows = [
            (
                OPERATIONS[row["operation"]],
                row["connections"],
                row["subject"],
                f"{row['rate']:,.0f}",
                f"{row['p50']:,.2f}",
                f"{row['p99']:,.1f}",
                f"{row['cpu']:,.0f}",
                row["wrong"],
            )
            for row in sorted(comparison["rows"], key=_sort_key)
        ]
        heads = ("", "connections", "", "requests/s", "p50 ms", "p99 ms", "CPU µs", "wrong")
        left_out = "".join(f"\n{each}\n" for each in comparison["left_out"])
        return f"{_measured(comparison)}\n\n{_table(heads, rows)}\n{left_out}".rstrip()

    return table


def _sort_key(row: Mapping[str, Any]) -> tuple[int, int, int]:
    operations, subjects = list(OPERATIONS), [*SUBJECTS, *_LIMITS]
    return (
        operations.index(row["operation"]),
        row["connections"],
        subjects.index(row["subject"]),
    )


def _measured(part: Mapping[str, Any]) -> str:
    return (
        f"Medians of {part['rounds']} rounds of {part['seconds']:g} s,"
        f" {part['people']:,} people; {_stamp(part)}."
    )


def _stamp(part: Mapping[str, Any]) -> str:
    return f"{part['day']}, revision {part['revision']}, {part['machine']}"


def _scale(figures: Figures) -> str:
    scale = figures.get("scale")
    if scale is None:
        return "Not measured yet."
    rows = [
        (
            growth["what"],
            growth["connections"],
            f"{growth['small']}: {growth['small_rate']:,.0f}/s, {growth['small_cpu']:,.0f} µs",
            f"{growth['large']}: {growth['large_rate']:,.0f}/s, {growth['large_cpu']:,.0f} µs",
            f"{growth['large_rate'] / growth['small_rate']:.2f}",
            growth["wrong"],
        )
        for growth in scale["growths"]
    ]
    walk = scale["walk"]
    table = _table(("", "connections", "small", "large", "rate, large / small", "wrong"), rows)
    return (
        f"Medians of {scale['rounds']} rounds; {_stamp(scale)}. A walk through all"
        f" {scale['people']:,} people by cursor took {walk['pages']:,} requests and"
        f" {walk['seconds']:,.0f} s.\n\n{table}"
    )


def _memory(figures: Figures) -> str:
    memory = figures.get("memory")
    if memory is None:
        return "Not measured yet."
    rows = [
        (
            each["process"],
            f"{each['least']:.1f}",
            f"{each['most']:.1f}",
            f"{each['last']:.1f}",
            f"{each['growth']:+.2f}",
        )
        for each in memory["processes"]
    ]
    heads = ("", "least MB", "most MB", "at the end", "growth of the second half, in 10 minutes")
    return (
        f"An Entra mix over 32 connections for {memory['seconds']:,.0f} s,"
        f" {memory['rate']:,.0f} requests/s, {memory['wrong']} wrong responses;"
        f" {_stamp(memory)}.\n\n{_table(heads, rows)}"
    )


def _client(figures: Figures) -> str:
    """The maximum rate of the load client: its rate against the bare HTTP server."""
    rows = figures.get("comparisons", {}).get("1000", {}).get("rows", [])
    for row in rows:
        if (row["operation"], row["connections"], row["subject"]) == ("get", 32, "aiohttp"):
            return (
                f"{row['rate']:,.0f} requests/s against bare aiohttp, at {row['client']:.0f} µs of"
                " its own CPU for each"
            )
    return "not measured yet"


TABLES: Mapping[str, Callable[[Figures], str]] = {
    "goals": _goals,
    "comparison-1000": _comparison("1000"),
    "comparison-100000": _comparison("100000"),
    "scale": _scale,
    "memory": _memory,
    "client": _client,
}


def _table(heads: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


if __name__ == "__main__":
    write(stored.read(stored.DOCUMENTS), stored.DOCUMENTS)
