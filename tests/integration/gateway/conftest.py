"""These tests run on the loop that processes run on: its transports are its own."""

import uvloop


def pytest_asyncio_loop_factories() -> dict[str, object]:
    """What makes the loop of each test."""
    return {"uvloop": uvloop.new_event_loop}
