"""Sessions and the links that begin them."""

import asyncio
from datetime import timedelta
from hashlib import sha256

import pytest
from cloudacademy.errors.v1.errors_pb2 import Reason
from cloudacademy.users.v1 import sessions_pb2 as pb
from cloudacademy.users.v1.users_pb2 import Name, TypedValue
from grpc import StatusCode

from chassis.concurrency.notifier import Notifier
from chassis.database.pool import Database
from tests.support.rpc_outcomes import outcomes
from tests.support.usersvc.session_calls import (
    ADMINISTRATOR,
    end,
    ended,
    follow,
    inactive,
    link,
    link_invalid,
    session,
    signed_in,
    timestamp,
    vouch,
)
from tests.support.usersvc.user_calls import (
    ACME,
    GLOBEX,
    NOBODY,
    create,
    delete,
    invalid_field,
    refused,
    update,
)
from usersvc.background import retention as trimming
from usersvc.domain import session_token
from usersvc.store import sessions as session_store
from usersvc.store.sessions import SessionStore


async def test_a_link_begins_a_session_of_its_user(sessions, users, clock):
    ann = await create(users, "ann", display_name="Ann Li", roles=ADMINISTRATOR)

    response = await follow(sessions, await link(sessions, ann.id))

    assert response.session == pb.Session(
        organization_id=ACME,
        user_id=ann.id,
        user_name="ann",
        display_name="Ann Li",
        administrator=True,
        create_time=timestamp(clock.now),
        expire_time=timestamp(clock.now + timedelta(minutes=30)),
    )
    assert await session(sessions, response.session_token) == response.session


async def test_a_link_works_once(sessions, users):
    ann = await create(users, "ann")
    token = await link(sessions, ann.id)
    await follow(sessions, token)
    with link_invalid():
        await follow(sessions, token)


async def test_of_many_who_follow_a_link_at_once_one_is_let_in(sessions, users):
    ann = await create(users, "ann")
    token = await link(sessions, ann.id)
    assert await outcomes(*(follow(sessions, token) for _ in range(6))) == (
        ["OK"] + ["SIGN_IN_LINK_INVALID"] * 5
    )


async def test_a_link_works_for_15_minutes_and_not_a_second_longer(sessions, users, clock):
    ann = await create(users, "ann")
    request = pb.CreateSignInLinkRequest(organization_id=ACME, user_id=ann.id)
    early, late = [await sessions.CreateSignInLink(request) for _ in range(2)]
    assert late.expire_time == timestamp(clock.now + timedelta(minutes=15))
    clock.advance(minutes=15, seconds=-1)
    await follow(sessions, early.token)
    clock.advance(seconds=1)
    with link_invalid():
        await follow(sessions, late.token)


async def test_nobody_who_is_not_there_or_not_active_gets_a_link(sessions, users):
    ann = await create(users, "ann", active=False)
    with inactive():
        await link(sessions, ann.id)
    for user_id, organization_id in ((NOBODY, ACME), (ann.id, GLOBEX)):
        with refused(Reason.REASON_USER_NOT_FOUND, StatusCode.NOT_FOUND, user_id=user_id):
            await link(sessions, user_id, organization_id)
    with invalid_field("user_id"):
        await link(sessions, "ann")
    with invalid_field("organization_id"):
        await link(sessions, ann.id, "acme")


async def test_a_link_lets_nobody_in_whose_user_is_no_longer_active_or_there(sessions, users):
    ann = await create(users, "ann")
    token = await link(sessions, ann.id)
    await update(users, ann.id, active=False)
    with inactive():
        await follow(sessions, token)
    await delete(users, ann.id)
    with link_invalid():
        await follow(sessions, token)


async def test_a_session_ends_30_minutes_after_its_last_use(sessions, users, clock):
    token = await signed_in(sessions, (await create(users, "ann")).id)
    for _ in range(3):
        clock.advance(minutes=30, seconds=-1)
        assert (await session(sessions, token)).expire_time == timestamp(
            clock.now + timedelta(minutes=30)
        )
    clock.advance(minutes=30)
    with ended():
        await session(sessions, token)


async def test_a_session_ends_8_hours_after_its_beginning_however_it_is_used(
    sessions, users, clock
):
    token = await signed_in(sessions, (await create(users, "ann")).id)
    end_time = clock.now + timedelta(hours=8)
    while clock.now + timedelta(minutes=25) < end_time:
        clock.advance(minutes=25)
        found = await session(sessions, token)
        assert found.expire_time == timestamp(min(clock.now + timedelta(minutes=30), end_time))
    clock.now = end_time - timedelta(seconds=1)
    await session(sessions, token)
    clock.advance(seconds=1)
    with ended():
        await session(sessions, token)


async def test_use_is_written_at_most_once_a_minute(sessions, users, clock, db):
    token = await signed_in(sessions, (await create(users, "ann")).id)
    rows = []
    for _ in range(8):
        clock.advance(seconds=20)
        await session(sessions, token)
        rows.append(await db.fetchval("SELECT ctid::text FROM sessions"))
    assert len(set(rows)) == 3


@pytest.mark.parametrize("fields", [{"active": False}, {}], ids=["false", "unassigned"])
async def test_who_is_deactivated_is_out_at_once_and_not_in_again_by_being_restored(
    sessions, users, fields
):
    ann = await create(users, "ann")
    token = await signed_in(sessions, ann.id)
    await update(users, ann.id, "active", **fields)
    with ended():
        await session(sessions, token)
    await update(users, ann.id, active=True)
    with ended():
        await session(sessions, token)


async def test_who_is_deleted_is_out_at_once(sessions, users, db):
    ann = await create(users, "ann")
    token, spare = await signed_in(sessions, ann.id), await link(sessions, ann.id)
    await delete(users, ann.id)
    with ended():
        await session(sessions, token)
    with link_invalid():
        await follow(sessions, spare)
    assert await db.fetch("SELECT FROM sessions") == await db.fetch("SELECT FROM sign_in_links")


@pytest.mark.parametrize(
    ("roles", "administrator"),
    [
        ([], False),
        ([TypedValue(value="Learner"), TypedValue(value="aDMINISTRATOR")], True),
        ([TypedValue(value="1", display="administrator")], True),
        ([TypedValue(value="Administrators"), TypedValue(type="Administrator")], False),
    ],
)
async def test_administrators_are_told_by_their_roles(sessions, users, roles, administrator):
    ann = await create(users, "ann", roles=roles)
    token = await signed_in(sessions, ann.id)
    assert (await session(sessions, token)).administrator is administrator


async def test_an_administrator_who_loses_the_role_loses_it_in_the_running_session(sessions, users):
    ann = await create(users, "ann", roles=ADMINISTRATOR)
    token = await signed_in(sessions, ann.id)
    await update(users, ann.id, "roles", roles=[TypedValue(value="Learner")])
    assert (await session(sessions, token)).administrator is False
    await update(users, ann.id, roles=ADMINISTRATOR)
    assert (await session(sessions, token)).administrator is True


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"display_name": "Ann Li", "name": Name(given_name="A")}, "Ann Li"),
        ({"name": Name(given_name="Ann", family_name="Li")}, "Ann Li"),
        ({"name": Name(family_name="Li")}, "Li"),
        ({"name": Name(formatted="Ms. Li")}, "ann"),
        ({}, "ann"),
    ],
)
async def test_a_session_tells_a_name_to_show(sessions, users, fields, shown):
    token = await signed_in(sessions, (await create(users, "ann", **fields)).id)
    assert (await session(sessions, token)).display_name == shown


async def test_a_session_that_was_ended_is_over_and_the_others_go_on(sessions, users):
    ann = await create(users, "ann")
    first, second = [await signed_in(sessions, ann.id) for _ in range(2)]
    await end(sessions, first)
    await end(sessions, first)
    with ended():
        await session(sessions, first)
    assert (await session(sessions, second)).user_id == ann.id


async def test_a_token_never_leads_into_another_organization(sessions, users):
    ann, bob = await create(users, "ann"), await create(users, "bob", GLOBEX)
    token, foreign = await signed_in(sessions, ann.id), await signed_in(sessions, bob.id, GLOBEX)
    crossed = f"{foreign.partition('.')[0]}.{token.partition('.')[2]}"
    with ended():
        await session(sessions, crossed)
    await end(sessions, crossed)
    assert (await session(sessions, token)).organization_id == ACME
    assert (await session(sessions, foreign)).organization_id == GLOBEX

    spare = await link(sessions, ann.id)
    with link_invalid():
        await follow(sessions, f"{foreign.partition('.')[0]}.{spare.partition('.')[2]}")
    await follow(sessions, spare)


@pytest.mark.parametrize("text", ["", "x", "." * 66, "a" * 22 + "." + "a" * 43, "\u0661" * 66])
async def test_what_is_no_token_is_refused_like_one_that_is_over(sessions, text):
    with ended():
        await session(sessions, text)
    with link_invalid():
        await follow(sessions, text)
    await end(sessions, text)


async def test_a_links_token_is_no_sessions_and_a_sessions_no_links(sessions, users):
    ann = await create(users, "ann")
    token, spare = await signed_in(sessions, ann.id), await link(sessions, ann.id)
    with ended():
        await session(sessions, spare)
    with link_invalid():
        await follow(sessions, token)


async def test_only_digests_are_kept(sessions, users, db):
    ann = await create(users, "ann")
    tokens = [await signed_in(sessions, ann.id), await link(sessions, ann.id)]
    kept = [await db.fetchrow(f"SELECT * FROM {name}") for name in ("sessions", "sign_in_links")]
    for text, row in zip(tokens, kept, strict=True):
        assert len(text) < 100
        token = session_token.parse(text)
        assert row["secret_digest"] == sha256(token.secret).digest()
        assert not any(token.secret in value for value in row.values() if isinstance(value, bytes))


async def test_a_sign_in_beside_a_deactivation_leaves_no_session(sessions, users, db):
    for number in range(8):
        ann = await create(users, f"ann{number}")
        token = await link(sessions, ann.id)
        await outcomes(follow(sessions, token), update(users, ann.id, active=False))
    assert await db.fetch("SELECT FROM sessions") == []


async def test_a_sign_in_beside_a_deletion_waits_for_nobody_in_a_circle(sessions, users, db):
    for number in range(8):
        ann = await create(users, f"ann{number}")
        token = await link(sessions, ann.id)
        found = await outcomes(follow(sessions, token), delete(users, ann.id))
        assert found in (["OK", "OK"], ["OK", "SIGN_IN_LINK_INVALID"])
    assert await db.fetch("SELECT FROM sessions") == []


async def test_uses_beside_each_other_and_beside_the_end_do_no_harm(sessions, users, clock):
    token = await signed_in(sessions, (await create(users, "ann")).id)
    clock.advance(minutes=5)
    found = await asyncio.gather(*(session(sessions, token) for _ in range(8)))
    assert {each.expire_time.seconds for each in found} <= {
        timestamp(clock.now + timedelta(minutes=minutes)).seconds for minutes in (25, 30)
    }
    clock.advance(minutes=5)
    await outcomes(session(sessions, token), end(sessions, token), session(sessions, token))
    with ended():
        await session(sessions, token)


async def kept(db) -> list[int]:
    tables = ("sessions", "sign_in_links", "taken_assertions")
    return [await db.fetchval(f"SELECT count(*) FROM {table}") for table in tables]


@pytest.fixture
async def trimmed(users_url, clock, db, monkeypatch):
    """Lets time pass, trims in small batches, and tells how much is kept."""
    monkeypatch.setattr(session_store, "BATCH", 2)

    async def trimmed(**by: float) -> list[int]:
        clock.advance(**by)
        async with Database(users_url, "usersvc") as database:
            await trimming.trim_once(SessionStore(database, Notifier()).trim, clock)
        return await kept(db)

    return trimmed


async def test_what_is_over_is_trimmed_and_nothing_else(sessions, users, clock, trimmed):
    ann = await create(users, "ann")
    for _ in range(5):
        await vouch(sessions, clock.now, email="ann")
        await link(sessions, ann.id)
    assert await trimmed() == [5, 5, 5]
    assert await trimmed(minutes=14) == [5, 5, 5]
    assert await trimmed(minutes=1) == [5, 0, 0]
    await signed_in(sessions, ann.id)
    assert await trimmed(minutes=15) == [1, 0, 0]
    assert await trimmed(minutes=15) == [0, 0, 0]


async def test_a_pass_of_trimming_is_bounded(sessions, users, trimmed, monkeypatch):
    monkeypatch.setattr(trimming, "BATCHES", 2)
    ann = await create(users, "ann")
    for _ in range(5):
        await link(sessions, ann.id)
    assert await trimmed(hours=1) == [0, 1, 0]
    assert await trimmed() == [0, 0, 0]
