"""The rounds of a comparison, their log-ratios, and the environment of the measured processes."""

import math
import random
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tools.benchmarks.against.estimate import hodges_lehmann

BASE, HEAD = "base", "head"
"""The commit to compare with, and the working tree."""
SIDES = (BASE, HEAD)
_MAX_PADDING = 4_096
"""Bytes; one memory page."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds of CPU time per request."""

    services: float
    """Of gateway, usersvc and keysvc together."""
    postgres: float


@dataclass(frozen=True, slots=True)
class Round:
    """The cost of the same requests on both sides, measured at the same time."""

    session: int
    operation: str
    requests: int
    base: Cost
    head: Cost


CostPart = Callable[[Cost], float]
"""Selects one of the costs, such as `services`."""


def order(number: int) -> tuple[str, str]:
    """The order of the sides in a round; they alternate."""
    return (BASE, HEAD) if number % 2 == 0 else (HEAD, BASE)


def process_environment(session: int) -> dict[str, str]:
    """Environment variables for the processes of a session, the same on both sides.

    The hash seed determines the collisions in sets and dicts, and the size of the environment
    shifts the addresses on the stack. Base and head have the same values, so that these cause no
    difference. Each session has other values, so that the result does not depend on one of them
    (Mytkowicz et al., "Producing Wrong Data Without Doing Anything Obviously Wrong!", 2009).
    """
    padding = random.Random(session).randrange(_MAX_PADDING)
    return {"PYTHONHASHSEED": str(session + 1), "BENCHMARK_PADDING": "x" * padding}


def log_ratios(rounds: Iterable[Round], operation: str, part: CostPart) -> list[float]:
    """One log-ratio of head to base per session, from all its rounds of an operation."""
    sessions: dict[int, list[float]] = defaultdict(list)
    for each in rounds:
        if each.operation == operation:
            sessions[each.session].append(math.log(part(each.head) / part(each.base)))
    return [hodges_lehmann(session) for session in sessions.values()]


def median_costs(rounds: Iterable[Round], operation: str, part: CostPart) -> tuple[float, float]:
    """The median costs of an operation, base first."""
    of_operation = [each for each in rounds if each.operation == operation]
    return (
        statistics.median(part(each.base) for each in of_operation),
        statistics.median(part(each.head) for each in of_operation),
    )
