"""Run these tests on uvloop, as the processes do: its transports differ from asyncio's."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvloop

from tests.support.outbound.outside import Outside
from tests.support.outbound.outside import outside as outside_hosts


def pytest_asyncio_loop_factories() -> dict[str, object]:
    """The factory of each test's event loop."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def outside(tmp_path: Path) -> AsyncIterator[Outside]:
    """Hosts outside the region."""
    async with outside_hosts(tmp_path) as hosts:
        yield hosts
