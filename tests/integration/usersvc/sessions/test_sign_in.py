"""Sign-ins with an assertion: which user an assertion matches, and when it is refused."""

import secrets
from datetime import timedelta

import pytest
from cloudacademy.users.v1 import users_pb2
from cloudacademy.users.v1.users_pb2 import Name, TypedValue

from chassis.rpc.timestamps import to_timestamp
from tests.support.rpc_outcomes import outcomes
from tests.support.usersvc.session_calls import (
    ADMINISTRATOR,
    OID_ANN,
    OID_OTHER,
    assertion_replayed,
    get_session,
    identity_links,
    session_ended,
    sign_in_ambiguous,
    sign_in_conflict,
    sign_in_unknown,
    sign_in_with_assertion,
    sign_in_with_link,
    user_inactive,
)
from tests.support.usersvc.user_calls import (
    ACME,
    GLOBEX,
    compare,
    create,
    delete,
    get,
    invalid_field,
    list_identities,
    update,
    user_names,
)
from usersvc.domain.changes import ChangeType


async def test_object_identifier_finds_user_at_any_email_address(sessions, users, clock):
    ann = await create(users, "ann@corp.test", external_id="oid-ann", roles=ADMINISTRATOR)
    await create(users, "ann@acme.test", external_id="oid-other")

    response = await sign_in_with_assertion(
        sessions, clock.now, "oid-ann", "ann@acme.test", create_missing=True
    )

    assert (response.session.user_id, response.created) == (ann.id, False)
    assert response.session.administrator
    assert await get_session(sessions, response.session_token) == response.session
    assert await get(users, ann.id) == ann


@pytest.mark.parametrize("external_id", ["", "ann", "oid-other"])
async def test_email_match_links_the_object_identifier(sessions, users, clock, db, external_id):
    ann = await create(users, "Ann@Acme.Test", title="Engineer", external_id=external_id)
    clock.advance(minutes=1)

    response = await sign_in_with_assertion(sessions, clock.now, "oid-ann", "ann@acme.TEST")

    assert (response.session.user_id, response.created) == (ann.id, False)
    assert await identity_links(db) == [(ACME, "oid-ann", ann.id)]
    # The link now decides: another address still matches the user, another person does not.
    assert (
        await sign_in_with_assertion(sessions, clock.now, "oid-ann", "li@acme.test")
    ).session.user_id == ann.id
    with sign_in_conflict():
        await sign_in_with_assertion(
            sessions, clock.now, "oid-other", "ann@acme.test", create_missing=True
        )
    assert await get(users, ann.id) == ann
    assert await identity_links(db) == [(ACME, "oid-ann", ann.id)]


async def test_user_with_entra_default_mapping_signs_in(sessions, users, clock, db):
    ann = await create(users, "ann@acme.test", external_id="ann")
    for _ in range(2):
        response = await sign_in_with_assertion(sessions, clock.now, OID_ANN, create_missing=True)
        assert (response.session.user_id, response.created) == (ann.id, False)
    assert await get(users, ann.id) == ann


async def test_linked_user_with_new_address_and_nickname_signs_in(sessions, users, clock):
    ann = await create(users, "ann@acme.test", external_id="ann")
    await sign_in_with_assertion(sessions, clock.now, OID_ANN)
    await update(users, ann.id, user_name="ann.wu@acme.test", external_id="ann.wu")
    await create(users, "ann@acme.test", external_id="ann")
    for email in ("ann@acme.test", "ann.wu@acme.test"):
        assert (
            await sign_in_with_assertion(sessions, clock.now, OID_ANN, email)
        ).session.user_id == ann.id


@pytest.mark.parametrize("external_id", [OID_OTHER, OID_OTHER.upper()])
@pytest.mark.parametrize("identifier", [OID_ANN, "oid-ann"])
async def test_user_with_another_object_identifier_is_never_linked(
    sessions, users, clock, db, *, external_id, identifier
):
    ann = await create(users, "ann@acme.test", external_id=external_id)
    with sign_in_conflict():
        await sign_in_with_assertion(sessions, clock.now, identifier, create_missing=True)
    assert await get(users, ann.id) == ann
    assert len(await list_identities(users)) == 1
    assert await identity_links(db) == []


async def test_case_is_ignored_only_in_uuid_object_identifiers(sessions, users, clock):
    ann = await create(users, "ann@acme.test", external_id=OID_ANN.upper())
    for identifier in (OID_ANN, OID_ANN.upper(), OID_ANN):
        assert (
            await sign_in_with_assertion(sessions, clock.now, identifier)
        ).session.user_id == ann.id
    await create(users, "bob@acme.test")
    await sign_in_with_assertion(sessions, clock.now, "oid-bob", "bob@acme.test")
    with sign_in_conflict():
        await sign_in_with_assertion(sessions, clock.now, "OID-BOB", "bob@acme.test")


async def test_external_id_from_provisioning_overrides_a_link(sessions, users, clock, db):
    ann = await create(users, "ann@acme.test", external_id="ann")
    await sign_in_with_assertion(sessions, clock.now, OID_ANN)
    await update(users, ann.id, external_id=OID_OTHER)
    with sign_in_conflict():
        await sign_in_with_assertion(sessions, clock.now, OID_ANN, create_missing=True)
    assert await identity_links(db) == [(ACME, OID_ANN, ann.id)]

    # The account now belongs to the other person, even after an update that sends only a nickname.
    response = await sign_in_with_assertion(
        sessions, clock.now, OID_OTHER, "li@acme.test", create_missing=True
    )
    assert (response.session.user_id, response.created) == (ann.id, False)
    assert await identity_links(db) == [(ACME, OID_OTHER, ann.id)]
    await update(users, ann.id, external_id="ann")
    with sign_in_conflict():
        await sign_in_with_assertion(sessions, clock.now, OID_ANN)
    assert (await sign_in_with_assertion(sessions, clock.now, OID_OTHER)).session.user_id == ann.id


async def test_external_id_in_another_format_keeps_the_link(sessions, users, clock, db):
    ann = await create(users, "ann@acme.test", external_id="ann")
    await sign_in_with_assertion(sessions, clock.now, OID_ANN)
    with sign_in_conflict():
        await sign_in_with_assertion(
            sessions, clock.now, "ann", "li@acme.test", create_missing=True
        )
    assert await identity_links(db) == [(ACME, OID_ANN, ann.id)]


async def test_object_identifier_given_to_another_user_is_ambiguous(sessions, users, clock):
    await create(users, "ann@acme.test", external_id="ann")
    await sign_in_with_assertion(sessions, clock.now, OID_ANN)
    other = await create(users, "ann@corp.test", external_id=OID_ANN, active=False)
    with sign_in_ambiguous():
        await sign_in_with_assertion(sessions, clock.now, OID_ANN, create_missing=True)
    await delete(users, other.id)
    await sign_in_with_assertion(sessions, clock.now, OID_ANN, create_missing=True)


async def test_object_identifier_of_two_users_is_ambiguous(sessions, users, clock):
    await create(users, "ann@acme.test", external_id="oid-ann")
    await create(users, "ann.li@acme.test", external_id="oid-ann", active=False)
    with sign_in_ambiguous():
        await sign_in_with_assertion(sessions, clock.now, create_missing=True)


async def test_missing_user_is_created_on_request(sessions, users, clock):
    with sign_in_unknown():
        await sign_in_with_assertion(sessions, clock.now)
    assert await list_identities(users) == []

    response = await sign_in_with_assertion(
        sessions, clock.now, given_name="Ann", family_name="Li", create_missing=True
    )

    assert response.created
    assert response.session.display_name == "Ann Li"
    assert not response.session.administrator
    assert await get(users, response.session.user_id) == users_pb2.User(
        id=response.session.user_id,
        organization_id=ACME,
        etag="1",
        create_time=to_timestamp(clock.now),
        update_time=to_timestamp(clock.now),
        user_name="ann@acme.test",
        external_id="oid-ann",
        active=True,
        name=Name(given_name="Ann", family_name="Li"),
        emails=[TypedValue(value="ann@acme.test", type="work", primary=True)],
    )
    again = await sign_in_with_assertion(sessions, clock.now, create_missing=True)
    assert (again.session.user_id, again.created) == (response.session.user_id, False)


@pytest.mark.parametrize(
    ("field", "value"), [("user_name", "ANN@acme.test"), ("external_id", "oid-ann")]
)
async def test_provisioning_finds_created_user_by_either_identifier(
    sessions, users, clock, field, value
):
    await sign_in_with_assertion(sessions, clock.now, create_missing=True)
    assert await user_names(users, compare(field, "EQUAL", value)) == ["ann@acme.test"]


async def test_user_created_by_sign_in_stays_after_provisioning(sessions, users, clock):
    ann = (
        await sign_in_with_assertion(sessions, clock.now, OID_ANN, create_missing=True)
    ).session.user_id
    await update(users, ann, external_id="ann", user_name="ann@corp.test")
    response = await sign_in_with_assertion(sessions, clock.now, OID_ANN, create_missing=True)
    assert (response.session.user_id, response.created) == (ann, False)


@pytest.mark.parametrize("active", [False, None], ids=["false", "unassigned"])
@pytest.mark.parametrize("found_by", ["external id", "e-mail", "link"])
async def test_inactive_user_is_refused_however_it_is_matched(
    sessions, users, clock, db, *, found_by, active
):
    external_id = "oid-ann" if found_by == "external id" else ""
    ann = await create(users, "ann@acme.test", external_id=external_id)
    if found_by == "link":
        await sign_in_with_assertion(sessions, clock.now)
        await update(users, ann.id, user_name="ann@corp.test")
    before = await identity_links(db)
    await update(users, ann.id, "active", active=active)
    with user_inactive():
        await sign_in_with_assertion(sessions, clock.now, create_missing=True)
    assert await identity_links(db) == before
    assert len(await list_identities(users)) == 1


async def test_assertion_is_accepted_once_per_organization(sessions, users, clock):
    await create(users, "ann@acme.test")
    await create(users, "ann@acme.test", GLOBEX)
    await sign_in_with_assertion(sessions, clock.now, assertion_id="a1")
    with assertion_replayed():
        await sign_in_with_assertion(sessions, clock.now, assertion_id="a1")
    await sign_in_with_assertion(sessions, clock.now, assertion_id="a2")
    await sign_in_with_assertion(sessions, clock.now, assertion_id="a1", organization_id=GLOBEX)


async def test_refused_sign_in_uses_up_its_assertion(sessions, users, clock):
    with sign_in_unknown():
        await sign_in_with_assertion(sessions, clock.now, assertion_id="a1")
    await create(users, "ann@acme.test")
    with assertion_replayed():
        await sign_in_with_assertion(sessions, clock.now, assertion_id="a1")


async def test_one_of_several_concurrent_uses_of_an_assertion_succeeds(sessions, users, clock):
    calls = [
        sign_in_with_assertion(sessions, clock.now, assertion_id="a1", create_missing=True)
        for _ in range(6)
    ]
    assert await outcomes(*calls) == ["ASSERTION_REPLAYED"] * 5 + ["OK"]
    assert await list_identities(users) == [("ann@acme.test", "oid-ann")]


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
async def test_invalid_assertion_field_is_refused(sessions, users, clock, field, values):
    for value in values:
        with invalid_field(field):
            request = {field.removeprefix("name."): value}
            await sign_in_with_assertion(sessions, clock.now, create_missing=True, **request)
    assert await list_identities(users) == []


async def test_assertion_lifetime_is_one_hour_at_most(sessions, clock):
    for offset in (timedelta(hours=1, seconds=1), timedelta(minutes=-5, seconds=-1)):
        with invalid_field("assertion_expire_time"):
            await sign_in_with_assertion(
                sessions, clock.now, assertion_expire_time=to_timestamp(clock.now + offset)
            )
    with invalid_field("assertion_expire_time"):
        await sign_in_with_assertion(sessions, clock.now, assertion_expire_time=None)
    for offset in (timedelta(hours=1), timedelta(minutes=-5)):
        with sign_in_unknown():
            await sign_in_with_assertion(
                sessions, clock.now, assertion_expire_time=to_timestamp(clock.now + offset)
            )


async def test_sign_in_never_finds_user_of_another_organization(sessions, users, clock, db):
    other = await create(users, "ann@acme.test", GLOBEX, external_id="oid-ann")
    await sign_in_with_assertion(sessions, clock.now, organization_id=GLOBEX)
    with sign_in_unknown():
        await sign_in_with_assertion(sessions, clock.now)
    response = await sign_in_with_assertion(sessions, clock.now, create_missing=True)
    assert response.created
    assert response.session.organization_id == ACME
    assert sorted(await identity_links(db)) == sorted(
        [(ACME, "oid-ann", response.session.user_id), (GLOBEX, "oid-ann", other.id)]
    )


async def test_identity_links_are_separate_per_organization(sessions, users, clock):
    organizations = (ACME, GLOBEX)
    users_by_organization = {
        each: await create(users, "ann@acme.test", each, external_id="ann")
        for each in organizations
    }
    for email in ("ann@acme.test", "li@acme.test"):
        for each in organizations:
            response = await sign_in_with_assertion(
                sessions, clock.now, OID_ANN, email, organization_id=each
            )
            assert response.session.user_id == users_by_organization[each].id


async def test_repeated_sign_in_writes_only_its_session(sessions, users, clock, db):
    await create(users, "ann@acme.test", external_id="ann")
    await sign_in_with_assertion(sessions, clock.now)
    written = "SELECT ctid::text, xmin::text FROM {}"
    tables = ("users", "linked_identities", "changes")
    before = [await db.fetch(written.format(table)) for table in tables]
    await sign_in_with_assertion(sessions, clock.now)
    assert [await db.fetch(written.format(table)) for table in tables] == before
    assert await db.fetchval("SELECT count(*) FROM sessions") == 2


async def test_identity_link_is_deleted_with_its_user(sessions, users, clock, db):
    ann = await create(users, "ann@acme.test")
    await sign_in_with_assertion(sessions, clock.now)
    await delete(users, ann.id)
    assert await identity_links(db) == []


async def test_person_may_have_sessions_by_link_and_assertion(sessions, users, clock):
    ann = await create(users, "ann@acme.test")
    tokens = [
        (await sign_in_with_assertion(sessions, clock.now)).session_token,
        (await sign_in_with_assertion(sessions, clock.now)).session_token,
        await sign_in_with_link(sessions, ann.id),
    ]
    assert [(await get_session(sessions, token)).user_id for token in tokens] == [ann.id] * 3
    await update(users, ann.id, active=False)
    for token in tokens:
        with session_ended():
            await get_session(sessions, token)


async def test_assertion_id_may_contain_any_text(sessions, users, clock):
    await create(users, "ann@acme.test")
    identifier = f"_{secrets.token_hex(500)}"
    await sign_in_with_assertion(sessions, clock.now, assertion_id=identifier)
    with assertion_replayed():
        await sign_in_with_assertion(sessions, clock.now, assertion_id=identifier)


async def test_feed_reports_user_created_by_sign_in_and_no_link(sessions, users, clock, db):
    bob = await create(users, "bob@acme.test")
    await sign_in_with_assertion(sessions, clock.now, "oid-bob", "bob@acme.test")
    created = await sign_in_with_assertion(sessions, clock.now, create_missing=True)
    await sign_in_with_assertion(sessions, clock.now, create_missing=True)

    rows = await db.fetch("SELECT type, resource_id::text, version FROM changes ORDER BY number")
    assert [tuple(row) for row in rows] == [
        (ChangeType.USER_CREATED, bob.id, 1),
        (ChangeType.USER_CREATED, created.session.user_id, 1),
    ]
