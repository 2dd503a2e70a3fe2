"""Processes whose output nobody reads still answer."""

import asyncio
import fcntl
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import grpc
import pytest

from deploy.local.ports import free_port
from tests.support.processes import stop
from tests.support.stack import ROOT
from tests.support.waiting import eventually

REQUESTS = 100
PIPE_BYTES = 4096
"""The size of the smallest pipe: the lines of some 15 requests."""
NO_DATABASE = "postgresql://nobody:nothing@127.0.0.1:1/none"
SETTINGS = {
    "gateway": {
        "GATEWAY_REGION": "us",
        "GATEWAY_CURSOR_SECRET": secrets.token_hex(32),
    },
    "usersvc": {"USERSVC_DATABASE_URL": NO_DATABASE, "USERSVC_REGION": "us"},
    "keysvc": {"KEYSVC_DATABASE_URL": NO_DATABASE, "KEYSVC_REGION": "us"},
}
METHODS = {
    "usersvc": "/cloudacademy.users.v1.UserService/GetUser",
    "keysvc": "/cloudacademy.keys.v1.KeyService/ListKeys",
}


@contextmanager
def unread(name: str) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Start a process whose output nobody reads; yields its address."""
    address = f"127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [sys.executable, "-m", name, *(() if name == "gateway" else ("serve",))],
        env={
            **os.environ,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'build'}",
            "GRPC_VERBOSITY": "ERROR",
            f"{name.upper()}_LISTEN": address,
            **SETTINGS[name],
        },
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    try:
        yield address, process
    finally:
        process.kill()
        process.communicate()


async def answers(address: str) -> bool:
    host, _, port = address.partition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return False
    writer.close()
    return True


async def send_requests(name: str, address: str, number: int) -> int:
    """Send requests that are logged, one after the other; returns how many got a response."""
    if name == "gateway":
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(20)) as session:
            for _ in range(number):
                async with session.get(f"http://{address}/unknown") as response:
                    assert response.status == 404
        return number
    async with grpc.aio.insecure_channel(address) as channel:
        for _ in range(number):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary(METHODS[name])(b"", timeout=20)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    return number


def logged(process: "subprocess.Popen[bytes]", number: int) -> list[dict[str, Any]]:
    """Read lines until `number` requests are logged."""
    assert process.stdout is not None
    requests: list[dict[str, Any]] = []
    while len(requests) < number:
        line = json.loads(process.stdout.readline())
        if line["event"] in ("request", "call"):
            requests.append(line)
    return requests


@pytest.mark.parametrize("name", SETTINGS)
async def test_process_answers_while_nobody_reads_its_output(name: str):
    with unread(name) as (address, process):
        await eventually(lambda: answers(address))
        answered = await send_requests(name, address, REQUESTS)
        lines = await asyncio.to_thread(logged, process, REQUESTS)
        assert stop(process) == 0

    assert (answered, len(lines)) == (REQUESTS, REQUESTS)
