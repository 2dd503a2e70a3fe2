"""The performance goals, and whether the figures meet them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tools.benchmarks.peers.servers import IN_MEMORY
from tools.benchmarks.report import organizations
from tools.benchmarks.report.goal import NOT_MEASURED, Goal
from tools.benchmarks.work import OPERATIONS

Figures = Mapping[str, Any]

FLAT = 2.0
"""Megabytes in ten minutes; smaller growth is normal fluctuation."""


def goals(figures: Figures) -> list[Goal]:
    """All goals, judged by the figures."""
    return [
        *_of_comparisons(figures),
        *_of_growth(figures),
        *organizations.goals(figures),
        _of_memory(figures),
    ]


def _of_comparisons(figures: Figures) -> Iterator[Goal]:
    few, many = _table(figures, "1000"), _table(figures, "100000")
    django = [_ratio(few, (each, 32), "cpu", "django-scim2") for each in _READ_AND_WRITTEN]
    yield _goal(
        "CPU per request vs django-scim2 (get, create, PATCH)",
        "≤ 0.25",
        list(zip(_READ_AND_WRITTEN, django, strict=True)),
        lambda ratio: ratio <= 0.25,
    )
    scanned = _ratio(many, ("filter", 32), "cpu", "django-scim2")
    yield _goal(
        "CPU per request vs django-scim2 (filter, 100,000 users)",
        "≤ 0.05",
        [("", scanned)],
        lambda ratio: ratio <= 0.05,
    )
    yield _goal(
        "requests/s vs the best in-memory peer, each operation",
        "≥ 2.0",
        [(each, _of_best(few, each)) for each in OPERATIONS],
        lambda ratio: ratio >= 2.0,
    )
    yield _goal(
        "get: requests/s vs the same code without the gRPC hop, 32 connections",
        "≥ 0.85",
        [("", _ratio(few, ("get", 32), "rate", "without the hop"))],
        lambda ratio: ratio >= 0.85,
    )
    yield _goal(
        "get: p50 at 1 connection vs the same code without the gRPC hop",
        "≤ 1.6",
        [("", _ratio(few, ("get", 1), "p50", "without the hop"))],
        lambda ratio: ratio <= 1.6,
    )
    yield _goal(
        "create: requests/s vs bare asyncpg INSERT of the same row",
        "≥ 0.45",
        [("", _ratio(few, ("create", 32), "rate", "asyncpg"))],
        lambda ratio: ratio >= 0.45,
    )


def _of_growth(figures: Figures) -> Iterator[Goal]:
    scale = figures.get("scale", {"people": 0, "group": 0})
    large = scale["people"] >= 1_000_000 and scale["group"] >= 100_000
    growths = scale["growths"] if large else []
    for what, kind in (
        ("filter at 1,000,000 users vs at 1,000", "filter"),
        ("last cursor page of 1,000,000 users vs the first", "cursor page"),
        ("member add to a group of 100,000 vs of 10", "member"),
    ):
        of_kind = [each for each in growths if each["what"] == kind]
        # The first one has one connection: 32 would wait for the group's lock, whatever its size.
        ratio = of_kind[0]["large_rate"] / of_kind[0]["small_rate"] if of_kind else None
        yield _goal(what, "≥ 0.9", [("", ratio)], lambda ratio: ratio >= 0.9)


def _of_memory(figures: Figures) -> Goal:
    what, wanted = "resident memory per process under load", "≤ 120 MB, flat over 10 minutes"
    memory = figures.get("memory")
    if memory is None or memory["seconds"] < 600:
        return Goal(what, wanted, NOT_MEASURED, None)
    uses = memory["processes"]
    measured = ", ".join(
        f"{each['process']} {each['most']:.0f} MB ({each['growth']:+.1f})" for each in uses
    )
    met = all(each["most"] <= 120 and each["growth"] <= FLAT for each in uses)
    return Goal(what, wanted, measured, met)


_READ_AND_WRITTEN = ("get", "create", "patch")

Work = tuple[str, int]
"""An operation and a number of connections."""
Table = Mapping[tuple[str, int, str], Mapping[str, float]]


def _table(figures: Figures, people: str) -> Table:
    rows = figures.get("comparisons", {}).get(people, {}).get("rows", [])
    return {(row["operation"], row["connections"], row["subject"]): row for row in rows}


def _ratio(table: Table, work: Work, value: str, other: str) -> float | None:
    """The ratio of the service's value to another subject's."""
    ours, theirs = table.get((*work, "service")), table.get((*work, other))
    return ours[value] / theirs[value] if ours and theirs and theirs[value] else None


def _of_best(table: Table, operation: str) -> float | None:
    ratios = [_ratio(table, (operation, 32), "rate", peer) for peer in IN_MEMORY]
    return min((ratio for ratio in ratios if ratio is not None), default=None)


def _goal(
    what: str,
    wanted: str,
    ratios: Sequence[tuple[str, float | None]],
    met: Callable[[float], bool],
) -> Goal:
    measured = [(name, ratio) for name, ratio in ratios if ratio is not None]
    text = ", ".join(f"{name} {ratio:.2f}".strip() for name, ratio in measured)
    # With several ratios, each must be measured and meet the goal.
    verdict = all(met(ratio) for _, ratio in measured) if len(measured) == len(ratios) else None
    return Goal(what, wanted, text or NOT_MEASURED, verdict)
