"""Run these tests on uvloop, as the processes do: its transports differ from asyncio's."""

import uvloop


def pytest_asyncio_loop_factories() -> dict[str, object]:
    """The factory of each test's event loop."""
    return {"uvloop": uvloop.new_event_loop}
