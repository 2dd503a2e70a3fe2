"""The verdict on each operation, the exit code, and the sentences that explain it."""

import math

import pytest

from tools.benchmarks.against.estimate import Estimate
from tools.benchmarks.against.report import SERVICES, Row, conclusion, table
from tools.benchmarks.against.verdict import HALF_WIDTH, LIMIT, Verdict, verdict


def row(operation: str, ratio: float, low: float, high: float) -> Row:
    return Row(operation, 100.0, 100.0 * ratio, Estimate(ratio, low, high, 10))


@pytest.mark.parametrize(
    ("ratio", "low", "high", "expected"),
    [
        (1.05, 1.031, 1.07, Verdict.ABOVE),
        (1.2, 1.04, 1.6, Verdict.ABOVE),
        (1.00, 0.99, 1.01, Verdict.WITHIN),
        (0.80, 0.5, 1.03, Verdict.WITHIN),
        (1.025, 1.015, 1.035, Verdict.AT_LIMIT),
        (1.00, 0.9, 1.1, Verdict.UNDECIDED),
        (1.00, 0.0, math.inf, Verdict.UNDECIDED),
    ],
)
def test_verdict_follows_from_interval_and_limit(
    ratio: float, low: float, high: float, expected: Verdict
):
    assert verdict(Estimate(ratio, low, high, 10)) is expected


CHEAP = row("get", 1.0, 0.99, 1.01)
WIDE = row("list", 1.0, 0.9, 1.1)
EXPENSIVE = row("create", 1.1, 1.09, 1.11)


def concluded(*rows: Row) -> tuple[int, str]:
    code, sentences = conclusion(rows, LIMIT, HALF_WIDTH)
    return code, " ".join(sentences)


def test_conclusion_passes_for_narrow_intervals_below_limit():
    assert concluded(CHEAP) == (0, "No operation's cost ratio is shown to be above 1.03.")


def test_conclusion_fails_for_one_operation_above_limit():
    code, text = concluded(CHEAP, WIDE, EXPENSIVE)

    assert code == 1
    assert text.endswith("Too expensive: the ratio is above 1.03 for create.")


def test_conclusion_is_undecided_for_too_wide_interval():
    code, text = concluded(CHEAP, WIDE)

    assert code == 2
    assert "Not measured to ± 1.5%: list." in text
    assert "Undecided: a ratio above 1.03 cannot be ruled out for list." in text


def test_conclusion_names_wide_interval_below_limit():
    code, text = concluded(row("get", 0.9, 0.8, 1.0))

    assert code == 0
    assert "Not measured to ± 1.5%: get." in text


def test_table_has_costs_ratio_interval_and_verdict():
    (_, heads, line) = table(SERVICES, [EXPENSIVE], LIMIT, HALF_WIDTH).splitlines()

    assert " ".join(heads.split()) == "operation before µs after µs ratio 95 % interval sessions"
    assert " ".join(line.split()) == "create 100.0 110.0 1.100 1.090 to 1.110 10 above the limit"
