"""The table of `make stall`, and whether its goal is met."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from tools.stall.crowd import Crowd
from tools.stall.measure import GOAL_SECONDS, Row

SHOWN: Final = 40
"""How many rows the terminal is shown beside those that miss the goal; the file has all."""
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


def report(rows: Iterable[Row], crowd: Crowd, idle: float, file: Path) -> bool:
    """Write the whole table to a file and print the worst of it; whether the goal is met."""
    ordered = sorted(rows, key=lambda row: (row.is_good, -row.seconds))
    missed = sum(not row.is_good for row in ordered)
    ending = _summary(ordered, missed, crowd, idle)
    file.parent.mkdir(exist_ok=True)
    file.write_text("\n".join((HEADER, *map(line, ordered), "", *ending, "")))
    print("\n".join((HEADER, *map(line, ordered[: missed + SHOWN]), "", *ending)))
    print(f"The whole table is in {file}.")
    return not missed and crowd.is_good


def _summary(rows: Sequence[Row], missed: int, crowd: Crowd, idle: float) -> list[str]:
    is_met = not missed and crowd.is_good
    routes = len({row.target for row in rows})
    size = (
        f"{len(rows)} shapes at {routes} routes and services; a cheap request takes"
        f" {idle * 1e3:.1f} ms while nobody else asks. Goal: it waits at most"
        f" {GOAL_SECONDS * 1e3:.0f} ms longer beside any one of them, and is answered."
    )
    limited = sum(row.is_limited for row in rows)
    refused = f"{limited} shapes were refused by a limit (429, 503) and say little."
    goal = "met" if is_met else f"NOT met; {missed} shapes stall others"
    more = "" if crowd.is_good else "; the bodies at once do"
    return [str(crowd), size, *([refused] if limited else ()), f"The goal is {goal}{more}."]
