"""The table of `make stall` and its verdict."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from tools.stall.burst import Burst
from tools.stall.measure import GOAL_SECONDS, Row

SHOWN: Final = 40
"""Rows printed in addition to those that miss the goal; the file has all rows."""
HEADER: Final = (
    f"{'stall ms':>9} {'took ms':>8} {'lost':>5} {'status':>18} {'bytes':>9} {'key':<8}"
    f" {'route':<52} shape"
)


def line(row: Row) -> str:
    """A row of the table."""
    return (
        f"{row.seconds * 1e3:>9.1f} {row.answered * 1e3:>8.1f} {row.lost or '':>5}"
        f" {row.status:>18} {row.size:>9,} {row.key:<8} {row.target:<52} {row.shape}"
    )


def report(rows: Iterable[Row], burst: Burst, idle: float, file: Path) -> bool:
    """Write the table to a file and print its worst rows; returns whether the goal is met."""
    ordered = sorted(rows, key=lambda row: (row.is_good, -row.seconds))
    missed = sum(not row.is_good for row in ordered)
    ending = _summary(ordered, missed, burst, idle)
    file.parent.mkdir(exist_ok=True)
    file.write_text("\n".join((HEADER, *map(line, ordered), "", *ending, "")))
    print("\n".join((HEADER, *map(line, ordered[: missed + SHOWN]), "", *ending)))
    print(f"The whole table is in {file}.")
    return not missed and burst.is_good


def _summary(rows: Sequence[Row], missed: int, burst: Burst, idle: float) -> list[str]:
    is_met = not missed and burst.is_good
    routes = len({row.target for row in rows})
    size = (
        f"{len(rows)} shapes at {routes} routes and services; a cheap request takes"
        f" {idle * 1e3:.1f} ms on the idle service. Goal: it waits at most"
        f" {GOAL_SECONDS * 1e3:.0f} ms longer during any of them, and does not fail."
    )
    limited = sum(row.is_limited for row in rows)
    rejected = f"{limited} shapes were rejected by a limit (429, 503): their code was not measured."
    goal = "met" if is_met else f"NOT met; {missed} shapes stall others"
    delay = "" if burst.is_good else "; the burst of bodies delays another organization"
    return [str(burst), size, *([rejected] if limited else ()), f"The goal is {goal}{delay}."]
