"""`make watch` of a running region."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

from cloudacademy.users.v1 import changes_pb2

from deploy.local.watch import render
from tests.support.scim import Client
from tests.support.stack import ROOT, Stack


@asynccontextmanager
async def watching(tenant: Stack) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start `make watch` and wait for its first line."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.local", "watch"),
        *("--directory", str(tenant.paths.directory)),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'build'}"},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            assert b"Changes of region" in await process.stdout.readline()
            yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_watch_prints_changes_also_after_usersvc_was_killed(tenant: Stack, scim: Client):
    async with watching(tenant) as process:
        first = await _printed_change(process, scim)
        assert " USER_CREATED " in first
        assert first.endswith("  user_name, active\n")
        os.kill(tenant.pid("usersvc"), signal.SIGKILL)
        assert " USER_CREATED " in await _printed_change(process, scim)


async def test_sigint_ends_watch_although_shell_ignored_it(tenant: Stack, sigint_ignored: None):
    async with watching(tenant) as process:
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0


async def _printed_change(process: asyncio.subprocess.Process, scim: Client) -> str:
    """Create users until `make watch` prints one of them; returns that line."""
    created: list[str] = []
    reading = asyncio.ensure_future(process.stdout.readline())
    while True:
        reply = await scim("POST", "/Users", {"userName": f"{uuid4().hex}@watch.test"})
        if reply.status == 201:
            created.append(reply.document["id"])
        await asyncio.wait({reading}, timeout=0.3)
        if reading.done():
            line = reading.result().decode()
            if any(user_id in line for user_id in created):
                return line
            reading = asyncio.ensure_future(process.stdout.readline())


def test_watch_line_shows_number_of_members():
    change = changes_pb2.Change(
        type=changes_pb2.Change.TYPE_MEMBERS_ADDED, resource_id="g1", user_ids=["a", "b"]
    )
    assert render(change, colour=False) == "00:00:00  MEMBERS_ADDED     g1  2 members"
    assert "\033[32mMEMBERS_ADDED" in render(change, colour=True)
