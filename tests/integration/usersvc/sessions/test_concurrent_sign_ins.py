"""Sign-ins with an assertion, concurrent with other writes."""

import asyncio

import asyncpg
import pytest

from tests.support.rpc_outcomes import outcomes
from tests.support.usersvc.session_calls import (
    ADMINISTRATOR,
    OID_ANN,
    OID_OTHER,
    count_lock_waiters,
    identity_links,
    sign_in_conflict,
    sign_in_with_assertion,
)
from tests.support.usersvc.user_calls import (
    ACME,
    create,
    delete,
    get,
    list_identities,
    list_users,
    update,
)
from tests.support.waiting import eventually


async def test_concurrent_first_sign_ins_create_one_user(sessions, users, clock):
    for number in range(4):
        found = await asyncio.gather(
            *(
                sign_in_with_assertion(
                    sessions,
                    clock.now,
                    f"oid-{number}",
                    # The second e-mail address would allow a second user.
                    f"{'ab'[which % 2]}{number}@acme.test",
                    create_missing=True,
                )
                for which in range(6)
            )
        )
        assert len({each.session.user_id for each in found}) == 1
        assert sorted(each.created for each in found) == [False] * 5 + [True]
    assert len(await list_identities(users)) == 4


async def test_of_concurrent_first_sign_ins_to_one_user_one_is_linked(sessions, users, clock, db):
    for number in range(6):
        name = f"ann{number}@acme.test"
        await create(users, name)
        calls = [
            sign_in_with_assertion(sessions, clock.now, f"{which}-{number}", name)
            for which in "abab"
        ]
        assert await outcomes(*calls) == ["OK", "OK", "SIGN_IN_CONFLICT", "SIGN_IN_CONFLICT"]
        assert len(await identity_links(db)) == number + 1


async def test_concurrent_sign_ins_matching_two_users_link_one(sessions, users, clock, db):
    for number in range(6):
        names = [f"{which}{number}@acme.test" for which in "abab"]
        for name in names[:2]:
            await create(users, name)
        calls = [
            sign_in_with_assertion(sessions, clock.now, f"oid-{number}", name) for name in names
        ]
        found = await asyncio.gather(*calls)
        assert len({each.session.user_id for each in found}) == 1
        assert len(await identity_links(db)) == number + 1


@pytest.mark.parametrize("external_id", ["ann", "", OID_OTHER])
async def test_sign_in_concurrent_with_create_of_same_name_adds_one_user(
    sessions, users, clock, db, external_id
):
    for number in range(8):
        name, identifier = f"ann{number}@acme.test", f"oid-{number}"
        found = await outcomes(
            create(users, name.upper(), external_id=external_id),
            sign_in_with_assertion(sessions, clock.now, identifier, name, create_missing=True),
        )
        expected = [["OK", "USER_NAME_TAKEN"]]
        expected += [["OK", "SIGN_IN_CONFLICT"]] if external_id == OID_OTHER else [["OK", "OK"]]
        assert found in expected
        (user_id,) = [
            each.id for each in (await list_users(users)).users if each.user_name.lower() == name
        ]
        linked = (ACME, identifier, user_id) in await identity_links(db)
        assert linked is ("SIGN_IN_CONFLICT" not in found)
    assert len(await list_identities(users)) == 8


async def test_sign_in_after_concurrent_create_of_other_name_may_be_ambiguous(
    sessions, users, clock
):
    for number in range(8):
        identifier = f"{OID_ANN[:-1]}{number}"
        calls = (
            create(users, f"ann{number}@corp.test", external_id=identifier),
            sign_in_with_assertion(
                sessions, clock.now, identifier, f"ann{number}@acme.test", create_missing=True
            ),
        )
        assert await outcomes(*calls) == ["OK", "OK"]
        count = [each[1] for each in await list_identities(users)].count(identifier)
        again = await outcomes(
            sign_in_with_assertion(
                sessions, clock.now, identifier, f"ann{number}@acme.test", create_missing=True
            )
        )
        assert (count, again) in ((1, ["OK"]), (2, ["SIGN_IN_AMBIGUOUS"]))


async def test_sign_in_concurrent_with_new_external_id_respects_it(sessions, users, clock):
    for number in range(8):
        name = f"ann{number}@acme.test"
        ann = await create(users, name, external_id="ann")
        found = await outcomes(
            sign_in_with_assertion(
                sessions, clock.now, f"{OID_ANN[:-1]}{number}", name, create_missing=True
            ),
            update(users, ann.id, external_id=f"{OID_OTHER[:-1]}{number}"),
        )
        assert found in (["OK", "OK"], ["OK", "SIGN_IN_CONFLICT"])
        with sign_in_conflict():
            await sign_in_with_assertion(sessions, clock.now, f"{OID_ANN[:-1]}{number}", name)
        response = await sign_in_with_assertion(
            sessions, clock.now, f"{OID_OTHER[:-1]}{number}", name
        )
        assert response.session.user_id == ann.id
    assert len(await list_identities(users)) == 8


async def insert_user(connection: asyncpg.Connection, user_name: str, external_id: str) -> None:
    await connection.execute(
        """
        INSERT INTO users
            (organization_id, user_name, external_id, active, create_time, update_time)
        VALUES ($1, $2, $3, true, now(), now())
        """,
        *(ACME, user_name, external_id),
    )


async def test_sign_in_waits_for_create_of_its_own_name_only(sessions, users, clock, db, users_url):
    creating = await asyncpg.connect(users_url)
    transaction = creating.transaction()
    await transaction.start()
    await insert_user(creating, "ann@acme.test", "ann")
    await insert_user(creating, "bob@corp.test", "oid-bob")
    call = asyncio.create_task(sign_in_with_assertion(sessions, clock.now, create_missing=True))

    async def has_lock_waiter() -> bool:
        return await count_lock_waiters(db) == 1

    await eventually(has_lock_waiter)
    assert (
        await sign_in_with_assertion(
            sessions, clock.now, "oid-li", "li@acme.test", create_missing=True
        )
    ).created
    await transaction.commit()
    await creating.close()
    assert not (await call).created


async def test_create_takes_no_advisory_lock(db):
    async with db.transaction():
        await insert_user(db, "ann@acme.test", "oid-ann")
        locks = "SELECT mode FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
        assert await db.fetch(locks) == []


@pytest.mark.parametrize("committed", [True, False], ids=["committed", "rolled back"])
async def test_first_sign_in_waits_for_uncommitted_link(
    sessions, users, clock, *, db, users_url, committed
):
    ann = await create(users, "ann@corp.test", external_id="ann")
    linking = await asyncpg.connect(users_url)
    transaction = linking.transaction()
    await transaction.start()
    await linking.execute(
        """
        INSERT INTO linked_identities (organization_id, object_identifier, user_id)
        VALUES ($1, 'oid-ann', $2)
        """,
        *(ACME, ann.id),
    )
    call = asyncio.create_task(sign_in_with_assertion(sessions, clock.now, create_missing=True))

    async def has_lock_waiter() -> bool:
        return await count_lock_waiters(db) == 1

    await eventually(has_lock_waiter)
    await (transaction.commit if committed else transaction.rollback)()
    await linking.close()
    response = await call
    assert response.created is not committed
    assert (response.session.user_id == ann.id) is committed
    assert len(await list_identities(users)) == (1 if committed else 2)


async def test_sign_in_rechecks_a_name_taken_by_uncommitted_create(
    sessions, users, clock, db, users_url
):
    async def has_lock_waiter() -> bool:
        return await count_lock_waiters(db) == 1

    creating = await asyncpg.connect(users_url)
    transaction = creating.transaction()
    await transaction.start()
    await insert_user(creating, "ann@acme.test", OID_OTHER)
    call = asyncio.create_task(sign_in_with_assertion(sessions, clock.now, create_missing=True))
    await eventually(has_lock_waiter)
    await transaction.commit()
    await creating.close()
    with sign_in_conflict():
        await call
    assert await list_identities(users) == [("ann@acme.test", OID_OTHER)]


async def test_sign_ins_concurrent_with_updates_lose_nothing(sessions, users, clock):
    for number in range(6):
        name = f"ann{number}@acme.test"
        ann = await create(users, name)
        await asyncio.gather(
            *(sign_in_with_assertion(sessions, clock.now, f"oid-{number}", name) for _ in range(3)),
            update(users, ann.id, title="Engineer"),
            update(users, ann.id, "roles", roles=ADMINISTRATOR),
        )
        after = await get(users, ann.id)
        assert (after.external_id, after.title, list(after.roles)) == (
            *("", "Engineer", ADMINISTRATOR),
        )


async def test_sign_in_concurrent_with_deactivation_leaves_no_session(sessions, users, clock, db):
    for number in range(6):
        identity = (f"oid-{number}", f"ann{number}@acme.test")
        ann = await create(users, identity[1], external_id=identity[0])
        found = await outcomes(
            sign_in_with_assertion(sessions, clock.now, *identity),
            update(users, ann.id, active=False),
        )
        assert found in (["OK", "OK"], ["OK", "USER_INACTIVE"])
        await update(users, ann.id, active=True)
        found = await outcomes(
            sign_in_with_assertion(sessions, clock.now, *identity), delete(users, ann.id)
        )
        assert found in (["OK", "OK"], ["OK", "SIGN_IN_UNKNOWN"])
    assert await db.fetch("SELECT FROM sessions") == []
