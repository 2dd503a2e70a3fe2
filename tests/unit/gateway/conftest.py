"""What the gateway's tests of limits share."""

import pytest


class Clock:
    """The seconds that have passed."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()
