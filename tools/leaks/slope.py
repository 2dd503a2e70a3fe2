"""The growth rate of a series and its confidence interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean
from typing import Final

HOUR: Final = 3_600.0
BLOCKS: Final = 24
"""Number of blocks over which samples are averaged, because neighbouring samples are correlated."""
_NORMAL: Final = NormalDist().inv_cdf(0.975)

Point = tuple[float, float]
"""Seconds since the beginning, and a value."""


@dataclass(frozen=True, slots=True)
class Slope:
    """Growth per hour, and half the width of its 95 % confidence interval."""

    per_hour: float
    margin: float

    @property
    def low(self) -> float:
        """The lower end of the confidence interval."""
        return self.per_hour - self.margin

    def exceeds(self, bound: float) -> bool:
        """Whether the growth is significantly above a bound."""
        return self.low > bound


def slope(points: Sequence[Point], blocks: int = BLOCKS) -> Slope:
    """The slope of the least-squares line through the means of blocks of points."""
    means = _means(points, blocks)
    if len(means) < 3:
        return Slope(0.0, math.inf)
    mean_x, mean_y = fmean(x for x, _ in means), fmean(y for _, y in means)
    sum_xx = sum((x - mean_x) ** 2 for x, _ in means)
    if not sum_xx:
        return Slope(0.0, math.inf)
    per_second = sum((x - mean_x) * (y - mean_y) for x, y in means) / sum_xx
    residuals = sum((y - mean_y - per_second * (x - mean_x)) ** 2 for x, y in means)
    standard_error = math.sqrt(residuals / (len(means) - 2) / sum_xx)
    return Slope(per_second * HOUR, _student(len(means) - 2) * standard_error * HOUR)


def _means(points: Sequence[Point], blocks: int) -> list[Point]:
    size = max(1, len(points) // blocks)
    starts = range(0, len(points), size)
    parts = [points[start : start + size] for start in starts]
    return [(fmean(x for x, _ in part), fmean(y for _, y in part)) for part in parts]


def _student(degrees_of_freedom: int) -> float:
    """The 97.5 % quantile of Student's t distribution (Abramowitz and Stegun, 26.7.5)."""
    z = _NORMAL
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    n = degrees_of_freedom
    return z + first / n + second / n**2 + third / n**3
