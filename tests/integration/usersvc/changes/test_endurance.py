"""Concurrent writers, killed consumers and a restarted service: the feed loses nothing.

`make soak` runs this test for 60 seconds; the normal run takes a tenth of that.
"""

import asyncio
import json
import os
import random
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import pytest
from cloudacademy.users.v1 import changes_pb2
from cloudacademy.users.v1.groups_pb2_grpc import GroupServiceStub
from cloudacademy.users.v1.users_pb2_grpc import UserServiceStub
from google.protobuf.json_format import ParseDict

from deploy.local.ports import free_port
from tests.support.usersvc.change_calls import SnapshotState, apply
from tests.support.usersvc.group_calls import change_members, create_group, delete_group
from tests.support.usersvc.user_calls import ACME, create, delete, update
from tests.support.waiting import eventually, pace

ROOT = Path(__file__).parents[4]
SECONDS = float(os.environ.get("SOAK_SECONDS", "6"))
WRITERS = 8
CONSUMERS = 2
KILLS = 10
RESTARTS = 2
RECENT_USERS = 60
"""Writers change only this many of the newest users, so that their changes overlap."""
EXPECTED_FAILURES = (
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.CANCELLED,
)
"""The status of a change that conflicts with other writers or that a restart cuts short."""

ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'build'}"}


class Service:
    """A usersvc process that keeps its port across restarts."""

    def __init__(self, url: str) -> None:
        self.target = f"127.0.0.1:{free_port()}"
        self._environment = {
            **ENVIRONMENT,
            "USERSVC_DATABASE_URL": url,
            "USERSVC_REGION": "us",
            "USERSVC_LISTEN": self.target,
            "USERSVC_LOG_LEVEL": "warning",
        }

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "usersvc", "serve"), cwd=ROOT, env=self._environment
        )

    async def restart(self, end: Callable[[asyncio.subprocess.Process], None]) -> None:
        end(self.process)
        await self.process.wait()
        await self.start()


class Writer:
    """Changes users and groups that all writers share, so that changes overlap."""

    def __init__(self, channel: grpc.aio.Channel, seed: int, shared: "SharedResources") -> None:
        self._users = UserServiceStub(channel)
        self._groups = GroupServiceStub(channel)
        self._random = random.Random(seed)
        self._shared = shared
        self._created_count = 0
        self._seed = seed
        self.write_count = 0

    async def write(self) -> None:
        """Make one change; conflicts and calls cut short by a restart are expected."""
        action = self._random.choices(
            (
                self._create,
                self._update,
                self._toggle_active,
                self._delete,
                self._replace_group,
                self._change_members,
            ),
            (5, 6, 3, 2, 1, 6),
        )[0]
        try:
            await action()
            self.write_count += 1
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                await pace(0.05)  # the service restarts; back off as a client does
            elif error.code() not in EXPECTED_FAILURES:
                raise

    async def _create(self) -> None:
        self._created_count += 1
        user = await create(self._users, f"u{self._created_count}@w{self._seed}.test")
        self._shared.users.append(user.id)

    async def _update(self) -> None:
        await update(self._users, self._user(), title=f"Title {self._random.random()}")

    async def _toggle_active(self) -> None:
        await update(self._users, self._user(), "active", active=self._random.random() < 0.5)

    async def _delete(self) -> None:
        if len(self._shared.users) > RECENT_USERS:
            await delete(self._users, self._user())

    async def _replace_group(self) -> None:
        if len(self._shared.groups) < WRITERS:
            group = await create_group(self._groups, "Group", [self._user()])
            self._shared.groups.append(group.id)
        else:
            await delete_group(self._groups, self._shared.groups.pop(0))

    async def _change_members(self) -> None:
        await change_members(
            self._groups,
            self._random.choice(self._shared.groups),
            add={self._user() for _ in range(3)},
            remove={self._user() for _ in range(3)},
        )

    def _user(self) -> str:
        return self._random.choice(self._shared.users[-RECENT_USERS:])


class SharedResources:
    """The users and groups that all writers change."""

    def __init__(self) -> None:
        self.users: list[str] = []
        self.groups: list[str] = []


@pytest.mark.timeout(SECONDS + 120)
async def test_feed_loses_and_repeats_nothing_when_processes_are_killed(
    users_url: str, db: asyncpg.Connection, tmp_path: Path
):
    service = Service(users_url)
    await service.start()
    files = [tmp_path / f"consumer-{number}" for number in range(CONSUMERS)]
    consumers = [await consume(service.target, file) for file in files]
    options = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 100)]
    async with grpc.aio.insecure_channel(service.target, options=options) as channel:
        await channel.channel_ready()
        shared = await create_shared(channel)
        writers = [Writer(channel, seed, shared) for seed in range(WRITERS)]

        async def kill_consumers() -> None:
            for number in range(KILLS):
                await pace(SECONDS / (KILLS + 1))  # spread over the run
                index = number % CONSUMERS
                consumers[index].kill()
                await consumers[index].wait()
                consumers[index] = await consume(service.target, files[index])

        async def restart_service() -> None:
            for end in (asyncio.subprocess.Process.terminate, asyncio.subprocess.Process.kill):
                await pace(SECONDS / (RESTARTS + 1))  # spread over the run
                await service.restart(end)

        await write_during(writers, kill_consumers(), restart_service())
        await channel.channel_ready()  # the last event may have been a restart
        last = await create(UserServiceStub(channel), "last@corp.test")
    try:
        await eventually(lambda: all(last.id.encode() in file.read_bytes() for file in files))
    finally:
        for process in (*consumers, service.process):
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    expected = await tables(db)
    replayed = [replay(file) for file in files]
    assert all(state == expected for state, _ in replayed)
    assert all(count > WRITERS for _, count in replayed)
    writes = sum(writer.write_count for writer in writers)
    sys.stdout.write(
        f"{writes} writes in {SECONDS:g} s; received {[count for _, count in replayed]}\n"
    )


async def create_shared(channel: grpc.aio.Channel) -> SharedResources:
    shared = SharedResources()
    for number in range(10):
        user = await create(UserServiceStub(channel), f"first{number}@corp.test")
        shared.users.append(user.id)
    group = await create_group(GroupServiceStub(channel), "First", shared.users)
    shared.groups.append(group.id)
    return shared


async def write_during(writers: list[Writer], *disturbances: Coroutine[Any, Any, None]) -> None:
    """Run the writers until all disturbances are over."""
    over = asyncio.Event()

    async def run(writer: Writer) -> None:
        while not over.is_set():
            await writer.write()

    async with asyncio.TaskGroup() as tasks:
        for writer in writers:
            tasks.create_task(run(writer))
        await asyncio.gather(*disturbances)
        over.set()


async def consume(target: str, file: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.usersvc.feed_consumer", target, ACME, str(file)),
        cwd=ROOT,
        env=ENVIRONMENT,
    )


async def tables(db: asyncpg.Connection) -> SnapshotState:
    """The state of the tables of users, groups and members."""
    state = SnapshotState()
    for user_id, version in await db.fetch("SELECT user_id, version FROM users"):
        state.users[str(user_id)] = str(version)
    for group_id, version in await db.fetch("SELECT group_id, version FROM groups"):
        state.groups[str(group_id)] = str(version)
    for group_id, user_id in await db.fetch("SELECT group_id, user_id FROM group_users"):
        state.members.setdefault(str(group_id), set()).add(str(user_id))
    return state


def replay(file: Path) -> tuple[SnapshotState, int]:
    """The consumer's final state and its number of changes; each must come once and in order."""
    first, *lines = [json.loads(line) for line in file.read_bytes().splitlines()]
    state = SnapshotState(users=first["users"], groups=first["groups"])
    state.members = {group: set(ids) for group, ids in first["members"].items()}
    number, count = 0, 0
    for line in lines:
        for each in line["changes"]:
            change = ParseDict(each, changes_pb2.Change())
            assert change.number > number
            etag = state.users.get(change.resource_id, state.groups.get(change.resource_id, "0"))
            assert not change.etag or int(change.etag) >= int(etag)
            apply(change, state)
            number, count = change.number, count + 1
    return state, count
