"""CreateSchema, GetSchema, ListSchemas and DeleteSchema."""

import asyncio

from cloudacademy.users.v1 import schemas_pb2 as pb

from tests.support.usersvc.schema_calls import (
    ALL_TYPES,
    BADGE,
    attribute,
    badge,
    create_schema,
    delete_schema,
    get_schema,
    list_schemas,
    schema_exists,
    schema_in_use,
    schema_not_found,
)
from tests.support.usersvc.user_calls import ACME, GLOBEX, create, delete, invalid_field, update
from tests.support.waiting import eventually


async def test_schema_is_returned_as_it_was_created(schemas, clock):
    sent = [*ALL_TYPES, attribute("color", canonical_values=["red"], description="Of the strap")]

    created = await create_schema(schemas, *sent, description="What people wear")

    expected = pb.Schema(
        urn=BADGE,
        organization_id=ACME,
        name="Badge",
        description="What people wear",
        attributes=sent,
    )
    expected.create_time.FromDatetime(clock())
    for each in expected.attributes:
        _apply_defaults(each)
    assert created == expected
    assert await get_schema(schemas, BADGE.upper()) == expected
    assert await list_schemas(schemas) == [expected]


def _apply_defaults(sent: pb.Attribute) -> None:
    """Set the defaults that the contract defines for omitted fields of an attribute."""
    sent.mutability = sent.mutability or pb.Attribute.MUTABILITY_READ_WRITE
    sent.returned = sent.returned or pb.Attribute.RETURNED_DEFAULT
    sent.case_exact |= sent.type in (pb.Attribute.TYPE_REFERENCE, pb.Attribute.TYPE_BINARY)
    for part in sent.sub_attributes:
        _apply_defaults(part)


async def test_schemas_are_listed_in_order_of_creation(schemas, clock):
    for urn in ("urn:acme:b", "urn:acme:c", "urn:acme:a"):
        await create_schema(schemas, urn=urn)
        clock.advance(seconds=1)

    found = [schema.urn for schema in await list_schemas(schemas)]
    assert found == ["urn:acme:b", "urn:acme:c", "urn:acme:a"]


async def test_schema_urn_ignores_case(schemas):
    await create_schema(schemas)

    with schema_exists(BADGE.upper()):
        await create_schema(schemas, urn=BADGE.upper())


async def test_concurrent_creates_stop_at_twenty_schemas(schemas):
    outcomes = await asyncio.gather(
        *(create_schema(schemas, urn=f"urn:acme:s{number}") for number in range(24)),
        return_exceptions=True,
    )

    assert sum(isinstance(outcome, pb.Schema) for outcome in outcomes) == 20
    assert len(await list_schemas(schemas)) == 20
    with invalid_field("schema"):
        await create_schema(schemas)


async def test_schema_of_another_organization_is_not_found(schemas, users):
    await create_schema(schemas)

    assert await list_schemas(schemas, GLOBEX) == []
    with schema_not_found():
        await get_schema(schemas, organization_id=GLOBEX)
    with schema_not_found():
        await delete_schema(schemas, organization_id=GLOBEX)
    with invalid_field("extensions"):
        await create(users, "ann", GLOBEX, extensions=badge(number="7"))
    await create_schema(schemas, attribute("number", "INTEGER"), organization_id=GLOBEX)
    assert (await get_schema(schemas)).attributes[0].type == pb.Attribute.TYPE_STRING


async def test_schema_is_deleted_only_when_no_user_has_values(schemas, users):
    await create_schema(schemas)
    await create_schema(schemas, organization_id=GLOBEX)
    ann = await create(users, "ann", extensions=badge(number="7"))
    bob = await create(users, "bob", extensions=badge(number="8"))

    with schema_in_use():
        await delete_schema(schemas)
    await update(users, ann.id, BADGE)
    with schema_in_use():
        await delete_schema(schemas, BADGE.upper())
    await delete(users, bob.id)
    await delete_schema(schemas)

    assert await list_schemas(schemas) == []
    assert len(await list_schemas(schemas, GLOBEX)) == 1
    with schema_not_found():
        await delete_schema(schemas)
    with invalid_field("extensions"):
        await update(users, ann.id, "extensions", extensions=badge(number="7"))


async def test_delete_of_schema_waits_for_concurrent_write_of_values(schemas, users, db):
    await create_schema(schemas)
    async with db.transaction():
        await db.execute("LOCK TABLE users IN SHARE MODE")  # writers of users have to wait
        writing = asyncio.create_task(create(users, "ann", extensions=badge(number="7")))
        await _wait_for_lock_waiters(db)
        deleting = asyncio.create_task(delete_schema(schemas))
        await _wait_for_lock_waiters(db, 2)

    await writing
    with schema_in_use():
        await deleting


async def test_write_of_values_waits_for_concurrent_schema_delete(schemas, users, db):
    await create_schema(schemas)
    async with db.transaction():
        await db.execute("SELECT FROM schemas FOR UPDATE")
        await db.execute("DELETE FROM schemas")
        writing = asyncio.create_task(create(users, "ann", extensions=badge(number="7")))
        await _wait_for_lock_waiters(db)

    with invalid_field("extensions"):
        await writing


async def _wait_for_lock_waiters(db, count: int = 1) -> None:
    waiter_count = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"

    async def enough_wait() -> bool:
        return await db.fetchval(waiter_count) >= count

    await eventually(enough_wait)
