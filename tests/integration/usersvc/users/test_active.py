"""`active` may be left without a value; the user may then not sign in."""

from tests.support.usersvc.user_calls import (
    compare,
    create,
    get,
    list_users,
    negation,
    present,
    update,
    user_names,
)


async def test_new_user_is_active_by_default(users):
    ann = await create(users, "ann")
    bob = await create(users, "bob", active=False)
    assert (ann.active, bob.active) == (True, False)


async def test_update_with_active_in_mask_and_no_value_clears_it(users):
    ann = await create(users, "ann")
    updated = await update(users, ann.id, "active")
    assert (updated.HasField("active"), updated.etag) == (False, "2")
    assert await get(users, ann.id) == updated


async def test_update_without_active_in_mask_keeps_it(users):
    ann = await create(users, "ann", active=False)
    updated = await update(users, ann.id, "title", title="Engineer", active=True)
    assert (updated.HasField("active"), updated.active) == (True, False)


async def test_user_without_active_is_inactive_in_every_filter(users):
    people = [await create(users, name, active=name != "bob") for name in ("ann", "bob", "cat")]
    await update(users, people[2].id, "active")
    assert await user_names(users, compare("active", "EQUAL", True)) == ["ann"]
    assert await user_names(users, compare("active", "EQUAL", False)) == ["bob", "cat"]
    assert await user_names(users, compare("active", "NOT_EQUAL", False)) == ["ann"]
    assert await user_names(users, compare("active", "NOT_EQUAL", True)) == ["bob", "cat"]
    assert await user_names(users, negation(present("active"))) == ["cat"]


async def test_users_without_active_sort_last_and_first_if_descending(users):
    people = [await create(users, name, active=name != "bob") for name in ("ann", "bob", "cat")]
    await update(users, people[0].id, "active")
    for order, expected in (
        ("active", ["bob", "cat", "ann"]),
        ("active desc", ["ann", "cat", "bob"]),
    ):
        found, token = [], ""
        while not found or token:
            page = await list_users(users, order_by=order, page_size=1, page_token=token)
            found += [user.user_name for user in page.users]
            token = page.next_page_token
        assert found == expected
