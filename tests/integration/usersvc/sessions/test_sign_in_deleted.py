"""Sign-ins of people whom provisioning deleted: they must not be created again."""

import asyncio
from hashlib import sha256
from uuid import UUID

import asyncpg
import grpc
import pytest
from cloudacademy.users.v1 import users_pb2

from chassis.database.pool import Database
from chassis.rpc.status import from_rpc_error
from tests.support.rpc_outcomes import outcomes
from tests.support.usersvc.database_clock import database_time
from tests.support.usersvc.session_calls import (
    OID_ANN,
    OID_OTHER,
    count_lock_waiters,
    sign_in_unknown,
    sign_in_with_assertion,
    user_inactive,
)
from tests.support.usersvc.user_calls import ACME, GLOBEX, create, delete, list_identities, update
from tests.support.waiting import eventually
from usersvc.background import retention
from usersvc.store import identities
from usersvc.store.identities import DeletedIdentityStore


def digest(identity: str, organization_id: str = ACME) -> bytes:
    return sha256(UUID(organization_id).bytes + identity.encode()).digest()


async def digests(db: asyncpg.Connection) -> set[bytes]:
    return {row["digest"] for row in await db.fetch("SELECT digest FROM deleted_identities")}


@pytest.mark.parametrize(
    ("identifier", "email"),
    [(OID_ANN, "li@acme.test"), (OID_ANN.upper(), "li@acme.test"), ("oid", "ANN@acme.test")],
)
async def test_deleted_user_is_not_created_by_identifier_or_address(
    sessions, users, clock, identifier, email
):
    ann = await create(users, "Ann@Acme.Test", external_id=OID_ANN.upper())
    await delete(users, ann.id)
    with user_inactive():
        await sign_in_with_assertion(sessions, clock.now, identifier, email, create_missing=True)
    with sign_in_unknown():
        await sign_in_with_assertion(sessions, clock.now, identifier, email)
    assert await list_identities(users) == []
    assert (
        await sign_in_with_assertion(sessions, clock.now, "x", "bob@acme.test", create_missing=True)
    ).created


async def test_deleted_linked_user_is_not_created_with_another_address(sessions, users, clock):
    ann = await create(users, "ann@acme.test", external_id="ann")
    await sign_in_with_assertion(sessions, clock.now, "oid-ann")
    await delete(users, ann.id)
    with user_inactive():
        await sign_in_with_assertion(
            sessions, clock.now, "oid-ann", "li@acme.test", create_missing=True
        )


async def test_user_created_by_sign_in_and_deleted_is_not_recreated(sessions, users, clock):
    ann = await sign_in_with_assertion(sessions, clock.now, create_missing=True)
    await delete(users, ann.session.user_id)
    with user_inactive():
        await sign_in_with_assertion(sessions, clock.now, create_missing=True)


async def test_refusal_for_deleted_user_says_what_to_do(sessions, users, clock):
    ann = await create(users, "ann@acme.test")
    await delete(users, ann.id)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await sign_in_with_assertion(sessions, clock.now, create_missing=True)
    assert from_rpc_error(error.value).detail == (
        "This person may not sign in: provisioning removed the account. Provision the person again."
    )


async def test_user_provisioned_again_signs_in_again(sessions, users, clock):
    ann = await create(users, "ann@acme.test", external_id="ann")
    await sign_in_with_assertion(sessions, clock.now, OID_ANN)
    await delete(users, ann.id)
    again = await create(users, "ann@acme.test", external_id="ann")
    response = await sign_in_with_assertion(sessions, clock.now, OID_ANN, create_missing=True)
    assert (response.session.user_id, response.created) == (again.id, False)


async def test_nickname_and_former_name_do_not_block_other_people(sessions, users, clock):
    ann = await create(users, "ann@acme.test", external_id="ann")
    await update(users, ann.id, user_name="ann.wu@acme.test")
    await delete(users, ann.id)
    assert (await sign_in_with_assertion(sessions, clock.now, "ann", create_missing=True)).created


async def test_deletion_in_one_organization_does_not_affect_another(sessions, users, clock, db):
    ann = await create(users, "ann@acme.test", external_id=OID_ANN)
    await delete(users, ann.id)
    response = await sign_in_with_assertion(
        sessions, clock.now, OID_ANN, create_missing=True, organization_id=GLOBEX
    )
    assert response.created
    await delete(users, response.session.user_id, organization_id=GLOBEX)
    names = (OID_ANN, "ann@acme.test")
    assert await digests(db) == {digest(name, each) for name in names for each in (ACME, GLOBEX)}


async def test_validated_or_refused_deletion_leaves_no_digest(users, db):
    ann = await create(users, "ann@acme.test")
    await users.DeleteUser(
        users_pb2.DeleteUserRequest(organization_id=ACME, user_id=ann.id, validate_only=True)
    )
    assert await outcomes(delete(users, ann.id, etag="7")) == ["ETAG_MISMATCH"]
    assert await digests(db) == set()


async def test_first_sign_in_concurrent_with_deletion_recreates_no_user(sessions, users, clock, db):
    for number in range(8):
        identifier, name = f"{OID_OTHER[:-1]}{number}", f"ann{number}@acme.test"
        ann = await create(users, name, external_id=identifier if number % 2 else "ann")
        calls = [
            sign_in_with_assertion(sessions, clock.now, identifier, name, create_missing=True)
            for _ in range(3)
        ]
        found = await outcomes(*calls, delete(users, ann.id))
        assert set(found) <= {"OK", "USER_INACTIVE"}
        with user_inactive():
            await sign_in_with_assertion(sessions, clock.now, identifier, name, create_missing=True)
    assert await list_identities(users) == []
    assert await db.fetch("SELECT FROM sessions") == []


async def test_sign_in_that_waits_for_deletion_creates_no_user(
    sessions, users, clock, db, users_url
):
    ann = await create(users, "ann@acme.test")
    locking = await asyncpg.connect(users_url)
    transaction = locking.transaction()
    await transaction.start()
    await locking.execute("SELECT FROM users WHERE user_id = $1 FOR UPDATE", ann.id)
    calls = []

    async def all_wait() -> bool:
        return await count_lock_waiters(db) == len(calls)

    for call in (
        delete(users, ann.id),
        sign_in_with_assertion(sessions, clock.now, create_missing=True),
    ):
        calls.append(asyncio.create_task(call))
        await eventually(all_wait)
    await transaction.rollback()
    await locking.close()
    await calls[0]
    with user_inactive():
        await calls[1]
    assert await list_identities(users) == []


async def test_concurrent_deletions_of_one_person_do_not_deadlock(sessions, users, clock):
    for number in range(6):
        names = [f"{OID_ANN[:-1]}{number}", f"{OID_OTHER[:-1]}{number}"]
        users_to_delete = [
            await create(users, name, external_id=other) for name, other in (names, reversed(names))
        ]
        assert await outcomes(*(delete(users, each.id) for each in users_to_delete)) == ["OK", "OK"]


async def test_deletion_is_remembered_for_90_days(
    sessions, users, clock, *, db, users_url, monkeypatch
):
    monkeypatch.setattr(identities, "BATCH_ROWS", 2)

    async def delete_expired(**by: float) -> int:
        clock.advance(**by)
        async with (
            Database(users_url, "usersvc") as database,
            database_time(db, clock.now, {"deleted_identities": "delete_time"}),
        ):
            await retention.run_step(DeletedIdentityStore(database).delete_expired)
        return len(await digests(db))

    for number in range(5):
        await delete(users, (await create(users, f"ann{number}")).id)
    assert await delete_expired(days=90, minutes=-1) == 5
    with user_inactive():
        await sign_in_with_assertion(sessions, clock.now, email="ann0", create_missing=True)
    await delete(users, (await create(users, "ann1")).id)  # a second deletion restarts the period
    clock.advance(minutes=1)
    assert (
        await sign_in_with_assertion(sessions, clock.now, email="ann0", create_missing=True)
    ).created
    assert await delete_expired() == 1
    with user_inactive():
        await sign_in_with_assertion(sessions, clock.now, "oid-1", "ann1", create_missing=True)
