"""What rounds say of an operation, and what the processes of a session have in common."""

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


def test_each_session_gives_one_observation_from_its_rounds():
    rounds = [
        *(round_(1, 100, head) for head in (110, 110, 500)),
        *(round_(2, 200, head) for head in (200, 200, 200)),
        round_(2, 100, 900, operation="create"),
    ]

    first, second = log_ratios(rounds, "get", services)

    assert math.exp(first) < 1.1 * 2.2  # the outlier is not what the session says
    assert second == 0


def test_the_sides_of_a_round_are_compared_with_each_other():
    # The machine became three times slower: both sides did.
    rounds = [round_(1, 100, 105), round_(1, 300, 315)]

    assert log_ratios(rounds, "get", services) == pytest.approx([math.log(1.05)])


def test_a_part_of_the_cost_is_compared_alone():
    rounds = [round_(1, 100, 105)]

    (ratio,) = log_ratios(rounds, "get", lambda cost: cost.postgres)

    assert math.exp(ratio) == pytest.approx(0.5)


def test_the_costs_are_the_medians_of_each_side():
    rounds = [round_(1, 100, 110), round_(1, 120, 90), round_(2, 900, 100)]

    assert median_costs(rounds, "get", services) == (120, 100)


def test_sessions_differ_in_hash_seed_and_in_size_of_environment():
    environments = [process_environment(session) for session in range(20)]

    assert len({each["PYTHONHASHSEED"] for each in environments}) == 20
    assert len({len(each["BENCHMARK_PADDING"]) for each in environments}) > 15
    assert process_environment(3) == process_environment(3)


def test_the_sides_take_turns_at_being_first():
    assert order(0) == tuple(reversed(order(1)))
    assert order(0) == order(2)
