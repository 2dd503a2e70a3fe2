"""Concurrent writes of groups."""

import asyncio

import grpc

from chassis.rpc.status import from_rpc_error
from tests.support.usersvc.group_calls import (
    change_members,
    create_group,
    delete_group,
    get_group,
    groups_of,
    members,
    update_group,
)
from tests.support.usersvc.user_calls import create, delete


async def outcomes(*calls) -> list[str]:
    """OK or the reason of each of several concurrent calls, in the order of the calls."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        assert not isinstance(result, Exception) or isinstance(result, grpc.aio.AioRpcError)
    return [
        from_rpc_error(result).reason if isinstance(result, grpc.aio.AioRpcError) else "OK"
        for result in results
    ]


async def test_concurrent_changes_of_different_members_all_persist(users, groups):
    people = [(await create(users, f"user{n}")).id for n in range(40)]
    to_add, to_remove = people[:20], people[20:]
    group = await create_group(groups, "Team", to_remove)
    await asyncio.gather(
        *(change_members(groups, group.id, add=[user_id]) for user_id in to_add),
        *(change_members(groups, group.id, remove=[user_id]) for user_id in to_remove),
        *(update_group(groups, group.id, external_id=str(n)) for n in range(10)),
    )
    assert await members(groups, group.id) == to_add
    assert (await get_group(groups, group.id)).etag == "51"


async def test_concurrent_adds_of_one_member_make_one_new_version(users, groups):
    ann = await create(users, "ann")
    group = await create_group(groups, "Team")
    await asyncio.gather(*(change_members(groups, group.id, add=[ann.id]) for _ in range(16)))
    assert (await get_group(groups, group.id)).etag == "2"


async def test_of_concurrent_updates_with_one_etag_one_succeeds(users, groups):
    people = [(await create(users, f"user{n}")).id for n in range(8)]
    group = await create_group(groups, "Team")
    calls = [change_members(groups, group.id, add=[each], etag=group.etag) for each in people]
    assert sorted(await outcomes(*calls)) == ["ETAG_MISMATCH"] * 7 + ["OK"]
    assert len(await members(groups, group.id)) == 1


async def test_two_concurrent_nestings_never_form_a_cycle(groups):
    for _ in range(20):
        one = await create_group(groups, "One")
        two = await create_group(groups, "Two")
        found = await outcomes(
            change_members(groups, one.id, add=[two.id]),
            change_members(groups, two.id, add=[one.id]),
        )
        assert sorted(found) == ["GROUP_CYCLE", "OK"]


async def test_many_concurrent_nestings_never_form_a_long_cycle(groups):
    ring = [await create_group(groups, f"Group {n}") for n in range(6)]
    pairs = zip(ring, [*ring[1:], ring[0]], strict=True)
    calls = [change_members(groups, outer.id, add=[inner.id]) for outer, inner in pairs]
    assert sorted(await outcomes(*calls)) == ["GROUP_CYCLE", *["OK"] * 5]


async def test_user_deleted_while_joining_a_group_is_in_no_group(users, groups, db):
    teams = [await create_group(groups, f"Team {n}") for n in range(4)]
    for number in range(20):
        user = await create(users, f"user{number}")
        *joined, deleted = await outcomes(
            *(change_members(groups, team.id, add=[user.id]) for team in teams),
            delete(users, user.id),
        )
        assert deleted == "OK"
        assert {*joined} <= {"OK", "MEMBER_NOT_FOUND"}
    assert [await members(groups, team.id) for team in teams] == [[]] * 4


async def test_members_deleted_while_replaced_are_in_no_group(users, groups):
    team = await create_group(groups, "Team")
    for number in range(10):
        people = [(await create(users, f"user{number}-{n}")).id for n in range(6)]
        await change_members(groups, team.id, clear=True, add=people)
        found = await outcomes(
            *(delete(users, user_id) for user_id in people[::-1]),
            *(change_members(groups, team.id, clear=True, add=people) for _ in range(3)),
            change_members(groups, team.id, clear=True),
        )
        assert {*found} <= {"OK", "MEMBER_NOT_FOUND"}
        assert await members(groups, team.id) == []


async def test_members_of_many_groups_can_be_deleted_concurrently(users, groups):
    people = [(await create(users, f"user{n}")).id for n in range(12)]
    teams = [await create_group(groups, f"Team {n}", people) for n in range(6)]
    assert {*await outcomes(*(delete(users, user_id) for user_id in people))} == {"OK"}
    after = [await get_group(groups, team.id) for team in teams]
    assert [team.etag for team in after] == ["13"] * 6


async def test_concurrent_group_deletes_and_nestings_leave_no_rows(users, groups, db):
    ann = await create(users, "ann")
    for _ in range(10):
        inner = await create_group(groups, "Inner", [ann.id])
        parents = [await create_group(groups, f"Parent {n}", [ann.id]) for n in range(4)]
        await change_members(groups, parents[0].id, add=[inner.id])
        found = await outcomes(
            *(change_members(groups, parent.id, add=[inner.id]) for parent in parents),
            delete_group(groups, inner.id),
            delete_group(groups, parents[0].id),
            change_members(groups, inner.id, clear=True),
        )
        assert {*found} <= {"OK", "MEMBER_NOT_FOUND", "GROUP_NOT_FOUND"}
        assert [await members(groups, parent.id) for parent in parents[1:]] == [[ann.id]] * 3
    assert await db.fetchval("SELECT count(*) FROM group_groups") == 0


async def test_user_and_its_groups_can_be_deleted_concurrently(users, groups, db):
    for number in range(10):
        user = await create(users, f"user{number}")
        inner = await create_group(groups, "Inner", [user.id])
        outer = await create_group(groups, "Outer", [user.id, inner.id])
        found = await outcomes(
            delete(users, user.id), delete_group(groups, outer.id), delete_group(groups, inner.id)
        )
        assert found == ["OK"] * 3
    assert await db.fetchval("SELECT count(*) FROM group_members") == 0


async def test_groups_of_a_user_include_a_concurrent_nesting_or_not(users, groups):
    ann = await create(users, "ann")
    inner = await create_group(groups, "Inner", [ann.id])
    outer = await create_group(groups, "Outer")
    _, *seen = await asyncio.gather(
        change_members(groups, outer.id, add=[inner.id]),
        *(groups_of(users, ann.id) for _ in range(10)),
    )
    assert {len(each) for each in seen} <= {1, 2}
