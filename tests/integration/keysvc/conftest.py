"""A keysvc of one region with its own database."""

from collections.abc import AsyncIterator

import pytest

from tests.support.keysvc.replicas import MovableClock, Replica, running_replica


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
async def keysvc(keys_url: str, clock: MovableClock) -> AsyncIterator[Replica]:
    async with running_replica(keys_url, clock) as replica:
        yield replica
