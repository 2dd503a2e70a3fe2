"""Creates with request ids are safe to repeat."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest
import structlog
from cloudacademy.errors.v1.errors_pb2 import Reason
from cloudacademy.users.v1 import groups_pb2, users_pb2
from grpc import StatusCode
from structlog.testing import LogCapture

from chassis.database.pool import Database
from tests.support.clocks import StoppedClock
from tests.support.usersvc.database_clock import database_time
from tests.support.usersvc.group_calls import (
    delete_group,
    group_not_found,
    list_groups,
    members,
    update_group,
)
from tests.support.usersvc.user_calls import (
    ACME,
    GLOBEX,
    create,
    delete,
    invalid_field,
    list_users,
    refused,
    update,
)
from tests.support.waiting import eventually
from usersvc.background.retention import Step, run_retention
from usersvc.store.idempotency import CreateRequestStore


def user_request(
    user_name: str, request_id: str, organization_id: str = ACME, **fields: object
) -> users_pb2.CreateUserRequest:
    return users_pb2.CreateUserRequest(
        organization_id=organization_id,
        user=users_pb2.User(user_name=user_name, **fields),
        request_id=request_id,
    )


def group_request(
    display_name: str, request_id: str, member_ids: tuple[str, ...] = ()
) -> groups_pb2.CreateGroupRequest:
    return groups_pb2.CreateGroupRequest(
        organization_id=ACME,
        group=groups_pb2.Group(display_name=display_name),
        member_ids=member_ids,
        request_id=request_id,
    )


def request_id_reused(request_id: str):
    return refused(
        Reason.REASON_REQUEST_ID_REUSED, StatusCode.ALREADY_EXISTS, request_id=request_id
    )


async def test_repeated_create_returns_the_first_user(users):
    request = user_request("ann", str(uuid4()), title="Engineer")
    first = await users.CreateUser(request)
    assert await users.CreateUser(request) == first
    assert list((await list_users(users)).users) == [first.user]


async def test_repeated_create_returns_the_current_state_of_the_user(users):
    request = user_request("ann", str(uuid4()))
    first = await users.CreateUser(request)
    changed = await update(users, first.user.id, user_name="anna")
    assert (await users.CreateUser(request)).user == changed


async def test_repeated_create_of_deleted_user_is_refused(users):
    request = user_request("ann", str(uuid4()))
    first = await users.CreateUser(request)
    await delete(users, first.user.id)
    with refused(Reason.REASON_USER_NOT_FOUND, StatusCode.NOT_FOUND, user_id=first.user.id):
        await users.CreateUser(request)
    assert list((await list_users(users)).users) == []


async def test_request_id_with_another_request_is_refused(users):
    request_id = str(uuid4())
    await users.CreateUser(user_request("ann", request_id))
    with request_id_reused(request_id):
        await users.CreateUser(user_request("bob", request_id))
    with request_id_reused(request_id):
        await users.CreateUser(user_request("ann", request_id, title="Engineer"))


async def test_request_id_of_user_create_is_refused_for_a_group(users, groups):
    request_id = str(uuid4())
    await users.CreateUser(user_request("ann", request_id))
    with request_id_reused(request_id):
        await groups.CreateGroup(group_request("team", request_id))


async def test_request_ids_are_separate_per_organization(users):
    request_id = str(uuid4())
    in_acme = await users.CreateUser(user_request("ann", request_id))
    in_globex = await users.CreateUser(user_request("ann", request_id, organization_id=GLOBEX))
    assert in_acme.user.id != in_globex.user.id


async def test_refused_create_may_be_repeated_with_its_request_id(users):
    ann = await create(users, "ann")
    request = user_request("ann", str(uuid4()))
    with refused(Reason.REASON_USER_NAME_TAKEN, StatusCode.ALREADY_EXISTS, user_name="ann"):
        await users.CreateUser(request)
    await delete(users, ann.id)
    assert (await users.CreateUser(request)).user.user_name == "ann"


async def test_request_id_that_is_not_a_uuid_is_refused(users, groups):
    with invalid_field("request_id"):
        await users.CreateUser(user_request("ann", "once"))
    with invalid_field("request_id"):
        await groups.CreateGroup(group_request("team", "once"))


async def test_concurrent_repeats_create_one_user_and_all_return_it(users):
    request = user_request("ann", str(uuid4()))
    responses = await asyncio.gather(*[users.CreateUser(request) for _ in range(8)])
    page = await list_users(users)
    assert list(page.users) == [responses[0].user]
    assert responses == [responses[0]] * 8


async def test_of_concurrent_different_requests_with_one_id_one_succeeds(users):
    request_id = str(uuid4())
    calls = [users.CreateUser(user_request(f"user{number}", request_id)) for number in range(6)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(outcome, Exception) for outcome in outcomes) == 5
    assert len((await list_users(users)).users) == 1


async def test_concurrent_repeats_create_one_group_and_all_return_it(users, groups):
    ann = await create(users, "ann")
    request = group_request("team", str(uuid4()), (ann.id,))
    responses = await asyncio.gather(*[groups.CreateGroup(request) for _ in range(8)])
    page = await list_groups(groups)
    assert list(page.groups) == [responses[0].group]
    assert responses == [responses[0]] * 8
    assert await members(groups, responses[0].group.id) == [ann.id]


async def test_repeated_create_returns_the_current_state_of_the_group(groups):
    request = group_request("team", str(uuid4()))
    first = await groups.CreateGroup(request)
    changed = await update_group(groups, first.group.id, display_name="crew")
    assert (await groups.CreateGroup(request)).group == changed
    await delete_group(groups, first.group.id)
    with group_not_found(first.group.id):
        await groups.CreateGroup(request)


async def test_validated_create_does_not_store_its_request_id(users):
    request = user_request("ann", str(uuid4()))
    request.validate_only = True
    await users.CreateUser(request)
    request.validate_only = False
    first = await users.CreateUser(request)
    request.validate_only = True
    assert (await users.CreateUser(request)).user.create_time == first.user.create_time


async def test_create_without_request_id_stores_no_digest(users, groups, db):
    await create(users, "ann")
    await groups.CreateGroup(group_request("team", ""))
    assert await db.fetch("SELECT request_id FROM create_requests") == []


async def test_request_of_a_deleted_user_stores_no_personal_data(users, db):
    request = user_request("ann-the-secret", str(uuid4()))
    first = await users.CreateUser(request)
    await delete(users, first.user.id)
    rows = await db.fetch("SELECT create_requests::text AS row FROM create_requests")
    assert len(rows) == 1
    assert "secret" not in rows[0]["row"]


@pytest.fixture
async def requests(users) -> list[users_pb2.CreateUserRequest]:
    """One completed request in each of two organizations."""
    created = [user_request("ann", str(uuid4()), each) for each in (ACME, GLOBEX)]
    for request in created:
        await users.CreateUser(request)
    return created


def steps(database: Database) -> dict[str, Step]:
    return {"create requests": CreateRequestStore(database).delete_expired}


async def delete_expired(users_url: str, db: asyncpg.Connection, clock: StoppedClock) -> int:
    async with (
        Database(users_url, "test") as database,
        database_time(db, clock.now, {"create_requests": "create_time"}),
    ):
        return await CreateRequestStore(database).delete_expired()


async def test_request_ids_are_kept_for_a_day(users, users_url, db, clock, requests):
    clock.advance(hours=24, minutes=-1)
    assert await delete_expired(users_url, db, clock) == 0
    for request in requests:
        assert (await users.CreateUser(request)).user.user_name == "ann"


async def test_expired_request_ids_are_deleted_in_every_organization(
    users, users_url, db, clock, requests
):
    clock.advance(hours=24, seconds=1)
    assert await delete_expired(users_url, db, clock) == 2
    for request in requests:
        with refused(Reason.REASON_USER_NAME_TAKEN, StatusCode.ALREADY_EXISTS, user_name="ann"):
            await users.CreateUser(request)


async def test_expired_requests_are_deleted_until_the_process_stops(users_url, requests, db):
    await db.execute("UPDATE create_requests SET create_time = now() - interval '25 hours'")
    stop, log = asyncio.Event(), structlog.wrap_logger(structlog.ReturnLogger())
    async with Database(users_url, "test") as database:
        task = asyncio.create_task(run_retention(steps(database), log, stop, 0.01))
        await eventually(lambda: db.fetchval("SELECT NOT EXISTS (SELECT FROM create_requests)"))
        stop.set()
        await task


async def test_retention_continues_after_database_failure():
    stop, capture = asyncio.Event(), LogCapture()
    log = structlog.wrap_logger(None, processors=[capture])
    async with Database("postgresql://x:y@127.0.0.1:1/z", "test") as database:
        task = asyncio.create_task(run_retention(steps(database), log, stop, 0.01))
        await eventually(lambda: len(capture.entries) >= 2)
        stop.set()
        await task
    assert capture.entries[0] == {
        "event": "retention failed",
        "target": "create requests",
        "error_type": "ConnectionRefusedError",
        "log_level": "warning",
    }
