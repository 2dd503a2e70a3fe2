"""Whether an operation has become dearer: what an interval says about the limit."""

from enum import StrEnum

from tools.benchmarks.against.estimate import Estimate

LIMIT = 1.03
"""A cost ratio that is shown to be above this fails the comparison."""
HALF_WIDTH = 0.015
"""The precision that is measured for, as a part of the ratio."""


class Verdict(StrEnum):
    """What the interval of an operation says."""

    WITHIN = "within the limit"
    """The whole interval is at or below the limit."""
    AT_LIMIT = "about the limit"
    """The interval is narrow enough and contains the limit: dearer, not shown to be too dear."""
    UNDECIDED = "undecided"
    """The interval contains the limit because it is too wide."""
    ABOVE = "above the limit"
    """The whole interval is above the limit."""


def verdict(estimate: Estimate, limit: float = LIMIT, half_width: float = HALF_WIDTH) -> Verdict:
    """Judge an estimate."""
    if estimate.low > limit:
        return Verdict.ABOVE
    if estimate.high <= limit:
        return Verdict.WITHIN
    return Verdict.AT_LIMIT if estimate.half_width <= half_width else Verdict.UNDECIDED
