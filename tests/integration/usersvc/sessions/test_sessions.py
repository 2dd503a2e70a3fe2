"""Sessions, and the sign-in links that start them."""

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
from chassis.rpc.timestamps import to_timestamp
from tests.support.rpc_outcomes import outcomes
from tests.support.usersvc.database_clock import database_time
from tests.support.usersvc.session_calls import (
    ADMINISTRATOR,
    create_link,
    end_session,
    follow_link,
    get_session,
    link_invalid,
    session_ended,
    sign_in_with_assertion,
    sign_in_with_link,
    user_inactive,
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
from usersvc.background import retention
from usersvc.domain import session_token
from usersvc.domain.sessions import MAX_SESSIONS
from usersvc.store import sessions as session_store
from usersvc.store.sessions import SessionStore

EXPIRE_TIMES = dict.fromkeys(("sessions", "sign_in_links", "taken_assertions"), "expire_time")


async def test_link_starts_a_session_of_its_user(sessions, users, clock):
    ann = await create(users, "ann", display_name="Ann Li", roles=ADMINISTRATOR)

    response = await follow_link(sessions, await create_link(sessions, ann.id))

    assert response.session == pb.Session(
        organization_id=ACME,
        user_id=ann.id,
        user_name="ann",
        display_name="Ann Li",
        administrator=True,
        create_time=to_timestamp(clock.now),
        expire_time=to_timestamp(clock.now + timedelta(minutes=30)),
        session_id=response.session.session_id,
    )
    assert await get_session(sessions, response.session_token) == response.session


async def test_link_works_once(sessions, users):
    ann = await create(users, "ann")
    token = await create_link(sessions, ann.id)
    await follow_link(sessions, token)
    with link_invalid():
        await follow_link(sessions, token)


async def test_of_concurrent_uses_of_one_link_one_succeeds(sessions, users):
    ann = await create(users, "ann")
    token = await create_link(sessions, ann.id)
    assert await outcomes(*(follow_link(sessions, token) for _ in range(6))) == (
        ["OK"] + ["SIGN_IN_LINK_INVALID"] * 5
    )


async def test_link_expires_after_15_minutes(sessions, users, clock):
    ann = await create(users, "ann")
    request = pb.CreateSignInLinkRequest(organization_id=ACME, user_id=ann.id)
    early, late = [await sessions.CreateSignInLink(request) for _ in range(2)]
    assert late.expire_time == to_timestamp(clock.now + timedelta(minutes=15))
    clock.advance(minutes=15, seconds=-1)
    await follow_link(sessions, early.token)
    clock.advance(seconds=1)
    with link_invalid():
        await follow_link(sessions, late.token)


async def test_link_for_missing_or_inactive_user_is_refused(sessions, users):
    ann = await create(users, "ann", active=False)
    with user_inactive():
        await create_link(sessions, ann.id)
    for user_id, organization_id in ((NOBODY, ACME), (ann.id, GLOBEX)):
        with refused(Reason.REASON_USER_NOT_FOUND, StatusCode.NOT_FOUND, user_id=user_id):
            await create_link(sessions, user_id, organization_id)
    with invalid_field("user_id"):
        await create_link(sessions, "ann")
    with invalid_field("organization_id"):
        await create_link(sessions, ann.id, "acme")


async def test_link_is_refused_after_deactivation_or_deletion(sessions, users):
    ann = await create(users, "ann")
    token = await create_link(sessions, ann.id)
    await update(users, ann.id, active=False)
    with user_inactive():
        await follow_link(sessions, token)
    await delete(users, ann.id)
    with link_invalid():
        await follow_link(sessions, token)


async def test_session_expires_30_minutes_after_last_use(sessions, users, clock):
    token = await sign_in_with_link(sessions, (await create(users, "ann")).id)
    for _ in range(3):
        clock.advance(minutes=30, seconds=-1)
        assert (await get_session(sessions, token)).expire_time == to_timestamp(
            clock.now + timedelta(minutes=30)
        )
    clock.advance(minutes=30)
    with session_ended():
        await get_session(sessions, token)


async def test_session_expires_8_hours_after_its_start(sessions, users, clock):
    token = await sign_in_with_link(sessions, (await create(users, "ann")).id)
    end_time = clock.now + timedelta(hours=8)
    while clock.now + timedelta(minutes=25) < end_time:
        clock.advance(minutes=25)
        found = await get_session(sessions, token)
        assert found.expire_time == to_timestamp(min(clock.now + timedelta(minutes=30), end_time))
    clock.now = end_time - timedelta(seconds=1)
    await get_session(sessions, token)
    clock.advance(seconds=1)
    with session_ended():
        await get_session(sessions, token)


async def test_last_use_is_written_at_most_once_a_minute(sessions, users, clock, db):
    token = await sign_in_with_link(sessions, (await create(users, "ann")).id)
    rows = []
    for _ in range(8):
        clock.advance(seconds=20)
        await get_session(sessions, token)
        rows.append(await db.fetchval("SELECT ctid::text FROM sessions"))
    assert len(set(rows)) == 3


@pytest.mark.parametrize("fields", [{"active": False}, {}], ids=["false", "unassigned"])
async def test_deactivation_ends_sessions_for_good(sessions, users, fields):
    ann = await create(users, "ann")
    token = await sign_in_with_link(sessions, ann.id)
    await update(users, ann.id, "active", **fields)
    with session_ended():
        await get_session(sessions, token)
    await update(users, ann.id, active=True)
    with session_ended():
        await get_session(sessions, token)


async def test_deletion_ends_sessions_at_once(sessions, users, db):
    ann = await create(users, "ann")
    token, unused_link = (
        await sign_in_with_link(sessions, ann.id),
        await create_link(sessions, ann.id),
    )
    await delete(users, ann.id)
    with session_ended():
        await get_session(sessions, token)
    with link_invalid():
        await follow_link(sessions, unused_link)
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
async def test_session_is_administrator_by_role(sessions, users, roles, administrator):
    ann = await create(users, "ann", roles=roles)
    token = await sign_in_with_link(sessions, ann.id)
    assert (await get_session(sessions, token)).administrator is administrator


async def test_session_loses_administrator_with_the_role(sessions, users):
    ann = await create(users, "ann", roles=ADMINISTRATOR)
    token = await sign_in_with_link(sessions, ann.id)
    await update(users, ann.id, "roles", roles=[TypedValue(value="Learner")])
    assert (await get_session(sessions, token)).administrator is False
    await update(users, ann.id, roles=ADMINISTRATOR)
    assert (await get_session(sessions, token)).administrator is True


@pytest.mark.parametrize(
    ("fields", "display_name"),
    [
        ({"display_name": "Ann Li", "name": Name(given_name="A")}, "Ann Li"),
        ({"name": Name(given_name="Ann", family_name="Li")}, "Ann Li"),
        ({"name": Name(family_name="Li")}, "Li"),
        ({"name": Name(formatted="Ms. Li")}, "ann"),
        ({}, "ann"),
    ],
)
async def test_session_display_name_falls_back_to_full_or_user_name(
    sessions, users, fields, display_name
):
    token = await sign_in_with_link(sessions, (await create(users, "ann", **fields)).id)
    assert (await get_session(sessions, token)).display_name == display_name


async def test_ended_session_is_over_and_other_sessions_continue(sessions, users):
    ann = await create(users, "ann")
    first, second = [await sign_in_with_link(sessions, ann.id) for _ in range(2)]
    await end_session(sessions, first)
    await end_session(sessions, first)
    with session_ended():
        await get_session(sessions, first)
    assert (await get_session(sessions, second)).user_id == ann.id


async def test_token_is_valid_only_in_its_own_organization(sessions, users):
    ann, bob = await create(users, "ann"), await create(users, "bob", GLOBEX)
    token, foreign = (
        await sign_in_with_link(sessions, ann.id),
        await sign_in_with_link(sessions, bob.id, GLOBEX),
    )
    mixed = f"{foreign.partition('.')[0]}.{token.partition('.')[2]}"
    with session_ended():
        await get_session(sessions, mixed)
    await end_session(sessions, mixed)
    assert (await get_session(sessions, token)).organization_id == ACME
    assert (await get_session(sessions, foreign)).organization_id == GLOBEX

    unused_link = await create_link(sessions, ann.id)
    with link_invalid():
        await follow_link(sessions, f"{foreign.partition('.')[0]}.{unused_link.partition('.')[2]}")
    await follow_link(sessions, unused_link)


@pytest.mark.parametrize("text", ["", "x", "." * 66, "a" * 22 + "." + "a" * 43, "\u0661" * 66])
async def test_malformed_session_token_is_refused_like_an_expired_one(sessions, text):
    with session_ended():
        await get_session(sessions, text)
    with link_invalid():
        await follow_link(sessions, text)
    await end_session(sessions, text)


async def test_link_tokens_and_session_tokens_are_not_interchangeable(sessions, users):
    ann = await create(users, "ann")
    token, unused_link = (
        await sign_in_with_link(sessions, ann.id),
        await create_link(sessions, ann.id),
    )
    with session_ended():
        await get_session(sessions, unused_link)
    with link_invalid():
        await follow_link(sessions, token)


async def test_only_token_digests_are_stored(sessions, users, db):
    ann = await create(users, "ann")
    tokens = [await sign_in_with_link(sessions, ann.id), await create_link(sessions, ann.id)]
    rows = [await db.fetchrow(f"SELECT * FROM {name}") for name in ("sessions", "sign_in_links")]
    for text, row in zip(tokens, rows, strict=True):
        assert len(text) < 100
        token = session_token.parse(text)
        assert row["secret_digest"] == sha256(token.secret).digest()
        assert not any(token.secret in value for value in row.values() if isinstance(value, bytes))


async def test_sign_in_concurrent_with_deactivation_leaves_no_session(sessions, users, db):
    for number in range(8):
        ann = await create(users, f"ann{number}")
        token = await create_link(sessions, ann.id)
        await outcomes(follow_link(sessions, token), update(users, ann.id, active=False))
    assert await db.fetch("SELECT FROM sessions") == []


async def test_sign_in_concurrent_with_deletion_does_not_deadlock(sessions, users, db):
    for number in range(8):
        ann = await create(users, f"ann{number}")
        token = await create_link(sessions, ann.id)
        found = await outcomes(follow_link(sessions, token), delete(users, ann.id))
        assert found in (["OK", "OK"], ["OK", "SIGN_IN_LINK_INVALID"])
    assert await db.fetch("SELECT FROM sessions") == []


async def test_concurrent_uses_and_end_of_session_do_not_fail(sessions, users, clock):
    token = await sign_in_with_link(sessions, (await create(users, "ann")).id)
    clock.advance(minutes=5)
    found = await asyncio.gather(*(get_session(sessions, token) for _ in range(8)))
    assert {each.expire_time.seconds for each in found} <= {
        to_timestamp(clock.now + timedelta(minutes=minutes)).seconds for minutes in (25, 30)
    }
    clock.advance(minutes=5)
    await outcomes(
        get_session(sessions, token), end_session(sessions, token), get_session(sessions, token)
    )
    with session_ended():
        await get_session(sessions, token)


async def count_rows(db) -> list[int]:
    tables = ("sessions", "sign_in_links", "taken_assertions")
    return [await db.fetchval(f"SELECT count(*) FROM {table}") for table in tables]


@pytest.fixture
async def delete_expired(users_url, clock, db, monkeypatch):
    """Advance the clock, delete expired rows in small batches, and count the remaining rows."""
    monkeypatch.setattr(session_store, "BATCH_ROWS", 2)

    async def delete_expired(**by: float) -> list[int]:
        clock.advance(**by)
        async with (
            Database(users_url, "usersvc") as database,
            database_time(db, clock.now, EXPIRE_TIMES),
        ):
            await retention.run_step(SessionStore(database, Notifier()).delete_expired)
        return await count_rows(db)

    return delete_expired


async def test_retention_deletes_only_expired_sessions_and_links(
    sessions, users, clock, delete_expired
):
    ann = await create(users, "ann")
    for _ in range(5):
        await sign_in_with_assertion(sessions, clock.now, email="ann")
        await create_link(sessions, ann.id)
    assert await delete_expired() == [5, 5, 5]
    assert await delete_expired(minutes=14) == [5, 5, 5]
    assert await delete_expired(minutes=1) == [5, 0, 0]
    await sign_in_with_link(sessions, ann.id)
    assert await delete_expired(minutes=15) == [1, 0, 0]
    assert await delete_expired(minutes=15) == [0, 0, 0]


async def test_retention_pass_deletes_a_limited_number(
    sessions, users, delete_expired, monkeypatch
):
    monkeypatch.setattr(retention, "BATCHES", 2)
    ann = await create(users, "ann")
    for _ in range(5):
        await create_link(sessions, ann.id)
    assert await delete_expired(hours=1) == [0, 1, 0]
    assert await delete_expired() == [0, 0, 0]


async def test_session_beyond_the_maximum_ends_the_oldest(sessions, users, clock):
    ann, bob = await create(users, "ann"), await create(users, "bob")
    other = await sign_in_with_link(sessions, bob.id)
    tokens = []
    for _ in range(MAX_SESSIONS + 2):
        clock.advance(seconds=1)
        tokens.append(await sign_in_with_link(sessions, ann.id))

    for token in tokens[:2]:
        with session_ended():
            await get_session(sessions, token)
    for token in (*tokens[2:], other):
        await get_session(sessions, token)


async def test_concurrent_sign_ins_leave_the_maximum_number_of_sessions(sessions, users):
    ann = await create(users, "ann")
    links = [await create_link(sessions, ann.id) for _ in range(3 * MAX_SESSIONS)]
    await asyncio.gather(*(follow_link(sessions, link) for link in links))

    listed = await sessions.ListSessions(pb.ListSessionsRequest(organization_id=ACME))
    assert len(listed.sessions) == MAX_SESSIONS


async def test_sessions_are_listed_newest_first_within_the_organization(sessions, users, clock):
    ann, bob = await create(users, "ann"), await create(users, "bob", roles=ADMINISTRATOR)
    await sign_in_with_link(sessions, (await create(users, "eve", GLOBEX)).id, GLOBEX)
    for user in (ann, bob, ann):
        clock.advance(seconds=1)
        await sign_in_with_link(sessions, user.id)

    of_all = await sessions.ListSessions(pb.ListSessionsRequest(organization_id=ACME))
    of_ann = await sessions.ListSessions(
        pb.ListSessionsRequest(organization_id=ACME, user_id=ann.id, page_size=1)
    )
    clock.advance(hours=9)
    later = await sessions.ListSessions(pb.ListSessionsRequest(organization_id=ACME))

    assert [each.user_name for each in of_all.sessions] == ["ann", "bob", "ann"]
    assert [each.administrator for each in of_all.sessions] == [False, True, False]
    assert list(of_ann.sessions) == [of_all.sessions[0]]
    assert (of_all.truncated, of_ann.truncated, len(later.sessions)) == (False, True, 0)


async def test_one_session_is_ended_by_its_id_in_its_organization_only(sessions, users):
    ann = await create(users, "ann")
    one, other = [await sign_in_with_link(sessions, ann.id) for _ in range(2)]
    session_id = (await get_session(sessions, one)).session_id

    foreign = await sessions.EndSessions(
        pb.EndSessionsRequest(organization_id=GLOBEX, session_id=session_id)
    )
    assert not foreign.sessions
    await get_session(sessions, one)
    request = pb.EndSessionsRequest(organization_id=ACME, session_id=session_id)
    ended = [await sessions.EndSessions(request) for _ in range(2)]
    assert [[each.user_id for each in response.sessions] for response in ended] == [[ann.id], []]
    with session_ended():
        await get_session(sessions, one)
    await get_session(sessions, other)


@pytest.mark.parametrize(
    ("of", "field"),
    [({}, "of"), ({"all": False}, "of"), ({"session_id": "AB"}, "session_id")],
    ids=["nothing", "not all", "a malformed id"],
)
async def test_end_sessions_without_a_target_is_refused(sessions, of, field):
    with invalid_field(field):
        await sessions.EndSessions(pb.EndSessionsRequest(organization_id=ACME, **of))


async def test_sign_in_ends_the_session_that_it_replaces(sessions, users, clock):
    ann = await create(users, "ann")
    eve = await create(users, "eve", GLOBEX, external_id="oid-eve")
    before = await sign_in_with_link(sessions, ann.id)
    replaced = pb.ReplacedSession(
        organization_id=ACME, session_id=(await get_session(sessions, before)).session_id
    )
    link = await create_link(sessions, eve.id, GLOBEX)
    with link_invalid():
        await sessions.SignInWithLink(
            pb.SignInWithLinkRequest(token=link[:-4] + "AAAA", replaced_session=replaced)
        )
    await get_session(sessions, before)  # a refused sign-in ends nothing

    await sessions.SignInWithLink(pb.SignInWithLinkRequest(token=link, replaced_session=replaced))
    with session_ended():
        await get_session(sessions, before)

    again = await sign_in_with_link(sessions, ann.id)
    replaced.session_id = (await get_session(sessions, again)).session_id
    await sign_in_with_assertion(
        sessions, clock.now, "oid-eve", organization_id=GLOBEX, replaced_session=replaced
    )
    with session_ended():
        await get_session(sessions, again)
