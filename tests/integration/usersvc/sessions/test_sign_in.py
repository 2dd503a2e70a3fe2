"""Sign-ins for which an identity provider vouches: who is whom, and who is nobody."""

import secrets
from datetime import timedelta

import pytest
from cloudacademy.users.v1 import users_pb2
from cloudacademy.users.v1.users_pb2 import Name, TypedValue

from tests.support.rpc_outcomes import outcomes
from tests.support.usersvc.session_calls import (
    ADMINISTRATOR,
    OID_ANN,
    OID_OTHER,
    ambiguous,
    conflict,
    ended,
    inactive,
    links,
    replayed,
    session,
    signed_in,
    timestamp,
    unknown,
    vouch,
)
from tests.support.usersvc.user_calls import (
    ACME,
    GLOBEX,
    compare,
    create,
    delete,
    everybody,
    get,
    invalid_field,
    names,
    update,
)
from usersvc.domain.changes import ChangeType


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


@pytest.mark.parametrize("external_id", ["", "ann", "oid-other"])
async def test_the_e_mail_address_finds_a_user_whom_the_object_identifier_then_finds(
    sessions, users, clock, db, external_id
):
    ann = await create(users, "Ann@Acme.Test", title="Engineer", external_id=external_id)
    clock.advance(minutes=1)

    response = await vouch(sessions, clock.now, "oid-ann", "ann@acme.TEST")

    assert (response.session.user_id, response.created) == (ann.id, False)
    assert await links(db) == [(ACME, "oid-ann", ann.id)]
    # From now on another address makes no difference, and another person with this one does.
    assert (await vouch(sessions, clock.now, "oid-ann", "li@acme.test")).session.user_id == ann.id
    with conflict():
        await vouch(sessions, clock.now, "oid-other", "ann@acme.test", create_missing=True)
    assert await get(users, ann.id) == ann
    assert await links(db) == [(ACME, "oid-ann", ann.id)]


async def test_who_is_provisioned_by_entras_default_mapping_signs_in(sessions, users, clock, db):
    ann = await create(users, "ann@acme.test", external_id="ann")
    for _ in range(2):
        response = await vouch(sessions, clock.now, OID_ANN, create_missing=True)
        assert (response.session.user_id, response.created) == (ann.id, False)
    assert await get(users, ann.id) == ann


async def test_who_changes_the_address_and_the_nickname_is_found_by_the_link(
    sessions, users, clock
):
    ann = await create(users, "ann@acme.test", external_id="ann")
    await vouch(sessions, clock.now, OID_ANN)
    await update(users, ann.id, user_name="ann.wu@acme.test", external_id="ann.wu")
    await create(users, "ann@acme.test", external_id="ann")
    for email in ("ann@acme.test", "ann.wu@acme.test"):
        assert (await vouch(sessions, clock.now, OID_ANN, email)).session.user_id == ann.id


@pytest.mark.parametrize("external_id", [OID_OTHER, OID_OTHER.upper()])
@pytest.mark.parametrize("identifier", [OID_ANN, "oid-ann"])
async def test_a_user_who_is_somebody_else_is_never_taken_over(
    sessions, users, clock, db, *, external_id, identifier
):
    ann = await create(users, "ann@acme.test", external_id=external_id)
    with conflict():
        await vouch(sessions, clock.now, identifier, create_missing=True)
    assert await get(users, ann.id) == ann
    assert len(await everybody(users)) == 1
    assert await links(db) == []


async def test_case_makes_no_difference_between_object_identifiers_and_in_no_other_text(
    sessions, users, clock
):
    ann = await create(users, "ann@acme.test", external_id=OID_ANN.upper())
    for identifier in (OID_ANN, OID_ANN.upper(), OID_ANN):
        assert (await vouch(sessions, clock.now, identifier)).session.user_id == ann.id
    await create(users, "bob@acme.test")
    await vouch(sessions, clock.now, "oid-bob", "bob@acme.test")
    with conflict():
        await vouch(sessions, clock.now, "OID-BOB", "bob@acme.test")


async def test_provisioning_is_the_authority_for_who_is_linked(sessions, users, clock, db):
    ann = await create(users, "ann@acme.test", external_id="ann")
    await vouch(sessions, clock.now, OID_ANN)
    await update(users, ann.id, external_id=OID_OTHER)
    with conflict():
        await vouch(sessions, clock.now, OID_ANN, create_missing=True)
    assert await links(db) == [(ACME, OID_ANN, ann.id)]

    # The account is the other one's, and goes on to be so if only a nickname is sent.
    response = await vouch(sessions, clock.now, OID_OTHER, "li@acme.test", create_missing=True)
    assert (response.session.user_id, response.created) == (ann.id, False)
    assert await links(db) == [(ACME, OID_OTHER, ann.id)]
    await update(users, ann.id, external_id="ann")
    with conflict():
        await vouch(sessions, clock.now, OID_ANN)
    assert (await vouch(sessions, clock.now, OID_OTHER)).session.user_id == ann.id


async def test_an_external_id_of_another_form_is_no_authority_over_a_link(
    sessions, users, clock, db
):
    ann = await create(users, "ann@acme.test", external_id="ann")
    await vouch(sessions, clock.now, OID_ANN)
    with conflict():
        await vouch(sessions, clock.now, "ann", "li@acme.test", create_missing=True)
    assert await links(db) == [(ACME, OID_ANN, ann.id)]


async def test_who_is_linked_while_somebody_else_is_given_the_object_identifier_is_not_chosen(
    sessions, users, clock
):
    await create(users, "ann@acme.test", external_id="ann")
    await vouch(sessions, clock.now, OID_ANN)
    twin = await create(users, "ann@corp.test", external_id=OID_ANN, active=False)
    with ambiguous():
        await vouch(sessions, clock.now, OID_ANN, create_missing=True)
    await delete(users, twin.id)
    await vouch(sessions, clock.now, OID_ANN, create_missing=True)


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
async def test_provisioning_finds_who_was_created_by_either_name(
    sessions, users, clock, field, value
):
    await vouch(sessions, clock.now, create_missing=True)
    assert await names(users, compare(field, "EQUAL", value)) == ["ann@acme.test"]


async def test_who_was_created_and_then_provisioned_stays_the_same_user(sessions, users, clock):
    ann = (await vouch(sessions, clock.now, OID_ANN, create_missing=True)).session.user_id
    await update(users, ann, external_id="ann", user_name="ann@corp.test")
    response = await vouch(sessions, clock.now, OID_ANN, create_missing=True)
    assert (response.session.user_id, response.created) == (ann, False)


@pytest.mark.parametrize("active", [False, None], ids=["false", "unassigned"])
@pytest.mark.parametrize("found_by", ["external id", "e-mail", "link"])
async def test_who_is_not_active_is_refused_however_found(
    sessions, users, clock, db, *, found_by, active
):
    external_id = "oid-ann" if found_by == "external id" else ""
    ann = await create(users, "ann@acme.test", external_id=external_id)
    if found_by == "link":
        await vouch(sessions, clock.now)
        await update(users, ann.id, user_name="ann@corp.test")
    before = await links(db)
    await update(users, ann.id, "active", active=active)
    with inactive():
        await vouch(sessions, clock.now, create_missing=True)
    assert await links(db) == before
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


async def test_an_organization_never_signs_in_anothers_user(sessions, users, clock, db):
    other = await create(users, "ann@acme.test", GLOBEX, external_id="oid-ann")
    await vouch(sessions, clock.now, organization_id=GLOBEX)
    with unknown():
        await vouch(sessions, clock.now)
    response = await vouch(sessions, clock.now, create_missing=True)
    assert response.created
    assert response.session.organization_id == ACME
    assert sorted(await links(db)) == sorted(
        [(ACME, "oid-ann", response.session.user_id), (GLOBEX, "oid-ann", other.id)]
    )


async def test_each_organization_has_links_of_its_own(sessions, users, clock):
    organizations = (ACME, GLOBEX)
    own = {
        each: await create(users, "ann@acme.test", each, external_id="ann")
        for each in organizations
    }
    for email in ("ann@acme.test", "li@acme.test"):
        for each in organizations:
            response = await vouch(sessions, clock.now, OID_ANN, email, organization_id=each)
            assert response.session.user_id == own[each].id


async def test_a_repeated_sign_in_writes_its_session_and_nothing_else(sessions, users, clock, db):
    await create(users, "ann@acme.test", external_id="ann")
    await vouch(sessions, clock.now)
    written = "SELECT ctid::text, xmin::text FROM {}"
    tables = ("users", "linked_identities", "changes")
    before = [await db.fetch(written.format(table)) for table in tables]
    await vouch(sessions, clock.now)
    assert [await db.fetch(written.format(table)) for table in tables] == before
    assert await db.fetchval("SELECT count(*) FROM sessions") == 2


async def test_a_link_ends_with_its_user(sessions, users, clock, db):
    ann = await create(users, "ann@acme.test")
    await vouch(sessions, clock.now)
    await delete(users, ann.id)
    assert await links(db) == []


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


async def test_followers_of_changes_hear_of_who_is_created_and_of_nobody_who_is_linked(
    sessions, users, clock, db
):
    bob = await create(users, "bob@acme.test")
    await vouch(sessions, clock.now, "oid-bob", "bob@acme.test")
    created = await vouch(sessions, clock.now, create_missing=True)
    await vouch(sessions, clock.now, create_missing=True)

    rows = await db.fetch("SELECT type, resource_id::text, version FROM changes ORDER BY number")
    assert [tuple(row) for row in rows] == [
        (ChangeType.USER_CREATED, bob.id, 1),
        (ChangeType.USER_CREATED, created.session.user_id, 1),
    ]
