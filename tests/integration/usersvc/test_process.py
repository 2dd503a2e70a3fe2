"""The usersvc process: start, health, lost database, shutdown."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable

import asyncpg
import grpc
import pytest
from cloudacademy.errors.v1.errors_pb2 import Reason
from cloudacademy.users.v1.users_pb2_grpc import UserServiceStub
from google.rpc import error_details_pb2
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from tests.support.postgres import temporary_postgres
from tests.support.usersvc.process import ROOT, running_process
from tests.support.usersvc.user_calls import NOBODY, create, delete, get, refused, update
from tests.support.waiting import eventually
from usersvc.__main__ import migrate
from usersvc.rpc.authorization import CALLERS

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def health_is(channel: grpc.aio.Channel, wanted: int) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        stub = health_pb2_grpc.HealthStub(channel)
        responses = [
            await stub.Check(health_pb2.HealthCheckRequest(service=service))
            for service in ("", *CALLERS)
        ]
        return {response.status for response in responses} == {wanted}

    return check


async def succeeds(call: Awaitable[object]) -> bool:
    try:
        await call
    except grpc.aio.AioRpcError:
        return False
    return True


def database_unavailable():
    return refused(Reason.REASON_DATABASE_UNAVAILABLE, StatusCode.UNAVAILABLE)


async def test_lost_database_is_reported_without_a_change_of_health():
    with temporary_postgres() as postgres:
        cluster = postgres.cluster
        url = cluster.create_role_and_database("users", "users_owner", "secret")
        await migrate(url, "us")
        await asyncio.to_thread(cluster.stop)
        async with (
            running_process(url) as (process, address),
            grpc.aio.insecure_channel(address) as channel,
        ):
            users = UserServiceStub(channel)
            await eventually(health_is(channel, NOT_SERVING))
            with database_unavailable() as caught:
                await get(users, NOBODY)
            await asyncio.to_thread(cluster.start)
            await eventually(health_is(channel, SERVING))
            ann = await create(users, "ann")
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            changes = aiter(watch)
            assert (await anext(changes)).status == SERVING
            await asyncio.to_thread(cluster.stop)
            for call in (get(users, ann.id), create(users, "bob"), delete(users, ann.id)):
                with database_unavailable():
                    await call
            await asyncio.to_thread(cluster.start)
            await eventually(lambda: succeeds(get(users, ann.id)))
            assert await get(users, ann.id) == ann
            process.terminate()
            assert (await anext(changes)).status == NOT_SERVING  # no change during the outage
    status = rpc_status.from_call(caught.error)
    assert [detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for detail in status.details] == [
        False,
        True,
    ]


async def test_process_exits_with_0_on_sigterm(users_url):
    async with running_process(users_url) as (process, address):
        async with grpc.aio.insecure_channel(address) as channel:
            await create(UserServiceStub(channel), "ann")
        process.terminate()
        async with asyncio.timeout(20):
            await process.communicate()
        assert process.returncode == 0


async def test_log_contains_no_personal_data(users_url):
    async with running_process(users_url) as (process, address):
        async with grpc.aio.insecure_channel(address) as channel:
            users = UserServiceStub(channel)
            await create(users, "ann-the-secret")
            with pytest.raises(grpc.aio.AioRpcError):
                await create(users, "Ann-The-Secret")
        process.terminate()
        output, _ = await process.communicate()
    outcomes = [line.get("outcome") for line in map(json.loads, output.splitlines())]
    assert [outcome for outcome in outcomes if outcome] == ["OK", "USER_NAME_TAKEN"]
    assert b"secret" not in output.lower()


async def test_statement_is_cancelled_when_its_caller_disconnects(users, db, users_url):
    ann = await create(users, "ann")

    async def has_lock_waiter() -> bool:
        return await db.fetchval(
            """
            SELECT count(*) FROM pg_stat_activity
             WHERE application_name = 'usersvc' AND wait_event_type = 'Lock'
            """
        )  # fmt: skip

    holder = await asyncpg.connect(users_url)
    async with holder.transaction():
        await holder.execute("SELECT user_id FROM users FOR UPDATE")
        call = asyncio.create_task(update(users, ann.id, title="x"))
        await eventually(has_lock_waiter)
        call.cancel()

        async def no_lock_waiter() -> bool:
            return not await has_lock_waiter()

        await eventually(no_lock_waiter)
    await holder.close()
    assert await get(users, ann.id) == ann


async def test_second_migration_applies_nothing(users_url, capsys):
    await migrate(users_url, "us")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("url", "code", "words"),
    [
        ("postgresql://x:y@127.0.0.1:1/z", 1, b"usersvc: cannot connect to the database: "),
        ("nonsense", 2, b"usersvc: USERSVC_DATABASE_URL "),
    ],
)
async def test_migration_of_unreachable_database_fails_in_one_line(url, code, words):
    migration = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "usersvc", "migrate"),
        cwd=ROOT,
        env={
            **os.environ,
            "USERSVC_DATABASE_URL": url,
            "USERSVC_REGION": "us",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'build'}",
        },
        stderr=asyncio.subprocess.PIPE,
    )
    _, error_output = await migration.communicate()

    assert migration.returncode == code
    assert error_output.startswith(words)
    assert error_output.count(b"\n") == 1
