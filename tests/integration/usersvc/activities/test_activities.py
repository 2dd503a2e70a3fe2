"""The provisioning log: changes, refused requests, and the deletion of personal data."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import grpc
import pytest
from cloudacademy.errors.v1.errors_pb2 import Reason
from cloudacademy.users.v1 import activity_pb2, groups_pb2, users_pb2
from cloudacademy.users.v1.activity_pb2 import Activity, FieldChange

from chassis.database.pool import Database
from chassis.rpc.timestamps import to_timestamp
from tests.support.usersvc.activity_calls import (
    list_activities,
    record_refusal,
    roll_up,
)
from tests.support.usersvc.database_clock import retention_at
from tests.support.usersvc.entry_numbers import number_by_create_time
from tests.support.usersvc.group_calls import change_members, create_group
from tests.support.usersvc.user_calls import (
    ACME,
    GLOBEX,
    create,
    delete,
    invalid_field,
    refused,
    update,
)
from usersvc.store.activities.refusals import RefusalStore

KEY = str(uuid4())
SUCCESS = activity_pb2.ListActivitiesRequest.RESULT_SUCCESS
REFUSED = activity_pb2.ListActivitiesRequest.RESULT_REFUSED
ADMINISTRATOR = [users_pb2.TypedValue(value="administrator")]


def name(activity: Activity) -> str:
    return Activity.Action.Name(activity.action).removeprefix("ACTION_")


async def test_update_is_logged_with_old_and_new_values_and_its_key(activities, users, clock):
    ann = await create(users, "ann@corp.test", title="Dr.")
    await users.UpdateUser(
        users_pb2.UpdateUserRequest(
            organization_id=ACME,
            user=users_pb2.User(
                id=ann.id, emails=[users_pb2.TypedValue(value="a@corp.test", type="work")]
            ),
            update_mask={"paths": ["title", "emails"]},
        ),
        metadata=(("x-request-id", "4f1d"), ("x-key-id", KEY)),
    )

    first, _ = await list_activities(activities)

    assert first.id
    first.ClearField("id")
    assert first == Activity(
        organization_id=ACME,
        time=to_timestamp(clock.now),
        action=Activity.ACTION_UPDATE_USER,
        resource_id=ann.id,
        resource_name="ann@corp.test",
        fields=[
            FieldChange(field="title", old_value="Dr."),
            FieldChange(field="emails", new_value='[{"value": "a@corp.test", "type": "work"}]'),
        ],
        request_id="4f1d",
        key_id=KEY,
    )


async def test_every_entry_has_the_client_of_its_request(activities, users, groups, clock):
    okta = {"metadata": (("x-client", "Okta"),)}
    user = users_pb2.User(user_name="ann@corp.test")
    created = await users.CreateUser(
        users_pb2.CreateUserRequest(organization_id=ACME, user=user), **okta
    )
    ann = created.user
    change = users_pb2.User(id=ann.id, title="Dr.")
    await users.UpdateUser(
        users_pb2.UpdateUserRequest(
            organization_id=ACME, user=change, update_mask={"paths": ["title"]}
        ),
        **okta,
    )
    staff = groups_pb2.Group(display_name="Staff")
    request = groups_pb2.CreateGroupRequest(organization_id=ACME, group=staff, member_ids=[ann.id])
    staff = (await groups.CreateGroup(request, **okta)).group
    crew = groups_pb2.CreateGroupRequest(
        organization_id=ACME, group=groups_pb2.Group(display_name="Crew"), member_ids=[staff.id]
    )
    await groups.CreateGroup(crew, **okta)
    removal = groups_pb2.UpdateGroupRequest(
        organization_id=ACME,
        group=groups_pb2.Group(id=staff.id, display_name="All"),
        update_mask={"paths": ["display_name"]},
    )
    await groups.UpdateGroup(removal, **okta)
    await users.DeleteUser(
        users_pb2.DeleteUserRequest(organization_id=ACME, user_id=ann.id), **okta
    )
    await groups.DeleteGroup(
        groups_pb2.DeleteGroupRequest(organization_id=ACME, group_id=staff.id), **okta
    )
    await record_refusal(activities, clock, client="Okta")

    entries = await list_activities(activities)

    assert {name(each) for each in entries} >= {
        "CREATE_USER", "UPDATE_USER", "DELETE_USER", "CREATE_GROUP", "UPDATE_GROUP",
        "DELETE_GROUP", "ADD_MEMBERS", "REMOVE_MEMBERS",
    }  # fmt: skip
    assert {(name(each), each.client) for each in entries if each.client != "Okta"} == set()


async def test_client_name_in_metadata_is_cut(activities, users):
    user = users_pb2.User(user_name="ann@corp.test")
    await users.CreateUser(
        users_pb2.CreateUserRequest(organization_id=ACME, user=user),
        metadata=(("x-client", "x" * 1_000),),
    )

    (entry,) = await list_activities(activities)

    assert entry.client == "x" * 40


async def test_log_lists_newest_entries_first(activities, users, groups, clock):
    ann = await create(users, "ann@corp.test")
    steps = [
        update(users, ann.id, "active", active=False),
        update(users, ann.id, "active", active=True),
        create_group(groups, "Staff", [ann.id]),
        delete(users, ann.id),
    ]
    for step in steps:
        clock.advance(seconds=1)
        await step

    assert [name(each) for each in await list_activities(activities)] == [
        "DELETE_USER", "REMOVE_MEMBERS", "ADD_MEMBERS", "CREATE_GROUP", "RESTORE_USER",
        "DISABLE_USER", "CREATE_USER",
    ]  # fmt: skip


async def test_logged_members_have_names_and_are_limited_to_100(activities, users, groups):
    staff = await create_group(groups, "Staff")
    ids = [(await create(users, f"u{number:03}@corp.test")).id for number in range(120)]
    await change_members(groups, staff.id, add=ids)

    (entry,) = await list_activities(activities, actions=[Activity.ACTION_ADD_MEMBERS])

    assert (entry.member_count, len(entry.members)) == (120, 100)
    assert entry.resource_name == "Staff"
    assert {member.name for member in entry.members} <= {f"u{n:03}@corp.test" for n in range(120)}


async def test_refused_requests_are_listed_among_changes_by_time(activities, users, clock):
    await create(users, "ann@corp.test")
    clock.advance(seconds=1)
    await record_refusal(
        activities, clock, resource_name="ann@corp.test", key_id=KEY, request_id="77"
    )
    clock.advance(seconds=1)
    await create(users, "bob@corp.test")

    _, entry, _ = await list_activities(activities)

    assert entry.refused
    assert (name(entry), entry.resource_name, entry.key_id) == (
        "CREATE_USER", "ann@corp.test", KEY,
    )  # fmt: skip
    assert (entry.refusal.status, entry.refusal.detail) == (409, "Taken.")
    request = activity_pb2.GetActivityRequest(organization_id=ACME, id=entry.id)
    assert (await activities.GetActivity(request)).activity == entry


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"text": "ANN"}, ["UPDATE_USER", "CREATE_USER"]),
        ({"text": "nobody"}, []),
        ({"actions": [Activity.ACTION_UPDATE_USER]}, ["UPDATE_USER"]),
        ({"result": REFUSED}, ["OTHER"]),
        ({"result": SUCCESS, "text": "bob"}, ["CREATE_USER"]),
        ({"request_id": "77"}, ["OTHER"]),
        ({"actions": [Activity.ACTION_OTHER], "result": SUCCESS}, []),
    ],
)  # fmt: skip
async def test_log_search_finds_matching_entries(activities, users, clock, wanted, found):
    ann = await create(users, "ann@corp.test")
    await create(users, "bob@corp.test")
    await update(users, ann.id, title="Dr.")
    clock.advance(seconds=1)
    await record_refusal(activities, clock, action=Activity.ACTION_OTHER, request_id="77")

    assert [name(each) for each in await list_activities(activities, **wanted)] == found


async def test_log_of_one_user_is_found_by_id(activities, users):
    ann, bob = [await create(users, f"{each}@corp.test") for each in ("ann", "bob")]
    await update(users, ann.id, title="Dr.")
    await update(users, bob.id, title="Dr.")

    entries = await list_activities(activities, resource_id=ann.id)

    assert [name(each) for each in entries] == ["UPDATE_USER", "CREATE_USER"]


async def test_renamed_user_is_found_by_both_names(activities, users, users_url):
    ann = await create(users, "ann@corp.test")
    await update(users, ann.id, user_name="ann.li@corp.test")

    async def found(text: str) -> list[str]:
        return [name(each) for each in await list_activities(activities, text=text)]

    both = ["UPDATE_USER", "CREATE_USER"]
    assert [await found("ann@"), await found("ann.li@")] == [both, both]
    await roll_up(users_url)
    assert [await found("ann@"), await found("ann.li@")] == [both, both]


async def test_log_list_is_limited_to_a_time_range(activities, users, clock, db):
    for each in range(4):
        await create(users, f"u{each}@corp.test")
        clock.advance(hours=1)
    await number_by_create_time(db)
    start, end = clock.now - timedelta(hours=3), clock.now - timedelta(hours=1)

    entries = await list_activities(
        activities, start_time=to_timestamp(start), end_time=to_timestamp(end)
    )

    assert [each.resource_name for each in entries] == ["u2@corp.test", "u1@corp.test"]


async def test_log_pages_are_stable_while_the_log_grows(activities, users, clock):
    for each in range(5):
        await create(users, f"u{each}@corp.test")
        await record_refusal(activities, clock, action=Activity.ACTION_OTHER)
        clock.advance(seconds=each % 2)
    seen, token = [], ""
    while True:
        request = activity_pb2.ListActivitiesRequest(
            organization_id=ACME, page_size=3, page_token=token
        )
        page = await activities.ListActivities(request)
        seen += [each.id for each in page.activities]
        await create(users, f"new{len(seen)}@corp.test")
        token = page.next_page_token
        if not token:
            break

    assert len(seen) == len(set(seen)) == 10


async def test_log_page_token_of_another_search_is_refused(activities, users):
    for each in range(3):
        await create(users, f"u{each}@corp.test")
    request = activity_pb2.ListActivitiesRequest(organization_id=ACME, page_size=1)
    token = (await activities.ListActivities(request)).next_page_token

    for other in ({"text": "u"}, {"organization_id": GLOBEX}):
        with refused(Reason.REASON_INVALID_PAGE_TOKEN, grpc.StatusCode.INVALID_ARGUMENT):
            await list_activities(activities, **{"page_token": token, **other})


async def test_log_excludes_other_organizations(activities, users, clock):
    await create(users, "ann@corp.test")
    await record_refusal(activities, clock)
    (entry, _) = await list_activities(activities)

    assert await list_activities(activities, GLOBEX) == []
    with refused(Reason.REASON_ACTIVITY_NOT_FOUND, grpc.StatusCode.NOT_FOUND):
        await activities.GetActivity(
            activity_pb2.GetActivityRequest(organization_id=GLOBEX, id=entry.id)
        )


async def test_user_deletion_removes_names_and_values_from_log(activities, users, clock, db):
    ann = await create(users, "Ann@corp.test", title="Secret title")
    await update(users, ann.id, title="Secret name")
    await record_refusal(activities, clock, resource_name="ANN@corp.test")
    await record_refusal(activities, clock, resource_id=ann.id)
    await create(users, "bob@corp.test")
    await delete(users, ann.id)

    entries = await list_activities(activities, resource_id=ann.id)

    assert [name(each) for each in entries if not each.refused] == [
        "DELETE_USER", "UPDATE_USER", "CREATE_USER",
    ]  # fmt: skip
    for table in ("changes", "refusals"):
        kept = str(await db.fetch(f"SELECT * FROM {table}")).lower()
        assert "ann" not in kept
        assert "secret" not in kept


async def test_user_deletion_removes_names_from_refused_requests(activities, users, clock, db):
    first = [users_pb2.TypedValue(value="Li@corp.test")]
    ann = await create(users, "ann@corp.test", emails=first)
    bob = await create(users, "bob@corp.test")
    renamed = {"body": '{"value": "ANN@corp.test"}', "detail": "ann@corp.test is taken."}
    await record_refusal(activities, clock, resource_id=bob.id, refusal=renamed)
    await record_refusal(
        activities, clock, refusal={"body": '{"emails":[{"value":"li@CORP.test"}]}'}
    )
    await update(users, ann.id, user_name="ann.li@corp.test")
    await record_refusal(activities, clock, refusal={"body": '{"userName":"carl@corp.test"}'})
    await delete(users, ann.id)
    # This refusal is reported after the deletion, as reports may arrive late.
    late = {"body": '{"title":"ann of old"}'}
    await record_refusal(activities, clock, resource_id=ann.id, resource_name="ann", refusal=late)

    kept = str(await db.fetch("SELECT * FROM refusals") + await db.fetch("SELECT * FROM changes"))

    assert "ann" not in kept.lower()
    assert "li@" not in kept.lower()
    assert "carl@corp.test" in kept


# The last administrator.


async def lost(activities) -> list[bool]:
    return [each.last_administrator_lost for each in await list_activities(activities)]


@pytest.mark.parametrize("how", ["disabled", "demoted", "deleted"])
async def test_log_marks_the_loss_of_the_last_administrator(activities, users, how):
    await create(users, "bob@corp.test", roles=ADMINISTRATOR, active=False)
    ann, cem = [
        await create(users, f"{each}@corp.test", roles=ADMINISTRATOR) for each in ("ann", "cem")
    ]
    for user in (ann, cem):
        if how == "disabled":
            await update(users, user.id, "active", active=False)
        elif how == "demoted":
            await update(users, user.id, "roles")
        else:
            await delete(users, user.id)

    assert await lost(activities) == [True, False, False, False, False]


async def test_administrator_of_another_organization_does_not_count(activities, users):
    await create(users, "eve@corp.test", GLOBEX, roles=ADMINISTRATOR)
    ann = await create(users, "ann@corp.test", roles=ADMINISTRATOR)
    await update(users, ann.id, "active", active=False)

    assert await lost(activities) == [True, False]


# Counts and provisioning cycles.


async def test_hourly_counts_include_hours_without_entries(activities, users, clock):
    clock.now = datetime(2026, 11, 23, 10, 30, tzinfo=UTC)
    await create(users, "ann@corp.test")
    await record_refusal(activities, clock)
    clock.advance(hours=2)
    await record_refusal(activities, clock, action=Activity.ACTION_AUTHENTICATE)

    request = activity_pb2.CountActivitiesRequest(
        organization_id=ACME,
        start_time=to_timestamp(datetime(2026, 11, 23, 10, tzinfo=UTC)),
        end_time=to_timestamp(datetime(2026, 11, 23, 13, tzinfo=UTC)),
        width=activity_pb2.CountActivitiesRequest.WIDTH_HOUR,
    )
    counts = (await activities.CountActivities(request)).counts

    assert [(each.succeeded, each.refused, each.rejected_keys) for each in counts] == [
        (1, 1, 0), (0, 0, 0), (0, 0, 1),
    ]  # fmt: skip


async def test_count_of_too_many_hours_is_refused(activities, clock):
    request = activity_pb2.CountActivitiesRequest(
        organization_id=ACME,
        start_time=to_timestamp(clock.now - timedelta(days=32)),
        end_time=to_timestamp(clock.now),
    )
    with invalid_field("end_time"):
        await activities.CountActivities(request)


async def test_ten_minutes_without_entries_end_a_cycle(activities, users, clock):
    began = clock.now
    for each in range(3):
        await create(users, f"u{each}@corp.test")
        clock.advance(minutes=8)
    await record_refusal(activities, clock)
    first_ended = clock.now
    clock.advance(minutes=40)
    await create(users, "last@corp.test")

    request = activity_pb2.ListCyclesRequest(organization_id=ACME)
    latest, first = (await activities.ListCycles(request)).cycles

    assert (first.start_time, first.end_time) == (to_timestamp(began), to_timestamp(first_ended))
    assert (first.succeeded, first.refused) == (3, 1)
    assert (latest.start_time, latest.succeeded, latest.refused) == (to_timestamp(clock.now), 1, 0)


# Limits.


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"refusal": {"body": "x" * 4_097}}, "refusal.body"),
        ({"refusal": {"detail": "\0"}}, "refusal.detail"),
        ({"resource_id": "nonsense"}, "resource_id"),
        ({"organization_id": ""}, "organization_id"),
        ({"resource_name": "x" * 1_025}, "resource_name"),
    ],
)
async def test_invalid_refusal_is_not_recorded(activities, clock, fields, field):
    with invalid_field(field):
        await record_refusal(activities, clock, **fields)


async def test_refusal_reported_again_is_logged_once(activities, clock):
    report, other = str(uuid4()), str(uuid4())
    for request_id, report_id in (
        ("1", report),
        ("2", other),
        ("again", report),
        ("", ""),
        ("", ""),
    ):
        await record_refusal(activities, clock, request_id=request_id, report_id=report_id)
    await record_refusal(activities, clock, GLOBEX, request_id="theirs", report_id=report)

    assert [each.request_id for each in await list_activities(activities)] == ["", "", "2", "1"]
    assert [each.request_id for each in await list_activities(activities, GLOBEX)] == ["theirs"]
    assert {each.report_id for each in await list_activities(activities)} == {""}


async def test_concurrent_reports_of_one_refusal_are_logged_once(activities, clock):
    whose = {"request_id": "1", "report_id": str(uuid4())}

    await asyncio.gather(*(record_refusal(activities, clock, **whose) for _ in range(8)))

    assert [each.request_id for each in await list_activities(activities)] == ["1"]


async def test_more_than_100_refusals_in_one_report_are_refused(activities):
    request = activity_pb2.RecordRefusalsRequest(activities=[Activity()] * 101)
    with invalid_field("activities"):
        await activities.RecordRefusals(request)


async def test_retention_deletes_old_refusals_and_the_oldest_over_limit(
    activities, users_url, clock, monkeypatch
):
    for each in range(5):
        await record_refusal(activities, clock, request_id=str(each))
        clock.advance(days=1)
    await record_refusal(activities, clock, GLOBEX)
    monkeypatch.setattr("usersvc.store.activities.refusals.MAX_REFUSALS", 2)

    async with Database(users_url, "test") as database:
        store = RefusalStore(database)
        assert await store.delete_expired(retention_at(clock.now + timedelta(days=26))) == 3
        assert await store.delete_expired() == 0

    assert [each.request_id for each in await list_activities(activities)] == ["4", "3"]
    assert len(await list_activities(activities, GLOBEX)) == 1
