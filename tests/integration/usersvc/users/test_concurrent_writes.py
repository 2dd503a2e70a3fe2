"""Concurrent writes of users."""

import asyncio

from cloudacademy.users.v1.users_pb2 import Name, TypedValue

from tests.support.rpc_outcomes import outcomes
from tests.support.usersvc.user_calls import (
    compare,
    create,
    delete,
    get,
    list_users,
    update,
    user_names,
)


async def test_concurrent_updates_of_different_fields_all_persist(users):
    user = await create(users, "ann")
    texts = ("external_id", "display_name", "nick_name", "title", "user_type", "locale", "timezone")

    async def writer(field: str) -> None:
        for number in range(10):
            await update(users, user.id, **{field: f"{field} {number}"})

    async def name_writer(part: str) -> None:
        for number in range(10):
            await update(users, user.id, f"name.{part}", name=Name(**{part: str(number)}))

    await asyncio.gather(
        *(writer(field) for field in texts), name_writer("given_name"), name_writer("family_name")
    )
    found = await get(users, user.id)
    assert [getattr(found, field) for field in texts] == [f"{field} 9" for field in texts]
    assert found.name == Name(given_name="9", family_name="9")
    assert found.etag == "91"


async def test_of_concurrent_updates_with_one_etag_one_succeeds(users):
    user = await create(users, "ann")
    calls = [update(users, user.id, title=f"{number}", etag=user.etag) for number in range(8)]
    assert await outcomes(*calls) == ["ETAG_MISMATCH"] * 7 + ["OK"]
    assert (await get(users, user.id)).etag == "2"


async def test_of_concurrent_creates_of_one_name_one_succeeds(users):
    calls = [create(users, name) for name in ("ann", "ANN", "Ann", "aNN")]
    assert await outcomes(*calls) == ["OK"] + ["USER_NAME_TAKEN"] * 3
    assert len((await list_users(users)).users) == 1


async def test_of_concurrent_deletes_of_one_user_one_succeeds(users):
    user = await create(users, "ann")
    calls = [delete(users, user.id) for _ in range(4)]
    assert await outcomes(*calls) == ["OK"] + ["USER_NOT_FOUND"] * 3


async def test_delete_concurrent_with_updates_removes_email_addresses(users, db):
    for round_ in range(10):
        user = await create(users, f"ann{round_}", emails=[TypedValue(value="first")])
        changes = [
            update(users, user.id, emails=[TypedValue(value=f"{number}")]) for number in range(4)
        ]
        await outcomes(*changes, delete(users, user.id))
    assert await db.fetch("SELECT user_id FROM user_email") == []


async def test_concurrent_email_updates_leave_index_of_the_last_one(users):
    user = await create(users, "ann", emails=[TypedValue(value="first")])
    addresses = [f"{number}@acme.test" for number in range(12)]
    await asyncio.gather(
        *(update(users, user.id, emails=[TypedValue(value=address)]) for address in addresses)
    )
    last = (await get(users, user.id)).emails[0].value
    found = [
        address
        for address in ["first", *addresses]
        if await user_names(users, compare("emails.value", "EQUAL", address))
    ]
    assert found == [last]
