"""Abandoned TLS handshakes with a server in its own process."""

import asyncio
import socket
from pathlib import Path

from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.usersvc.serving import usersvc_process

NO_DATABASE = "postgresql://nobody@127.0.0.1:1/nothing"
CLIENTS = 1_000
ROUNDS = 3
CLIENT_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"
"""The first bytes of a TLS handshake (RFC 8446 section 5.1); the rest is never sent."""


def abandon_handshakes(port: int) -> None:
    """Begin many handshakes and close their connections."""
    clients = []
    for _ in range(CLIENTS):
        client = socket.create_connection(("127.0.0.1", port), timeout=10)
        client.send(CLIENT_HELLO)
        clients.append(client)
    for client in clients:
        client.close()


async def test_abandoned_handshakes_do_not_end_the_process(tmp_path: Path):
    with usersvc_process(NO_DATABASE, tmp_path) as usersvc:
        port = int(usersvc.target.rpartition(":")[2])
        async with usersvc.plain_channel("gateway") as channel:
            check = health_pb2_grpc.HealthStub(channel).Check
            for _ in range(ROUNDS):
                await asyncio.to_thread(abandon_handshakes, port)
                await check(health_pb2.HealthCheckRequest(), timeout=20, wait_for_ready=True)
