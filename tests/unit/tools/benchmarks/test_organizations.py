"""Results of the benchmark of many organizations, and the weeks that its changes fill."""

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from tools.benchmarks.client import Sample
from tools.benchmarks.organizations import topics
from tools.benchmarks.organizations.log_sql import weeks
from tools.benchmarks.organizations.results import Comparison, Reading, Results, line
from tools.benchmarks.organizations.rounds import Question, Side, summarize
from tools.benchmarks.organizations.sizes import Sizes
from tools.benchmarks.report.goals import goals
from tools.benchmarks.subjects import Server
from tools.benchmarks.work import Work

SERVER = Server("service", ("127.0.0.1", 1), Work("", "", ""), [])


def sample(rate: int, wrong: int = 0) -> Sample:
    return Sample(1.0, [0.001] * (rate + wrong), wrong, "500" if wrong else "")


def compared(*rates: tuple[int, int], least: float | None = 0.9, wrong: int = 0) -> Comparison:
    rounds = [((sample(a, wrong), 10.0), (sample(b), 20.0)) for a, b in rates]
    sides = [Side(name, SERVER, iter(())) for name in ("large", "small")]
    return summarize(Question(topics.LARGE, "get", least), *sides, rounds)


def test_ratio_is_the_median_of_the_rounds_ratios():
    comparison = compared((100, 50), (90, 100), (10, 10))

    assert (comparison.rate, comparison.reference_rate, comparison.ratio) == (90, 50, 1.0)
    assert comparison.met is True


def test_ratio_below_the_goal_is_not_met():
    assert compared((80, 100)).met is False
    assert compared((80, 100), least=None).met is None


def test_line_shows_the_first_wrong_response():
    assert line(compared((80, 100), wrong=2)).endswith("NOT MET  2 wrong: 500")


def test_weeks_have_each_change_once():
    start = datetime(2026, 10, 31, 11, 7, tzinfo=UTC)

    found = list(weeks(start, 10_000_000))

    assert [week.day for week, _, _ in found] == [29, 5, 12, 19, 26]
    assert (found[0][1], found[-1][2]) == (0, 10_000_000)
    assert all(end == first for (_, _, end), (_, first, _) in pairwise(found))


def figures(sizes: Sizes, *results: Comparison | Reading) -> dict[str, Any]:
    collected = Results()
    for each in results:
        collected.add(each)
    numbers = {name: getattr(sizes, name) for name in ("organizations", "large_people", "changes")}
    return {"organizations": {"sizes": numbers, **collected.as_json()}}


def verdict(part: dict[str, Any], what: str) -> tuple[str, bool | None]:
    (goal,) = [each for each in goals(part) if each.what.startswith(what)]
    return goal.measured, goal.met


def test_goals_name_each_measured_operation():
    slow = Reading(topics.PORTAL, "dashboard", 1_100.4, "ms", 150)
    part = figures(Sizes(), compared((95, 100)), slow)

    assert verdict(part, "requests/s: the large") == ("get 0.95", True)
    assert verdict(part, "portal pages") == ("dashboard 1,100", False)
    assert verdict(part, "DELETE") == ("not measured", None)


def test_goals_are_judged_only_at_full_size():
    part = figures(Sizes(changes=100_000), compared((95, 100)))

    assert verdict(part, "requests/s: the large") == ("not measured", None)
