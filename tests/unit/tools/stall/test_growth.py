"""The work of a reader grows at most linearly with its input; measured by ratios, not times."""

import re

import pytest

from tests.support.growth import growth
from tools.stall.inputs.messages import MESSAGES
from tools.stall.readers import READERS

ALL_READERS = {**READERS, **MESSAGES}


@pytest.mark.parametrize("name", ALL_READERS)
def test_work_grows_no_faster_than_the_input(name: str):
    read = ALL_READERS[name]
    found = {text: growth(read, make, read.limit) for text, make in read.inputs.items()}
    assert {text: str(result) for text, result in found.items() if not result.is_linear} == {}


def test_growth_finds_quadratic_work():
    def quadratic(text: str) -> None:
        sum(1 for _ in text for _ in text)

    assert not growth(quadratic, lambda size: "a" * size, 4_096).is_linear


def test_growth_finds_a_pattern_that_backtracks():
    pattern = re.compile(r"a+b")
    found = growth(pattern.findall, lambda size: "a" * size, 100_000)
    assert not found.is_linear


def test_growth_accepts_linear_work():
    assert growth(sum, lambda size: [1] * size, 4_000_000).is_linear


def test_growth_accepts_work_too_small_to_measure():
    assert growth(len, lambda size: "a" * size, 100_000).ratio == 0.0
