"""A server stops listening when its task ends."""

import asyncio
import socket

import pytest

from tests.support.chassis.echoes import echo_server


async def test_a_cancelled_server_no_longer_listens():
    async with echo_server() as server:
        server.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server.task
        with socket.socket() as probe:
            accepted = probe.connect_ex(("127.0.0.1", server.port)) == 0

    assert not accepted
