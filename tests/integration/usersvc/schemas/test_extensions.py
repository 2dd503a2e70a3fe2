"""Extension values of users: stored, validated and updated."""

import pytest
from cloudacademy.users.v1 import schemas_pb2 as pb

from tests.support.usersvc.schema_calls import (
    ALL_TYPES,
    BADGE,
    attribute,
    badge,
    create_schema,
    extension,
    immutable,
)
from tests.support.usersvc.user_calls import create, get, invalid_field, list_users, update

ALL_VALUES = {
    "nickname": "Rosé",
    "number": "7-A",
    "valid": False,
    "floor": -(2**63),
    "ratio": 1e22,
    "issued": "2026-01-31T09:30:00.5+01:00",
    "photo": "https://acme.test/p?q=%20",
    "seal": "AQID",
    "tags": ["a", "b", "a"],
    "office": {"city": "Oslo", "desk": 12},
    "doors": [{"value": "north", "level": 0}, {"value": "south"}],
    "serial": "s1",
}


@pytest.fixture(autouse=True)
async def schema(schemas):
    return await create_schema(schemas, *ALL_TYPES)


async def test_extension_values_of_every_type_are_returned_unchanged(users):
    ann = await create(users, "ann", extensions=badge(**ALL_VALUES))

    assert dict(ann.extensions) == badge(**ALL_VALUES)
    assert await get(users, ann.id) == ann
    assert list((await list_users(users)).users) == [ann]


@pytest.mark.parametrize("number", [0.0, 1.5, 5e-324, 1e15, 1e16, 2.0**60, -1.7976931348623157e308])
async def test_decimal_keeps_double_precision_at_any_magnitude(users, number):
    ann = await create(users, "ann", extensions=badge(ratio=number))

    assert (await get(users, ann.id)).extensions[BADGE].values["ratio"].decimal == number
    assert (await get(users, ann.id)).extensions[BADGE].values["ratio"].HasField("decimal")


async def test_empty_extension_values_are_dropped(users):
    ann = await create(
        users, "ann", extensions=badge(nickname="", tags=["", "a"], office={"city": ""}, doors=[])
    )
    bob = await create(users, "bob", extensions=badge(nickname=""))

    assert dict(ann.extensions) == badge(tags=["a"])
    assert dict((await get(users, bob.id)).extensions) == {}


async def test_update_without_a_difference_keeps_the_version(users, clock):
    ann = await create(users, "ann", extensions=badge(**ALL_VALUES))
    clock.advance(seconds=1)

    for mask in ("extensions", BADGE, "*"):
        assert await update(users, ann.id, mask, user_name="ann", active=True,
                            extensions=badge(**ALL_VALUES)) == ann  # fmt: skip


async def test_update_mask_of_one_extension_keeps_the_others(users, schemas):
    await create_schema(schemas, urn="urn:acme:parking")
    parking = extension(number="p1")
    ann = await create(users, "ann", extensions={**badge(number="7"), "urn:acme:parking": parking})

    replaced = await update(users, ann.id, BADGE.upper(), extensions=badge(number="8"))
    renamed = await update(users, ann.id, "title", title="Chief", extensions=badge(number="9"))
    cleared = await update(users, ann.id, "extensions")

    assert dict(replaced.extensions) == {**badge(number="8"), "urn:acme:parking": parking}
    assert (renamed.title, dict(renamed.extensions)) == ("Chief", dict(replaced.extensions))
    assert (dict(cleared.extensions), cleared.title) == ({}, "Chief")
    assert int(cleared.etag) == 4


async def test_update_with_asterisk_mask_clears_extensions(users):
    ann = await create(users, "ann", extensions=badge(number="7"))

    assert dict((await update(users, ann.id, "*", user_name="ann")).extensions) == {}


async def test_immutable_attribute_keeps_its_first_value(users):
    ann = await create(users, "ann", extensions=badge(number="7"))
    first = badge(serial="s1", office={"city": "Oslo", "since": "May"})
    await update(users, ann.id, "extensions", extensions=first)

    with immutable(f"{BADGE}:serial"):
        await update(users, ann.id, "extensions", extensions=badge(serial="s2"))
    with immutable(f"{BADGE}:office.since"):
        await update(users, ann.id, "*", user_name="ann",
                     extensions=badge(office={"city": "Oslo", "since": "June"}))  # fmt: skip
    updated = await update(users, ann.id, BADGE, extensions=badge(office={"city": "Rome"}))
    assert dict(updated.extensions) == badge(serial="s1", office={"city": "Rome", "since": "May"})


@pytest.mark.parametrize("mask", ["extensions", "urn:acme:car", "*"])
async def test_extension_with_required_attribute_is_removed_as_a_whole(users, schemas, mask):
    await create_schema(
        schemas, attribute("plate", required=True), attribute("lot"), urn="urn:acme:car"
    )
    car = {"urn:acme:car": extension(lot="3", plate="A 1")}
    ann = await create(users, f"ann-{mask}", extensions=car)

    updated = await update(users, ann.id, mask, user_name=ann.user_name)

    assert dict(updated.extensions) == {}


async def test_required_values_stay_with_an_immutable_one_that_is_left_out(users, schemas):
    await create_schema(
        schemas,
        attribute("plate", required=True),
        attribute("lot"),
        attribute("vin", mutability=pb.Attribute.MUTABILITY_IMMUTABLE),
        urn="urn:acme:car",
    )
    car = {"urn:acme:car": extension(lot="3", plate="A 1", vin="v")}
    ann = await create(users, "ann", extensions=car)
    office = {"city": "Oslo", "since": "May", "desk": 1}
    bob = await create(users, "bob", extensions=badge(number="7", office=office))

    with invalid_field("urn:acme:car:plate"):
        await update(users, ann.id, "extensions", extensions={"urn:acme:car": extension(lot="4")})
    ann = await update(users, ann.id, "extensions")
    bob = await update(users, bob.id, "extensions", extensions=badge(number="8"))

    assert dict(ann.extensions) == {"urn:acme:car": extension(plate="A 1", vin="v")}
    assert dict(bob.extensions) == badge(number="8", office={"city": "Oslo", "since": "May"})


async def test_required_attribute_is_required_in_a_present_extension(users, schemas):
    await create_schema(
        schemas, attribute("plate", required=True), attribute("lot"), urn="urn:acme:car"
    )
    ann = await create(users, "ann")

    with invalid_field("urn:acme:car:plate"):
        await update(users, ann.id, "extensions", extensions={"urn:acme:car": extension(lot="3")})
    with invalid_field(f"{BADGE}:office.city"):
        await create(users, "bob", extensions=badge(office={"desk": 1}))
    complete = {"urn:acme:car": extension(lot="3", plate="A 1")}
    assert (
        dict((await update(users, ann.id, "extensions", extensions=complete)).extensions)
        == complete
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("nobody", "x"),
        ("Nickname", "x"),
        ("nickname", 7),
        ("nickname", ["x"]),
        ("nickname", "é" * 4_097),
        ("nickname", "a\0b"),
        ("valid", "true"),
        ("floor", True),
        ("floor", 1.0),
        ("ratio", 1),
        ("ratio", float("nan")),
        ("ratio", float("inf")),
        ("issued", "2026-01-31"),
        ("issued", "2026-02-30T09:30:00Z"),
        ("issued", "2026-01-31T09:30:00"),
        ("issued", "2026-01-31T09:30:00+20:00"),
        ("issued", "0001-01-01T00:00:00+01:00"),
        ("photo", "not a uri"),
        ("seal", "AQI"),
        ("tags", "a"),
        ("tags", [str(number) for number in range(251)]),
        ("tags", [1]),
        ("office", "Oslo"),
        ("doors", {"value": "north"}),
        ("nickname", {"value": "north"}),
    ],
)
async def test_value_not_allowed_by_the_schema_is_refused(users, name, value):
    with invalid_field(f"{BADGE}:{name}"):
        await create(users, "ann", extensions=badge(**{name: value}))

    assert list((await list_users(users)).users) == []


async def test_extension_values_over_message_size_are_refused(users):
    with invalid_field("extensions"):
        await create(users, "ann", extensions=badge(tags=["x" * 8_000] * 70))
    await create(users, "ann", extensions=badge(tags=["x" * 8_000] * 60))


async def test_extension_urn_must_be_spelt_as_in_its_schema(users):
    with invalid_field("extensions"):
        await create(users, "ann", extensions={BADGE.lower(): extension(number="7")})


async def test_users_without_extensions_read_no_schemas(users, db):
    await db.execute("DROP TABLE schemas")

    ann = await create(users, "ann")
    await update(users, ann.id, "*", user_name="ann", title="Chief")
    assert [user.title for user in (await list_users(users)).users] == ["Chief"]
