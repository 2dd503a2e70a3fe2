"""Sign-ins for which an identity provider vouches: who is whom, and who is nobody."""

import asyncio
import secrets
from datetime import timedelta

import asyncpg
import pytest
from cloudacademy.users.v1 import users_pb2
from cloudacademy.users.v1.users_pb2 import Name, TypedValue

from tests.integration.usersvc.session_calls import (
    ADMINISTRATOR,
    ambiguous,
    conflict,
    ended,
    inactive,
    replayed,
    session,
    signed_in,
    timestamp,
    unknown,
    vouch,
)
from tests.integration.usersvc.test_users_process import until
from tests.integration.usersvc.test_users_together import outcomes
from tests.integration.usersvc.user_calls import (
    ACME,
    GLOBEX,
    compare,
    create,
    delete,
    get,
    invalid_field,
    list_users,
    names,
    update,
)
from usersvc.changes import ChangeType


async def everybody(users) -> list[tuple[str, str]]:
    found = (await list_users(users)).users
    return [(user.user_name, user.external_id) for user in found]


async def test_the_object_identifier_finds_its_user_whatever_the_e_mail_address(
    sessions, users, clock
):
    ann = await create(users, "ann@corp.test", external_id="oid-ann", roles=ADMINISTRATOR)
    await create(users, "ann@acme.test", external_id="oid-other")

    response = await vouch(sessions, clock.now, "oid-ann", "ann@acme.test", create_missing=True)

    assert (response.session.user_id, response.created) == (ann.id, False)
    assert response.session.administrator
    assert await session(sessions, response.session_token) == response.session
    assert await get(users, ann.id) == ann


async def test_the_e_mail_address_finds_a_user_without_object_identifier_who_then_has_it(
    sessions, users, clock
):
    ann = await create(users, "Ann@Acme.Test", title="Engineer")
    clock.advance(minutes=1)

    response = await vouch(sessions, clock.now, "oid-ann", "ann@acme.TEST")

    assert (response.session.user_id, response.created) == (ann.id, False)
    after = await get(users, ann.id)
    assert (after.user_name, after.external_id, after.title) == (
        *("Ann@Acme.Test", "oid-ann", "Engineer"),
    )
    assert (after.etag, after.update_time) == ("2", timestamp(clock.now))
    # From now on another address makes no difference, and another person with this one does.
    assert (await vouch(sessions, clock.now, "oid-ann", "li@acme.test")).session.user_id == ann.id
    with conflict():
        await vouch(sessions, clock.now, "oid-other", "ann@acme.test", create_missing=True)


@pytest.mark.parametrize("external_id", ["oid-other", "OID-ANN", "annli"])
async def test_a_user_who_is_somebody_else_is_never_taken_over(sessions, users, clock, external_id):
    ann = await create(users, "ann@acme.test", external_id=external_id)
    with conflict():
        await vouch(sessions, clock.now, "oid-ann", "ann@acme.test", create_missing=True)
    assert await get(users, ann.id) == ann
    assert len(await everybody(users)) == 1


async def test_two_users_with_the_object_identifier_are_not_chosen_from(sessions, users, clock):
    await create(users, "ann@acme.test", external_id="oid-ann")
    await create(users, "ann.li@acme.test", external_id="oid-ann", active=False)
    with ambiguous():
        await vouch(sessions, clock.now, create_missing=True)


async def test_who_is_not_there_is_created_if_that_is_wanted(sessions, users, clock):
    with unknown():
        await vouch(sessions, clock.now)
    assert await everybody(users) == []

    response = await vouch(
        sessions, clock.now, given_name="Ann", family_name="Li", create_missing=True
    )

    assert response.created
    assert response.session.display_name == "Ann Li"
    assert not response.session.administrator
    assert await get(users, response.session.user_id) == users_pb2.User(
        id=response.session.user_id,
        organization_id=ACME,
        etag="1",
        create_time=timestamp(clock.now),
        update_time=timestamp(clock.now),
        user_name="ann@acme.test",
        external_id="oid-ann",
        active=True,
        name=Name(given_name="Ann", family_name="Li"),
        emails=[TypedValue(value="ann@acme.test", type="work", primary=True)],
    )
    again = await vouch(sessions, clock.now, create_missing=True)
    assert (again.session.user_id, again.created) == (response.session.user_id, False)


@pytest.mark.parametrize(
    ("field", "value"), [("user_name", "ANN@acme.test"), ("external_id", "oid-ann")]
)
async def test_provisioning_finds_who_was_created_or_linked_by_either_name(
    sessions, users, clock, field, value
):
    await create(users, "bob@acme.test")
    await vouch(sessions, clock.now, "oid-bob", "bob@acme.test")
    await vouch(sessions, clock.now, create_missing=True)
    assert await names(users, compare(field, "EQUAL", value)) == ["ann@acme.test"]
    assert await names(users, compare("external_id", "EQUAL", "oid-bob")) == ["bob@acme.test"]


@pytest.mark.parametrize("active", [False, None], ids=["false", "unassigned"])
@pytest.mark.parametrize("external_id", ["oid-ann", ""], ids=["identifier", "e-mail"])
async def test_who_is_not_active_is_refused_however_found(
    sessions, users, clock, external_id, active
):
    ann = await create(users, "ann@acme.test", external_id=external_id)
    await update(users, ann.id, "active", active=active)
    with inactive():
        await vouch(sessions, clock.now, create_missing=True)
    assert (await get(users, ann.id)).external_id == external_id
    assert len(await everybody(users)) == 1


async def test_an_assertion_is_taken_once_in_its_organization(sessions, users, clock):
    await create(users, "ann@acme.test")
    await create(users, "ann@acme.test", GLOBEX)
    await vouch(sessions, clock.now, assertion_id="a1")
    with replayed():
        await vouch(sessions, clock.now, assertion_id="a1")
    await vouch(sessions, clock.now, assertion_id="a2")
    await vouch(sessions, clock.now, assertion_id="a1", organization_id=GLOBEX)


async def test_an_assertion_that_let_nobody_in_is_taken_too(sessions, users, clock):
    with unknown():
        await vouch(sessions, clock.now, assertion_id="a1")
    await create(users, "ann@acme.test")
    with replayed():
        await vouch(sessions, clock.now, assertion_id="a1")


async def test_of_one_assertion_shown_many_times_at_once_one_is_taken(sessions, users, clock):
    calls = [vouch(sessions, clock.now, assertion_id="a1", create_missing=True) for _ in range(6)]
    assert await outcomes(*calls) == ["ASSERTION_REPLAYED"] * 5 + ["OK"]
    assert await everybody(users) == [("ann@acme.test", "oid-ann")]


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("organization_id", ["", "acme"]),
        ("assertion_id", ["", "x" * 1_025]),
        ("object_identifier", ["", " ", "a\0b", "x" * 1_025]),
        ("email", ["", " ann@acme.test", "ann\u200b@acme.test", "é" * 513]),
        ("name.given_name", ["x" * 8_193]),
    ],
)
async def test_an_assertion_that_says_too_little_or_too_much_is_refused(
    sessions, users, clock, field, values
):
    for value in values:
        with invalid_field(field):
            request = {field.removeprefix("name."): value}
            await vouch(sessions, clock.now, create_missing=True, **request)
    assert await everybody(users) == []


async def test_an_assertion_is_for_an_hour_at_most_and_not_over(sessions, clock):
    for by in (timedelta(hours=1, seconds=1), timedelta(minutes=-5, seconds=-1)):
        with invalid_field("assertion_expire_time"):
            await vouch(sessions, clock.now, assertion_expire_time=timestamp(clock.now + by))
    with invalid_field("assertion_expire_time"):
        await vouch(sessions, clock.now, assertion_expire_time=None)
    for by in (timedelta(hours=1), timedelta(minutes=-5)):
        with unknown():
            await vouch(sessions, clock.now, assertion_expire_time=timestamp(clock.now + by))


async def test_an_organization_never_signs_in_anothers_user(sessions, users, clock):
    await create(users, "ann@acme.test", GLOBEX, external_id="oid-ann")
    with unknown():
        await vouch(sessions, clock.now)
    response = await vouch(sessions, clock.now, create_missing=True)
    assert response.created
    assert response.session.organization_id == ACME


async def test_many_first_sign_ins_at_once_make_one_user(sessions, users, clock):
    for number in range(4):
        found = await asyncio.gather(
            *(
                vouch(
                    sessions,
                    clock.now,
                    f"oid-{number}",
                    # The second address would be free for a second user.
                    f"{'ab'[which % 2]}{number}@acme.test",
                    create_missing=True,
                )
                for which in range(6)
            )
        )
        assert len({each.session.user_id for each in found}) == 1
        assert sorted(each.created for each in found) == [False] * 5 + [True]
    assert len(await everybody(users)) == 4


@pytest.mark.parametrize("external_id", ["oid", ""])
async def test_a_first_sign_in_beside_a_create_of_the_same_name_makes_one_user(
    sessions, users, clock, external_id
):
    for number in range(8):
        name, identifier = f"ann{number}@acme.test", f"oid-{number}"
        own = f"{external_id}-{number}" if external_id else ""
        found = await outcomes(
            create(users, name.upper(), external_id=own),
            vouch(sessions, clock.now, identifier, name, create_missing=True),
        )
        assert found in (["OK", "OK"], ["OK", "USER_NAME_TAKEN"])
        assert [each[1] for each in await everybody(users)].count(identifier) == 1
    assert len(await everybody(users)) == 8


async def waiters(db: asyncpg.Connection) -> int:
    return await db.fetchval(
        """
        SELECT count(*) FROM pg_stat_activity
         WHERE application_name = 'usersvc' AND wait_event_type = 'Lock'
        """
    )


async def insert(connection: asyncpg.Connection, user_name: str, external_id: str) -> None:
    await connection.execute(
        """
        INSERT INTO users
            (organization_id, user_name, external_id, active, create_time, update_time)
        VALUES ($1, $2, $3, true, now(), now())
        """,
        *(ACME, user_name, external_id),
    )


async def test_a_first_sign_in_waits_for_a_create_that_has_not_committed(
    sessions, users, clock, db, users_url
):
    creating = await asyncpg.connect(users_url)

    async def somebody_waits() -> bool:
        return await waiters(db) == 1

    for user_name, external_id in (("ann@corp.test", "oid-ann"), ("bob@acme.test", "oid-bob")):
        transaction = creating.transaction()
        await transaction.start()
        await insert(creating, user_name, external_id)
        email = f"{external_id[4:]}@acme.test"
        call = asyncio.create_task(
            vouch(sessions, clock.now, external_id, email, create_missing=True)
        )
        await until(somebody_waits)
        await transaction.commit()
        assert not (await call).created
    await creating.close()
    assert await everybody(users) == [("ann@corp.test", "oid-ann"), ("bob@acme.test", "oid-bob")]


async def test_creates_of_any_number_in_one_transaction_take_one_lock(db):
    async with db.transaction():
        await db.execute(
            """
            INSERT INTO users (organization_id, user_name, external_id, create_time, update_time)
            SELECT $1, 'ann' || number, 'oid-' || number, now(), now()
              FROM generate_series(1, 100) AS number
            """,
            ACME,
        )
        locks = "SELECT mode FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
        assert [row["mode"] for row in await db.fetch(locks)] == ["ShareLock"]


async def test_a_name_taken_by_a_create_that_has_not_committed_is_looked_at_again(
    sessions, users, clock, db, users_url
):
    async def somebody_waits() -> bool:
        return await waiters(db) == 1

    creating = await asyncpg.connect(users_url)
    transaction = creating.transaction()
    await transaction.start()
    await insert(creating, "ann@acme.test", "oid-other")
    call = asyncio.create_task(vouch(sessions, clock.now, create_missing=True))
    await until(somebody_waits)
    await transaction.commit()
    await creating.close()
    with conflict():
        await call
    assert await everybody(users) == [("ann@acme.test", "oid-other")]


async def test_sign_ins_beside_changes_of_their_user_lose_nothing(sessions, users, clock):
    for number in range(6):
        name = f"ann{number}@acme.test"
        ann = await create(users, name)
        await asyncio.gather(
            *(vouch(sessions, clock.now, f"oid-{number}", name) for _ in range(3)),
            update(users, ann.id, title="Engineer"),
            update(users, ann.id, "roles", roles=ADMINISTRATOR),
        )
        after = await get(users, ann.id)
        assert (after.external_id, after.title, list(after.roles)) == (
            *(f"oid-{number}", "Engineer", ADMINISTRATOR),
        )


async def test_sign_ins_beside_deactivations_and_deletions_leave_no_session(
    sessions, users, clock, db
):
    for number in range(6):
        identity = (f"oid-{number}", f"ann{number}@acme.test")
        ann = await create(users, identity[1], external_id=identity[0])
        found = await outcomes(
            vouch(sessions, clock.now, *identity), update(users, ann.id, active=False)
        )
        assert found in (["OK", "OK"], ["OK", "USER_INACTIVE"])
        await update(users, ann.id, active=True)
        found = await outcomes(vouch(sessions, clock.now, *identity), delete(users, ann.id))
        assert found in (["OK", "OK"], ["OK", "SIGN_IN_UNKNOWN"])
    assert await db.fetch("SELECT FROM sessions") == []


async def test_a_person_may_be_signed_in_by_several_ways_at_once(sessions, users, clock):
    ann = await create(users, "ann@acme.test")
    tokens = [
        (await vouch(sessions, clock.now)).session_token,
        (await vouch(sessions, clock.now)).session_token,
        await signed_in(sessions, ann.id),
    ]
    assert [(await session(sessions, token)).user_id for token in tokens] == [ann.id] * 3
    await update(users, ann.id, active=False)
    for token in tokens:
        with ended():
            await session(sessions, token)


async def test_an_assertions_id_may_be_what_an_identity_provider_likes(sessions, users, clock):
    await create(users, "ann@acme.test")
    identifier = f"_{secrets.token_hex(500)}"
    await vouch(sessions, clock.now, assertion_id=identifier)
    with replayed():
        await vouch(sessions, clock.now, assertion_id=identifier)


async def test_followers_of_changes_hear_of_who_is_created_and_linked(sessions, users, clock, db):
    bob = await create(users, "bob@acme.test")
    linked = await vouch(sessions, clock.now, "oid-bob", "bob@acme.test")
    created = await vouch(sessions, clock.now, create_missing=True)
    await vouch(sessions, clock.now, create_missing=True)

    rows = await db.fetch(
        "SELECT type, resource_id::text, version, fields FROM changes ORDER BY number"
    )
    assert [(row["type"], row["resource_id"], row["version"]) for row in rows] == [
        (ChangeType.USER_CREATED, bob.id, 1),
        (ChangeType.USER_UPDATED, linked.session.user_id, 2),
        (ChangeType.USER_CREATED, created.session.user_id, 1),
    ]
    assert rows[1]["fields"] == ["external_id"]
