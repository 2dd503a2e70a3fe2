"""Whether a user may sign in can be left open: then the user may not."""

from tests.support.usersvc.user_calls import (
    compare,
    create,
    get,
    list_users,
    names,
    negation,
    present,
    update,
)


async def test_a_new_user_is_active_unless_it_says_otherwise(users):
    ann = await create(users, "ann")
    bob = await create(users, "bob", active=False)
    assert (ann.active, bob.active) == (True, False)


async def test_an_update_that_names_active_and_does_not_give_it_leaves_no_value(users):
    ann = await create(users, "ann")
    updated = await update(users, ann.id, "active")
    assert (updated.HasField("active"), updated.etag) == (False, "2")
    assert await get(users, ann.id) == updated


async def test_an_update_that_does_not_name_active_leaves_it_alone(users):
    ann = await create(users, "ann", active=False)
    updated = await update(users, ann.id, "title", title="Engineer", active=True)
    assert (updated.HasField("active"), updated.active) == (True, False)


async def test_who_has_no_value_is_neither_active_nor_inactive(users):
    people = [await create(users, name, active=name != "bob") for name in ("ann", "bob", "cat")]
    await update(users, people[2].id, "active")
    assert await names(users, compare("active", "EQUAL", True)) == ["ann"]
    assert await names(users, compare("active", "EQUAL", False)) == ["bob"]
    assert await names(users, compare("active", "NOT_EQUAL", True)) == ["bob", "cat"]
    assert await names(users, negation(present("active"))) == ["cat"]


async def test_who_has_no_value_is_sorted_last_or_downwards_first_on_pages_of_any_size(users):
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
