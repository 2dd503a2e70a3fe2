"""The estimates from rounds, and the common environment of a session's processes."""

import math

import pytest

from tools.benchmarks.against.rounds import (
    Cost,
    Round,
    log_ratios,
    median_costs,
    order,
    process_environment,
)


def round_(session: int, base: float, head: float, operation: str = "get") -> Round:
    return Round(session, operation, 100, Cost(base, 2 * base), Cost(head, base))


def services(cost: Cost) -> float:
    return cost.services


def test_each_session_gives_one_observation():
    rounds = [
        *(round_(1, 100, head) for head in (110, 110, 500)),
        *(round_(2, 200, head) for head in (200, 200, 200)),
        round_(2, 100, 900, operation="create"),
    ]

    first, second = log_ratios(rounds, "get", services)

    assert math.exp(first) < 1.1 * 2.2  # the outlier does not decide the session
    assert second == 0


def test_sides_are_compared_within_each_round():
    # The machine became three times slower, for both sides.
    rounds = [round_(1, 100, 105), round_(1, 300, 315)]

    assert log_ratios(rounds, "get", services) == pytest.approx([math.log(1.05)])


def test_parts_of_cost_are_compared_separately():
    rounds = [round_(1, 100, 105)]

    (ratio,) = log_ratios(rounds, "get", lambda cost: cost.postgres)

    assert math.exp(ratio) == pytest.approx(0.5)


def test_costs_are_medians_of_each_side():
    rounds = [round_(1, 100, 110), round_(1, 120, 90), round_(2, 900, 100)]

    assert median_costs(rounds, "get", services) == (120, 100)


def test_sessions_differ_in_hash_seed_and_environment_size():
    environments = [process_environment(session) for session in range(20)]

    assert len({environment["PYTHONHASHSEED"] for environment in environments}) == 20
    assert len({len(environment["BENCHMARK_PADDING"]) for environment in environments}) > 15
    assert process_environment(3) == process_environment(3)


def test_sides_alternate_in_starting_first():
    assert order(0) == tuple(reversed(order(1)))
    assert order(0) == order(2)
