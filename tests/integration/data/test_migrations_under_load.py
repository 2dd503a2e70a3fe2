"""The previous release serves while migrations run, and afterwards alongside the new release."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import grpc
import pytest
from cloudacademy.users.v1.groups_pb2_grpc import GroupServiceStub
from cloudacademy.users.v1.users_pb2_grpc import UserServiceStub

from chassis.database import migrations
from deploy.local.ports import free_port
from tests.support.data.releases import ROOT, release_before
from tests.support.keysvc.replicas import Replica
from tests.support.usersvc.group_calls import change_members, create_group
from tests.support.usersvc.user_calls import create, delete, get, list_users, update
from tests.support.waiting import eventually

START_SECONDS = 30
WRITERS = 4
ROUNDS_BEFORE, ROUNDS_AFTER = 60, 60
"""Minimum number of write rounds before and after the migrations."""

Round = Callable[[grpc.aio.Channel, int], Awaitable[None]]


@asynccontextmanager
async def serving(service: str, url: str, folder: Path) -> AsyncIterator[grpc.aio.Channel]:
    """A process of the service with its code in `folder`, and a channel to it."""
    prefix = service.upper()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", service, "serve"),
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": f"{folder}:{folder / 'build'}",
            f"{prefix}_DATABASE_URL": url,
            f"{prefix}_REGION": "us",
            f"{prefix}_LISTEN": f"127.0.0.1:{free_port()}",
        },
        stdout=asyncio.subprocess.PIPE,
    )
    reading: asyncio.Task[bytes] | None = None
    try:
        address = await _address(process.stdout)
        reading = asyncio.create_task(process.stdout.read())
        async with grpc.aio.insecure_channel(address) as channel:
            yield channel
    finally:
        process.terminate()
        await (reading or process.stdout.read())
        await process.wait()


async def _address(output: asyncio.StreamReader) -> str:
    async with asyncio.timeout(START_SECONDS):
        async for line in output:
            entry = json.loads(line)
            if entry["event"] == "listening":
                return str(entry["address"])
    raise AssertionError("the process ended before it listened")


@dataclass
class Load:
    """Writers that run until `stop` is set. Any error but that of a deadlock ends all of them."""

    channel: grpc.aio.Channel
    write_round: Round
    numbers: Iterator[int] = field(default_factory=count)
    done: int = 0
    rolled_back: int = 0
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def write(self) -> None:
        while not self.stop.is_set():
            try:
                await self.write_round(self.channel, next(self.numbers))
            except grpc.aio.AioRpcError as error:
                # PostgreSQL rolled this call back to end its deadlock with a migration. Releases up
                # to migration 0007 report that as an internal error, later ones as UNAVAILABLE.
                if error.code() not in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE):
                    raise
                self.rolled_back += 1
            else:
                self.done += 1

    async def wait_for_rounds(self, rounds: int) -> None:
        """Wait until `rounds` rounds are done."""
        await eventually(lambda: self.done >= rounds)


async def users_round(channel: grpc.aio.Channel, number: int) -> None:
    """Every kind of write that provisioning makes to a user and a group, and two reads."""
    users, groups = UserServiceStub(channel), GroupServiceStub(channel)
    user = await create(users, f"user{number}", roles=[{"value": "Administrator"}])
    group = await create_group(groups, f"group{number}", [user.id])
    await update(users, user.id, active=False)
    await update(users, user.id, title="again", active=True)
    await change_members(groups, group.id, remove=[user.id])
    await list_users(users, page_size=1)
    if number % 2:
        await delete(users, user.id)
    else:
        assert (await get(users, user.id)).title == "again"


async def keys_round(channel: grpc.aio.Channel, _: int) -> None:
    keysvc = Replica("", channel, [], asyncio.Event(), asyncio.current_task())
    acme = await keysvc.create()
    generated = await keysvc.generate(acme)
    assert (await keysvc.authenticate(generated.token)).organization_id == acme
    await keysvc.revoke(generated.key)
    await keysvc.deactivate(acme)


ROUNDS: dict[str, Round] = {"usersvc": users_round, "keysvc": keys_round}


@pytest.mark.parametrize("service", ROUNDS)
async def test_previous_release_serves_during_and_after_migrations(
    service: str, empty_url: str, tmp_path: Path
):
    previous = await asyncio.to_thread(release_before, service, tmp_path)
    await migrations.apply(empty_url, previous.migrations)

    async with serving(service, empty_url, previous.folder) as old, asyncio.TaskGroup() as tasks:
        old_load = Load(old, ROUNDS[service])
        for _ in range(WRITERS):
            tasks.create_task(old_load.write())
        await old_load.wait_for_rounds(ROUNDS_BEFORE)
        applied = await migrations.apply(empty_url, previous.migrations + previous.later_migrations)
        await old_load.wait_for_rounds(old_load.done + ROUNDS_AFTER)
        async with serving(service, empty_url, ROOT) as new:
            new_load = Load(new, ROUNDS[service], old_load.numbers)
            writing = tasks.create_task(new_load.write())
            await new_load.wait_for_rounds(ROUNDS_AFTER)
            new_load.stop.set()
            old_load.stop.set()
            await writing  # its channel closes with the block
    assert applied == previous.later_migrations != []
    assert new_load.rolled_back == 0
    # Each writer can be the deadlock victim of a migration at most once.
    assert old_load.rolled_back <= WRITERS
