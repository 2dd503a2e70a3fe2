"""Whether an operation has become more expensive: compares an interval with the limit."""

from enum import StrEnum

from tools.benchmarks.against.estimate import Estimate

LIMIT = 1.03
"""A comparison fails if a cost ratio is significantly above this."""
HALF_WIDTH = 0.015
"""The precision to reach, as a part of the ratio."""


class Verdict(StrEnum):
    """The position of an operation's interval relative to the limit."""

    WITHIN = "within the limit"
    """The whole interval is at or below the limit."""
    AT_LIMIT = "about the limit"
    """The interval is narrow enough and contains the limit: not significantly above it."""
    UNDECIDED = "undecided"
    """The interval contains the limit and is too wide to decide."""
    ABOVE = "above the limit"
    """The whole interval is above the limit."""


def verdict(estimate: Estimate, limit: float = LIMIT, half_width: float = HALF_WIDTH) -> Verdict:
    """Judge an estimate."""
    if estimate.low > limit:
        return Verdict.ABOVE
    if estimate.high <= limit:
        return Verdict.WITHIN
    return Verdict.AT_LIMIT if estimate.half_width <= half_width else Verdict.UNDECIDED
