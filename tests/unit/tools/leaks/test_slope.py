"""The slope and its interval distinguish growth from noise."""

from math import inf
from random import Random

import pytest

from tools.leaks.samples import Samples
from tools.leaks.slope import Point, Slope, slope

HOUR = 3_600


def values(per_hour: float, noise: float, seed: int = 1, seconds: int = HOUR) -> list[Point]:
    random = Random(seed)
    return [
        (float(at), 100.0 + per_hour * at / HOUR + random.gauss(0.0, noise))
        for at in range(0, seconds, 5)
    ]


def test_slope_of_line_is_exact():
    found = slope(values(12.0, 0.0))
    assert found.per_hour == pytest.approx(12.0)
    assert found.margin == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_growth_above_bound_is_found_despite_noise(seed: int):
    assert slope(values(20.0, 5.0, seed)).exceeds(5.0)


@pytest.mark.parametrize("seed", range(20))
def test_noise_without_growth_stays_below_bound(seed: int):
    assert not slope(values(0.0, 5.0, seed)).exceeds(5.0)


def test_interval_contains_true_slope_in_95_percent():
    found = [slope(values(3.0, 5.0, seed)) for seed in range(400)]
    within = sum(abs(result.per_hour - 3.0) <= result.margin for result in found)
    assert 360 <= within <= 396


def test_constant_values_have_no_slope():
    assert slope([(float(at), 7.0) for at in range(100)]) == Slope(0.0, 0.0)


@pytest.mark.parametrize("points", [[], [(1.0, 1.0)], [(1.0, 1.0), (2.0, 9.0)], [(1.0, 1.0)] * 9])
def test_too_few_values_give_unbounded_interval(points: list[Point]):
    assert slope(points) == Slope(0.0, inf)


def test_growth_after_warm_up_is_leak_but_filling_cache_is_not():
    samples = Samples()
    for at in range(0, HOUR, 5):
        cache = min(at, 600) / 10
        samples.add("gateway", at, {"memory MiB": 100 + at / 60, "tasks": cache})
    growth = {trend.what: trend for trend in samples.growth(warm_up=900)}
    assert growth["memory MiB"].is_leak
    assert not growth["tasks"].is_leak


def test_single_step_in_short_run_is_no_leak():
    samples = Samples()
    for at in range(300):
        samples.add("gateway", at, {"threads": 13 + (at > 150)})
    (growth,) = samples.growth(warm_up=0)
    assert growth.slope.exceeds(growth.bound.per_hour)
    assert not growth.is_leak


def test_restarted_process_is_reported():
    samples = Samples()
    for started in (1.0, 1.0, 2.0):
        samples.add("gateway", 0.0, {"process_start_time_seconds": started})
        samples.add("usersvc", 0.0, {"process_start_time_seconds": 1.0})
    assert samples.restarted == {"gateway"}
