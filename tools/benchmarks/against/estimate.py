"""The ratio of two costs, with a 95 % confidence interval, from paired observations.

The observations are log-ratios, one of each session. The estimate is the Hodges-Lehmann estimator.
Its interval is that of the Wilcoxon signed-rank test, with the exact distribution of the statistic
(Hollander, Wolfe and Chicken, "Nonparametric Statistical Methods", chapter 3). Both assume that the
observations are independent and symmetric around the true value, not that they are normal, and a
few outliers barely move them.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations_with_replacement

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A ratio and its confidence interval. With too few observations the interval is all ratios."""

    ratio: float
    low: float
    high: float
    observations: int

    @property
    def half_width(self) -> float:
        """The larger distance from the ratio to an end of the interval, as a part of the ratio."""
        return max(self.high / self.ratio - 1, 1 - self.low / self.ratio)


def estimate(log_ratios: Sequence[float]) -> Estimate:
    """Estimate the ratio from its log-ratios. Raises ValueError if there are none."""
    if not log_ratios:
        raise ValueError("an estimate needs at least one observation")
    means = _pair_means(log_ratios)
    ratio = math.exp(statistics.median(means))
    outside = means_outside_interval(len(log_ratios))
    if outside is None:
        return Estimate(ratio, 0.0, math.inf, len(log_ratios))
    low, high = means[outside], means[-1 - outside]
    return Estimate(ratio, math.exp(low), math.exp(high), len(log_ratios))


def hodges_lehmann(observations: Sequence[float]) -> float:
    """The median of the means of all pairs of observations, each with itself included."""
    return statistics.median(_pair_means(observations))


def _pair_means(observations: Sequence[float]) -> list[float]:
    return sorted((a + b) / 2 for a, b in combinations_with_replacement(observations, 2))


@cache
def means_outside_interval(count: int) -> int | None:
    """The number of sorted pair means below the interval, equal to the number above it.

    The largest number k such that the signed-rank statistic of `count` observations is at most k
    with a probability of at most 2.5 %. None when there is no such number: with fewer than six
    observations no interval has a confidence of 95 %.
    """
    ways = _ways_to_rank_sum(count)
    allowed = (1 - CONFIDENCE) / 2 * 2**count
    below, largest = 0, None
    for rank_sum, number in enumerate(ways):
        below += number
        if below > allowed:
            break
        largest = rank_sum
    return largest


def _ways_to_rank_sum(count: int) -> list[int]:
    """For each sum, how many subsets of the ranks 1 to `count` have it."""
    ways = [1] + [0] * (count * (count + 1) // 2)
    for rank in range(1, count + 1):
        for rank_sum in range(len(ways) - 1, rank - 1, -1):
            ways[rank_sum] += ways[rank_sum - rank]
    return ways
