"""Searches of the log by name: parts and beginnings, frequent and rare names, former names."""

import pytest
from cloudacademy.users.v1 import activity_pb2

from tests.support.usersvc.activity_calls import list_activities, record_refusal, roll_up
from tests.support.usersvc.group_calls import create_group, delete_group, update_group
from tests.support.usersvc.user_calls import ACME, GLOBEX, create, delete, update

SEARCH = "usersvc.store.activities.search"
SUCCESS = activity_pb2.ListActivitiesRequest.RESULT_SUCCESS
REFUSED = activity_pb2.ListActivitiesRequest.RESULT_REFUSED


@pytest.fixture(params=["by names", "by reading the log"])
def rare(request, monkeypatch):
    """Treat every name as rare: search beyond the newest entry, by names or by reading the log."""
    monkeypatch.setattr(f"{SEARCH}.RECENT_ENTRIES", 1)
    if request.param == "by reading the log":
        monkeypatch.setattr(f"{SEARCH}.MAX_RESOURCES", 0)


async def found(activities, text: str, **fields: object) -> list[str]:
    return [each.resource_name for each in await list_activities(activities, text=text, **fields)]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("NN@CO", ["ann@corp.test"]),
        ("corp", ["100%_\\@corp.test", "мюллер@corp.test", "ann@corp.test"]),
        ("ЮЛЛ", ["мюллер@corp.test"]),
        ("00%_\\", ["100%_\\@corp.test"]),
        ("%_\\", []),
        ("мю", ["мюллер@corp.test"]),
        ("юл", []),
        ("A", ["ann@corp.test"]),
        ("nn", []),
        ("...", []),
        ("rp.", ["100%_\\@corp.test", "мюллер@corp.test", "ann@corp.test"]),
        ("absent", []),
    ],
)
@pytest.mark.usefixtures("rare")
async def test_search_matches_parts_or_beginnings_of_names(
    activities, users, users_url, text, names
):
    for name in ("ann@corp.test", "мюллер@corp.test", "100%_\\@corp.test", "last"):
        await create(users, name)
    await create(users, "ann@corp.test", GLOBEX)

    assert await found(activities, text) == names
    await roll_up(users_url)
    assert await found(activities, text) == names


@pytest.mark.usefixtures("rare")
async def test_search_finds_refusals_by_name_and_by_user(activities, users, users_url, clock):
    ann = await create(users, "ann@corp.test")
    await record_refusal(activities, clock, resource_name="annette")
    await record_refusal(activities, clock, resource_id=ann.id, resource_name="Ann")
    await record_refusal(activities, clock, GLOBEX, resource_name="annette")
    await create(users, "last")
    await roll_up(users_url)

    assert await found(activities, "ann") == ["Ann", "annette", "ann@corp.test"]
    assert await found(activities, "ann", result=REFUSED) == ["Ann", "annette"]
    assert await found(activities, "ann", result=SUCCESS) == ["ann@corp.test"]
    assert await found(activities, "an") == ["Ann", "annette", "ann@corp.test"]


@pytest.mark.usefixtures("rare")
async def test_deleted_group_is_found_by_its_last_and_former_names(
    activities, groups, users, users_url
):
    sales = await create_group(groups, "Sales")
    await update_group(groups, sales.id, "display_name", display_name="Revenue")
    await delete_group(groups, sales.id)
    await create(users, "last")
    await roll_up(users_url)

    both = ["Revenue", "Revenue", "Sales"]
    assert [await found(activities, "sale"), await found(activities, "REVENUE")] == [both, both]


@pytest.mark.usefixtures("rare")
async def test_deleted_user_is_not_found_by_name(activities, users, users_url, db):
    ann = await create(users, "ann@corp.test")
    await roll_up(users_url)
    bob = await create(users, "bob@corp.test")
    for user in (ann, bob):
        await delete(users, user.id)
    await create(users, "last")
    await roll_up(users_url)

    assert [await found(activities, "ann"), await found(activities, "bob")] == [[], []]
    names = [row["name"] for row in await db.fetch("SELECT name FROM logged_names")]
    assert names == ["last"]


@pytest.mark.usefixtures("rare")
async def test_pages_of_a_search_contain_every_entry_once(activities, users, users_url):
    for number in range(4):
        user = await create(users, f"ann{number}@corp.test")
        await update(users, user.id, title="Dr.")
    await create(users, "last")
    await roll_up(users_url)
    seen, token = [], ""
    while True:
        page = await activities.ListActivities(
            activity_pb2.ListActivitiesRequest(
                organization_id=ACME, text="ann", page_size=3, page_token=token
            )
        )
        seen += [each.id for each in page.activities]
        token = page.next_page_token
        if not token:
            break

    assert len(seen) == 8
    assert seen == sorted(set(seen), key=int, reverse=True)


@pytest.mark.usefixtures("rare")
async def test_search_with_action_finds_only_these_entries(activities, users, users_url):
    ann = await create(users, "ann@corp.test")
    await update(users, ann.id, title="Dr.")
    await create(users, "last")
    await roll_up(users_url)

    created = [activity_pb2.Activity.ACTION_CREATE_USER]
    (entry,) = await list_activities(activities, text="ann", actions=created)
    assert (entry.action, entry.resource_id) == (created[0], ann.id)
