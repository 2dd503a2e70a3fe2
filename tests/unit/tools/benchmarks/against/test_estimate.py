"""The interval of a cost ratio: exact quantiles, coverage, and robustness to outliers."""

import math
from random import Random

import pytest

from tools.benchmarks.against.estimate import Estimate, estimate, means_outside_interval

TRIALS = 400


@pytest.mark.parametrize(
    ("observations", "critical"),
    # Wilcoxon's table of the signed-rank test, two-sided 5 %.
    [(5, None), (6, 0), (8, 3), (10, 8), (15, 25), (20, 52), (25, 89)],
)
def test_critical_value_equals_published_table(observations: int, critical: int | None):
    assert means_outside_interval(observations) == critical


def test_equal_observations_give_interval_of_one_point():
    found = estimate([math.log(1.25)] * 6)

    assert (found.ratio, found.low, found.high) == pytest.approx((1.25, 1.25, 1.25))
    assert found.half_width == pytest.approx(0)


def test_fewer_than_six_observations_give_unbounded_interval():
    assert estimate([0.0] * 5) == Estimate(1.0, 0.0, math.inf, 5)
    assert estimate([0.0] * 5).half_width == math.inf


def test_estimate_without_observations_raises():
    with pytest.raises(ValueError, match="at least one"):
        estimate([])


def test_half_width_is_larger_side_relative_to_ratio():
    assert Estimate(2.0, 1.9, 2.5, 10).half_width == pytest.approx(0.25)
    assert Estimate(2.0, 1.2, 2.5, 10).half_width == pytest.approx(0.4)


def test_swapped_sides_give_reciprocal_interval():
    random = Random(3)
    logs = [random.gauss(0.1, 0.05) for _ in range(12)]

    forward, reversed_sides = estimate(logs), estimate([-log for log in logs])

    assert (reversed_sides.ratio, reversed_sides.low, reversed_sides.high) == pytest.approx(
        (1 / forward.ratio, 1 / forward.high, 1 / forward.low)
    )


def test_one_outlier_in_ten_sessions_moves_ratio_little():
    random = Random(5)
    logs = [random.gauss(0.0, 0.01) for _ in range(18)]

    found = estimate([*logs, 1.0, 1.2])

    assert abs(found.ratio - estimate(logs).ratio) < 0.01
    assert found.high < 1.03


@pytest.mark.parametrize("observations", [6, 12, 24])
def test_interval_contains_true_ratio_in_95_percent(observations: int):
    random = Random(observations)
    covered = 0
    for _ in range(TRIALS):
        # Mostly quiet, sometimes ten times as noisy, as on a shared machine.
        logs = [
            math.log(1.03) + random.gauss(0, 0.2 if random.random() < 0.1 else 0.02)
            for _ in range(observations)
        ]
        found = estimate(logs)
        covered += found.low <= 1.03 <= found.high

    assert covered / TRIALS >= 0.93


def test_stopping_at_narrow_interval_keeps_coverage():
    random = Random(11)
    covered = 0
    for _ in range(TRIALS):
        logs = [random.gauss(0, 0.03) for _ in range(6)]
        while (found := estimate(logs)).half_width > 0.015:
            logs.append(random.gauss(0, 0.03))
        covered += found.low <= 1.0 <= found.high

    assert covered / TRIALS >= 0.9
