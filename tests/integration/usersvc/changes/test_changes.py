"""The feed: the content of each change, the order of changes, and tokens to continue from."""

import asyncio
from datetime import UTC, datetime
from itertools import count
from uuid import UUID, uuid4

import asyncpg
import grpc
import pytest
from cloudacademy.errors.v1.errors_pb2 import Reason
from cloudacademy.users.v1 import changes_pb2, groups_pb2, users_pb2
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from tests.support.usersvc.change_calls import (
    SnapshotState,
    apply,
    kind,
    read_snapshot,
    watch_changes,
)
from tests.support.usersvc.group_calls import (
    change_members,
    create_group,
    delete_group,
    update_group,
)
from tests.support.usersvc.services import running_service
from tests.support.usersvc.user_calls import (
    ACME,
    GLOBEX,
    create,
    delete,
    invalid_field,
    refused,
    update,
)
from tests.support.waiting import eventually, quiescent
from usersvc.background.feed import Batch
from usersvc.domain.changes import Change, ChangeCursor, ChangeType
from usersvc.rpc.convert.change import from_batch

INVALID_TOKEN = (Reason.REASON_INVALID_CHANGE_TOKEN, grpc.StatusCode.INVALID_ARGUMENT)


async def test_created_user_is_reported_with_its_assigned_fields(changes, users, clock):
    async with watch_changes(changes) as reader:
        ann = await create(
            users, "ann@corp.test", name=users_pb2.Name(given_name="Ann"), title="Dr."
        )

        (change,) = await reader.until(1)

    assert change.number > 0
    change.ClearField("number")
    expected = changes_pb2.Change(
        organization_id=ACME,
        type=changes_pb2.Change.TYPE_USER_CREATED,
        resource_id=ann.id,
        etag=ann.etag,
        fields=["user_name", "active", "title", "name.given_name"],
        active=True,
    )
    expected.change_time.FromDatetime(clock.now)
    assert change == expected


async def test_update_reports_the_fields_whose_values_changed(changes, users):
    ann = await create(users, "ann@corp.test", title="Dr.", nick_name="A")
    async with watch_changes(changes) as reader:
        after = await update(
            users, ann.id, title="Prof.", nick_name="A", name=users_pb2.Name(family_name="Li")
        )

        (change,) = await reader.until(1)

    assert kind(change) == "USER_UPDATED"
    assert (list(change.fields), change.etag) == (["title", "name.family_name"], after.etag)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (True, False, "USER_DEACTIVATED"),
        (True, None, "USER_DEACTIVATED"),
        (False, True, "USER_ACTIVATED"),
        (None, True, "USER_ACTIVATED"),
        (False, None, "USER_UPDATED"),
    ],
)
async def test_change_of_active_decides_the_type_of_the_change(
    changes, users, before, after, expected
):
    ann = await create(users, "ann@corp.test")
    if before is not True:
        await update(users, ann.id, "active", active=before)
    async with watch_changes(changes) as reader:
        await update(users, ann.id, "active", "title", active=after, title="Dr.")

        (change,) = await reader.until(1)

    assert (kind(change), change.active) == (expected, after is True)
    assert list(change.fields) == ["active", "title"]


async def test_write_without_a_difference_is_not_reported(changes, users, groups):
    ann = await create(users, "ann@corp.test", title="Dr.")
    staff = await create_group(groups, "Staff", [ann.id])
    async with watch_changes(changes) as reader:
        await update(users, ann.id, title="Dr.")
        await update_group(groups, staff.id, display_name="Staff")
        await change_members(groups, staff.id, add=[ann.id])
        await create(users, "bob@corp.test")

        (change,) = await reader.until(1)

    assert kind(change) == "USER_CREATED"


async def test_refused_write_is_not_reported(changes, users):
    await create(users, "ann@corp.test")
    async with watch_changes(changes) as reader:
        with pytest.raises(grpc.aio.AioRpcError):
            await create(users, "ANN@corp.test")
        bob = await create(users, "bob@corp.test")

        (change,) = await reader.until(1)

    assert change.resource_id == bob.id


async def test_user_deletion_reports_removal_from_groups_first(changes, users, groups):
    ann = await create(users, "ann@corp.test")
    staff = await create_group(groups, "Staff", [ann.id])
    async with watch_changes(changes) as reader:
        await delete(users, ann.id)

        removed, deleted = await reader.until(2)

    assert (kind(removed), removed.resource_id, list(removed.user_ids)) == (
        "MEMBERS_REMOVED", staff.id, [ann.id],
    )  # fmt: skip
    assert (kind(deleted), deleted.resource_id, deleted.etag) == ("USER_DELETED", ann.id, "")


async def test_group_creation_is_reported_before_its_first_members(changes, users, groups):
    ann = await create(users, "ann@corp.test")
    inner = await create_group(groups, "Inner")
    async with watch_changes(changes) as reader:
        staff = await create_group(groups, "Staff", [ann.id, inner.id])

        created, added = await reader.until(2)

    assert (kind(created), created.resource_id, list(created.fields)) == (
        "GROUP_CREATED", staff.id, ["display_name"],
    )  # fmt: skip
    assert (kind(added), list(added.user_ids), list(added.group_ids)) == (
        "MEMBERS_ADDED", [ann.id], [inner.id],
    )  # fmt: skip


async def test_only_members_added_or_removed_are_reported(changes, users, groups):
    ann, bob, cem = [await create(users, f"{name}@corp.test") for name in ("ann", "bob", "cem")]
    staff = await create_group(groups, "Staff", [ann.id, bob.id])
    async with watch_changes(changes) as reader:
        after = await update_group(
            groups,
            staff.id,
            display_name="All staff",
            members=groups_pb2.MemberChange(clear=True, add_member_ids=[bob.id, cem.id]),
        )

        renamed, removed, added = await reader.until(3)

    assert [kind(each) for each in (renamed, removed, added)] == [
        "GROUP_UPDATED", "MEMBERS_REMOVED", "MEMBERS_ADDED",
    ]  # fmt: skip
    assert list(renamed.fields) == ["display_name"]
    assert (list(removed.user_ids), list(added.user_ids)) == ([ann.id], [cem.id])
    assert {each.etag for each in (renamed, removed, added)} == {after.etag}


async def test_added_members_are_reported_in_changes_of_up_to_1000(changes, users, groups):
    ids = [(await create(users, f"u{number}@corp.test")).id for number in range(1_201)]
    async with watch_changes(changes) as reader:
        staff = await create_group(groups, "Staff", ids)
        await delete_group(groups, staff.id)

        reported = await reader.until(4)

    assert [kind(each) for each in reported] == [
        "GROUP_CREATED", "MEMBERS_ADDED", "MEMBERS_ADDED", "GROUP_DELETED",
    ]  # fmt: skip
    assert [len(each.user_ids) for each in reported] == [0, 1_000, 201, 0]
    assert sorted([*reported[1].user_ids, *reported[2].user_ids]) == sorted(ids)


async def test_group_deletion_reports_removal_from_parents_first(changes, groups):
    inner = await create_group(groups, "Inner")
    outer = await create_group(groups, "Outer", [inner.id])
    async with watch_changes(changes) as reader:
        await delete_group(groups, inner.id)

        removed, deleted = await reader.until(2)

    assert (kind(removed), removed.resource_id, list(removed.group_ids)) == (
        "MEMBERS_REMOVED", outer.id, [inner.id],
    )  # fmt: skip
    assert (kind(deleted), deleted.resource_id) == ("GROUP_DELETED", inner.id)


async def test_change_carries_the_id_of_its_request(changes, users):
    async with watch_changes(changes) as reader:
        user = users_pb2.User(user_name="ann@corp.test")
        await users.CreateUser(
            users_pb2.CreateUserRequest(organization_id=ACME, user=user),
            metadata=(("x-request-id", "4f1d"),),
        )

        (change,) = await reader.until(1)

    assert change.request_id == "4f1d"


# Organizations.


async def test_feed_of_one_organization_excludes_others(changes, users):
    async with watch_changes(changes, organization_id=GLOBEX) as reader:
        await create(users, "ann@corp.test", organization_id=ACME)
        bob = await create(users, "bob@corp.test", organization_id=GLOBEX)

        (change,) = await reader.until(1)

    assert change.resource_id == bob.id


async def test_feed_of_all_organizations_is_in_one_order(changes, users):
    async with watch_changes(changes, organization_id=None) as reader:
        created = [
            await create(users, "ann@corp.test", organization_id=ACME),
            await create(users, "bob@corp.test", organization_id=GLOBEX),
            await create(users, "cem@corp.test", organization_id=ACME),
        ]

        reported = await reader.until(3)

    assert [each.resource_id for each in reported] == [user.id for user in created]
    assert [each.organization_id for each in reported] == [ACME, GLOBEX, ACME]


# Continuing from a token.


async def test_feed_continues_after_the_given_token(changes, users):
    async with watch_changes(changes) as reader:
        await create(users, "ann@corp.test")
        await reader.until(1)
        token = reader.token
    later = [(await create(users, f"{name}@corp.test")).id for name in ("bob", "cem")]

    async with watch_changes(changes, token) as reader:
        assert [each.resource_id for each in await reader.until(2)] == later


async def test_reader_far_behind_receives_changes_in_several_messages(changes, users):
    async with watch_changes(changes) as reader:
        token = reader.token
    created = [(await create(users, f"u{number}@corp.test")).id for number in range(450)]

    async with watch_changes(changes, token) as reader:
        assert len(reader.seen) == 200
        assert [each.resource_id for each in await reader.until(450)] == created


async def test_higher_number_committed_first_waits_for_the_lower_one(changes, users, users_url, db):
    """Numbers alone would lose changes: a transaction may take a number early and commit late."""
    slow_writer = await asyncpg.connect(users_url)
    async with watch_changes(changes) as reader:
        transaction = slow_writer.transaction()
        await transaction.start()
        slow_number = await slow_writer.fetchval(
            """
            INSERT INTO changes
                (organization_id, number, type, resource_id, create_time, request_id)
            VALUES ($1, next_change(), 5, $2, now(), '')
            RETURNING number
            """,
            ACME, uuid4(),
        )  # fmt: skip
        ann = await create(users, "ann@corp.test")
        quick_number = await db.fetchval("SELECT max(number) FROM changes")
        assert quick_number > slow_number
        assert await db.fetchval("SELECT change_horizon()") < slow_number
        reported = asyncio.create_task(reader.until(2))
        assert await quiescent(lambda: list(reader.seen), 0.3) == []

        await transaction.commit()
        first, second = await reported
    await slow_writer.close()

    assert (first.number, second.number) == (slow_number, quick_number)
    assert second.resource_id == ann.id


async def test_unused_number_does_not_delay_later_changes(changes, users, users_url):
    rolled_back = await asyncpg.connect(users_url)
    async with watch_changes(changes) as reader:
        transaction = rolled_back.transaction()
        await transaction.start()
        await rolled_back.fetchval("SELECT next_change()")
        await create(users, "ann@corp.test")
        await transaction.rollback()

        assert len(await reader.until(1)) == 1
    await rolled_back.close()


async def test_transaction_with_many_numbers_holds_one_lock(db):
    async with db.transaction():
        await db.fetch("SELECT next_change() FROM generate_series(1, 1000)")
        held = await db.fetchval(
            "SELECT count(*) FROM pg_locks"
            " WHERE locktype = 'advisory' AND objsubid = 1 AND pid = pg_backend_pid()"
        )
    assert held == 1


async def test_other_replica_reports_a_change_without_polling_delay(users_url, clock, changes):
    async with running_service(users_url, clock) as other, watch_changes(changes) as reader:
        began = asyncio.get_running_loop().time()
        for number in range(3):
            await create(other, f"u{number}@corp.test")
            await reader.until(number + 1)
        # Polling alone would take up to a second for each change.
        assert asyncio.get_running_loop().time() - began < 2.5


# Invalid tokens.


@pytest.mark.parametrize("token", ["nonsense", "W10=", "WzEsMl0=", "é"])
async def test_malformed_change_token_is_refused(changes, token):
    with refused(*INVALID_TOKEN):
        async with watch_changes(changes, token):
            pass


async def test_change_token_of_another_organization_is_refused(changes):
    async with watch_changes(changes, organization_id=GLOBEX) as reader:
        token = reader.token
    for organization_id in (ACME, None):
        with refused(*INVALID_TOKEN):
            async with watch_changes(changes, token, organization_id):
                pass


async def test_change_token_of_a_replaced_feed_is_refused(changes, db):
    async with watch_changes(changes) as reader:
        token = reader.token
    await db.execute("UPDATE change_feed SET feed_id = gen_random_uuid()")
    with refused(*INVALID_TOKEN):
        async with watch_changes(changes, token):
            pass


async def test_change_token_from_the_future_is_refused(changes, users, db):
    """As after the restore of a backup that is older than the token."""
    async with watch_changes(changes) as reader:
        for name in ("ann", "bob"):
            await create(users, f"{name}@corp.test")
        await reader.until(2)
        newer_token = reader.token
    await db.execute("SELECT setval('change_number', 1)")
    with refused(*INVALID_TOKEN):
        async with watch_changes(changes, newer_token):
            pass


async def test_watch_without_organization_is_refused_by_field(changes):
    with invalid_field("organization_id"):
        async with watch_changes(changes, organization_id=""):
            pass


# Snapshots.


async def test_snapshot_is_complete_and_its_token_continues_after_it(changes, users, groups):
    ann, bob = [await create(users, f"{name}@corp.test") for name in ("ann", "bob")]
    await create(users, "eve@corp.test", organization_id=GLOBEX)
    inner = await create_group(groups, "Inner", [bob.id])
    staff = await create_group(groups, "Staff", [ann.id, inner.id])

    found = await read_snapshot(changes)
    cem = await create(users, "cem@corp.test")

    assert found.users == {ann.id: ann.etag, bob.id: bob.etag}
    assert found.groups == {inner.id: inner.etag, staff.id: staff.etag}
    assert found.members == {inner.id: {bob.id}, staff.id: {ann.id, inner.id}}
    async with watch_changes(changes, found.token) as reader:
        assert [each.resource_id for each in await reader.until(1)] == [cem.id]


async def test_full_snapshot_contains_every_organization(changes, users):
    ann = await create(users, "ann@corp.test", organization_id=ACME)
    bob = await create(users, "bob@corp.test", organization_id=GLOBEX)

    found = await read_snapshot(changes, None)

    assert found.users.keys() == {ann.id, bob.id}
    async with watch_changes(changes, found.token, None):
        pass


async def test_snapshot_during_writes_loses_and_repeats_no_change(changes, users, groups, db):
    snapshots_read = asyncio.Event()

    async def write(writer: int) -> None:
        staff = await create_group(groups, f"Staff {writer}")
        for number in count():
            if number >= 12 and snapshots_read.is_set():
                return
            user = await create(users, f"u{number}@w{writer}.test")
            await change_members(groups, staff.id, add=[user.id])
            await update(users, user.id, title="Dr.")
            if number % 3 == 0:
                await delete(users, user.id)

    async with asyncio.TaskGroup() as writers:
        for writer in range(4):
            writers.create_task(write(writer))
        states = []
        while len(states) < 3:
            state = await read_snapshot(changes)
            if state.users:  # the writers have started, and continue until all snapshots are read
                states.append(state)
        snapshots_read.set()
    await create(users, "last@corp.test")  # so that changes follow each snapshot
    end = await db.fetchval("SELECT last_value FROM change_number")

    final = await read_snapshot(changes)
    for state in states:
        assert state.users
        async with watch_changes(changes, state.token) as reader:
            while not reader.seen or reader.seen[-1].number < end:
                await reader.more()
        for change in reader.seen:
            apply(change, state)
        assert _contents(state) == _contents(final)


async def test_snapshots_over_the_limit_are_refused_with_retry(changes, users, db):
    await create(users, "ann@corp.test")
    async with db.transaction():
        await db.execute("LOCK TABLE users")  # readers of users have to wait
        running = [asyncio.create_task(read_snapshot(changes)) for _ in range(2)]
        waiter_count = "SELECT count(*) FROM pg_locks WHERE NOT granted"

        async def both_wait() -> bool:
            return await db.fetchval(waiter_count) >= 2

        await eventually(both_wait)

        with refused(Reason.REASON_SNAPSHOTS_BUSY, grpc.StatusCode.UNAVAILABLE) as caught:
            await read_snapshot(changes)

    details = rpc_status.from_call(caught.error).details
    assert any(detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for detail in details)
    for found in await asyncio.gather(*running):
        assert len(found.users) == 1
    assert await read_snapshot(changes)


def _contents(state: SnapshotState) -> tuple[object, ...]:
    return state.users, state.groups, state.members


# Notifications.


@pytest.fixture
def no_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disable polling, so that changes are reported only after a notification."""
    monkeypatch.setattr("usersvc.background.feed.POLL_SECONDS", 600.0)


async def test_every_kind_of_write_sends_a_notification(no_polling, changes, users, groups):
    async with watch_changes(changes) as reader:
        ann = await create(users, "ann@corp.test")
        await reader.until(1)
        await update(users, ann.id, title="Dr.")
        await reader.until(2)
        staff = await create_group(groups, "Staff")
        await reader.until(3)
        await change_members(groups, staff.id, add=[ann.id])
        await reader.until(4)
        await delete_group(groups, staff.id)
        await reader.until(5)
        await delete(users, ann.id)
        await reader.until(6)


async def test_change_token_has_the_number_of_an_existing_change(changes, users, db):
    """After a crash the sequence repeats numbers whose transactions did not commit."""
    await create(users, "ann@corp.test")
    for _ in range(3):
        with pytest.raises(grpc.aio.AioRpcError):
            await create(users, "ANN@corp.test")
    last = await db.fetchval("SELECT max(number) FROM changes")
    await db.execute("SELECT nextval('change_number') FROM generate_series(1, 5)")
    async with watch_changes(changes) as reader:
        cursor = ChangeCursor.from_token(reader.token, UUID(ACME))
    assert cursor.number == last


def test_split_batch_keeps_the_seen_numbers_after_each_part():
    start = ChangeCursor(uuid4(), UUID(ACME), 0, frozenset({150, 190}))
    batch = [
        Change(
            UUID(ACME), number, ChangeType.MEMBERS_ADDED, uuid4(), 1, (), False,
            tuple(uuid4() for _ in range(1_000)), (), datetime.now(UTC), "",
        )
        for number in range(1, 201)
        if number not in start.seen
    ]  # fmt: skip
    parts = list(from_batch(Batch(batch, start, start.after(200, None))))
    first, token = parts[0]
    assert len(parts) > 1
    cursor = ChangeCursor.from_token(token, UUID(ACME))
    assert cursor.number == first[-1].number
    assert cursor.seen == {number for number in (150, 190) if number > cursor.number}
