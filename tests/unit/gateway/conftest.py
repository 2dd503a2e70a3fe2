"""Fixtures that the gateway's unit tests share."""

import pytest

from tests.support.clocks import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()
