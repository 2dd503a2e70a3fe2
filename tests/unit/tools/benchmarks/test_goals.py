"""The verdicts of the goals for given figures."""

from typing import Any

from tools.benchmarks.memory import slope
from tools.benchmarks.report.goals import goals
from tools.benchmarks.work import OPERATIONS


def row(operation: str, subject: str, connections: int = 32, **values: float) -> dict[str, Any]:
    return {
        "operation": operation,
        "connections": connections,
        "subject": subject,
        "rate": 100.0,
        "p50": 1.0,
        "cpu": 100.0,
        **values,
    }


def figures_of(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"comparisons": {"1000": {"rows": list(rows)}}}


def verdict(figures: dict[str, Any], what: str) -> tuple[str, bool | None]:
    (goal,) = [goal for goal in goals(figures) if goal.what.startswith(what)]
    return goal.measured, goal.met


def test_unmeasured_goals_are_undecided():
    assert {goal.met for goal in goals({})} == {None}


def test_ratio_divides_service_by_other_subject():
    figures = figures_of(row("get", "service", rate=90), row("get", "without the hop", rate=100))

    assert verdict(figures, "get: requests/s") == ("0.90", True)


def test_each_operation_is_compared_with_best_in_memory_peer():
    figures = figures_of(
        *(row(operation, "service", rate=300) for operation in OPERATIONS),
        *(row(operation, "scimmy", rate=100) for operation in OPERATIONS),
        *(row(operation, "scim2-server", rate=50) for operation in OPERATIONS[:-1]),
        row(OPERATIONS[-1], "scim2-server", rate=200),
    )

    measured, met = verdict(figures, "requests/s vs the best in-memory peer")

    assert met is False
    assert measured.startswith("get 3.00")
    assert measured.endswith("create 1.50")


def test_goal_with_missing_operation_is_undecided():
    figures = figures_of(
        row("get", "service", cpu=10), row("get", "django-scim2", cpu=100), row("patch", "service")
    )

    assert verdict(figures, "CPU per request vs django-scim2 (get") == ("get 0.10", None)


def test_growth_is_judged_only_at_full_size():
    growth = {"what": "filter", "small_rate": 100.0, "large_rate": 95.0}

    def scale_figures(people: int) -> dict[str, Any]:
        return {"scale": {"people": people, "group": 100_000, "growths": [growth]}}

    assert verdict(scale_figures(1_000_000), "filter at") == ("0.95", True)
    assert verdict(scale_figures(20_000), "filter at") == ("not measured", None)


def test_memory_goal_needs_small_and_flat_memory():
    def memory_figures(most: float, growth: float) -> dict[str, Any]:
        processes = [{"process": "gateway", "most": most, "growth": growth}]
        return {"memory": {"seconds": 600, "processes": processes}}

    what = "resident memory"
    assert verdict(memory_figures(110, 0.5), what) == ("gateway 110 MB (+0.5)", True)
    assert verdict(memory_figures(121, 0.5), what)[1] is False
    assert verdict(memory_figures(110, 9.0), what)[1] is False


def test_slope_is_that_of_least_squares_line():
    assert slope([(0, 5), (1, 7), (2, 9)]) == 2
    assert slope([(0, 5), (1, 6), (2, 5)]) == 0
