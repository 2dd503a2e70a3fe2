"""A group of 100,000 members: an operation on one member reads no other members."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from cloudacademy.users.v1.groups_pb2_grpc import GroupServiceStub

from tests.support.clocks import StoppedClock
from tests.support.postgres import Template
from tests.support.usersvc.group_calls import (
    change_members,
    create_group,
    delete_group,
    list_members,
)
from tests.support.usersvc.services import open_channel
from tests.support.usersvc.user_calls import ACME
from usersvc.domain.filters import AllOf, Comparison, Filter, Operator, Query
from usersvc.store import groups as group_store
from usersvc.store import members as member_store
from usersvc.store import memberships
from usersvc.store import users as user_store
from usersvc.store.listing import list_sql
from usersvc.store.listing.fields import Resource
from usersvc.store.listing.filter_sql import Where
from usersvc.store.listing.group_fields import GROUPS
from usersvc.store.listing.user_fields import USERS

SIZE = 100_000
LARGE = "018f6d2e-0000-7000-9000-000000000000"
SMALL = "018f6d2e-0000-7000-9000-000000000001"
NESTED = "018f6d2e-0000-7000-9000-000000000002"


def user_id(number: int) -> str:
    return f"018f6d2e-0000-7000-8000-{number:012}"


# 100,000 users are members of one group, and each also of one of 1,000 small groups; 10 users
# are in no group. The first small group contains all other small groups.
FILL = f"""
INSERT INTO users (organization_id, user_id, create_time, update_time, user_name, active)
SELECT '{ACME}', ('018f6d2e-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid,
       now(), now(), 'user' || n, true
  FROM generate_series(1, {SIZE + 10}) AS n;
INSERT INTO groups (organization_id, group_id, create_time, update_time, display_name)
SELECT '{ACME}', ('018f6d2e-0000-7000-9000-' || lpad(n::text, 12, '0'))::uuid,
       now(), now(), 'Group ' || n
  FROM generate_series(0, 1000) AS n;
INSERT INTO group_users (organization_id, group_id, user_id)
SELECT organization_id, '{LARGE}', user_id FROM users ORDER BY user_id LIMIT {SIZE};
INSERT INTO group_users (organization_id, group_id, user_id)
SELECT '{ACME}', ('018f6d2e-0000-7000-9000-' || lpad((1 + n % 1000)::text, 12, '0'))::uuid,
       ('018f6d2e-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid
  FROM generate_series(1, {SIZE}) AS n;
INSERT INTO group_groups (organization_id, group_id, member_group_id)
SELECT organization_id, '{SMALL}', group_id FROM groups WHERE group_id > '{SMALL}';
"""


@pytest.fixture(scope="module")
def crowded(users_template: Template) -> Iterator[Template]:
    """A template with the large group."""
    url = users_template.fresh()
    asyncio.run(_fill(url))
    name = url.rpartition("/")[2]
    yield Template(users_template.cluster, name, users_template.owner, users_template.password)
    users_template.cluster.drop_database(name)


async def _fill(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(FILL)
    for table in ("users", "groups", "group_users", "group_groups"):
        await connection.execute(f"VACUUM ANALYZE {table}")
    await connection.close()


@pytest.fixture
def crowded_url(crowded: Template) -> Iterator[str]:
    with crowded.database() as url:
        yield url


@pytest.fixture
async def crowd(crowded_url, clock):
    async with open_channel(crowded_url, clock) as channel:
        yield GroupServiceStub(channel)


@pytest.fixture
async def crowded_db(crowded_url):
    connection = await asyncpg.connect(crowded_url)
    yield connection
    await connection.close()


async def test_large_group_is_walked_in_pages(crowd):
    found, token = [], ""
    while not found or token:
        page = await list_members(crowd, LARGE, page_size=10_000, page_token=token)
        found += [member.display_name for member in page.members]
        token = page.next_page_token
    assert found == [f"user{number}" for number in range(1, SIZE + 1)]


async def test_1000_members_are_added_and_removed_by_one_request(crowd, crowded_db):
    some = [user_id(number) for number in range(501, 1501)]
    await change_members(crowd, LARGE, remove=some)
    count = "SELECT count(*) FROM group_users WHERE group_id = $1"
    assert await crowded_db.fetchval(count, LARGE) == SIZE - 1000
    await change_members(crowd, LARGE, add=some)
    assert await crowded_db.fetchval(count, LARGE) == SIZE


async def test_replacement_of_members_writes_only_the_difference(crowd, crowded_db):
    wanted = [user_id(number) for number in range(2, SIZE + 2)]
    rows = "SELECT user_id::text, xmin::text FROM group_users WHERE group_id = $1"
    before = dict(await crowded_db.fetch(rows, LARGE))
    await change_members(crowd, LARGE, clear=True, add=wanted)
    after = dict(await crowded_db.fetch(rows, LARGE))
    assert sorted(after) == wanted
    changed = {each for each in before.keys() | after if before.get(each) != after.get(each)}
    assert changed == {user_id(1), user_id(SIZE + 1)}


async def test_group_with_100000_members_is_created_and_deleted(crowd, crowded_db):
    everybody = [user_id(number) for number in range(1, SIZE + 1)]
    group = await create_group(crowd, "Copy", everybody)
    count = "SELECT count(*) FROM group_users WHERE group_id = $1"
    assert await crowded_db.fetchval(count, group.id) == SIZE
    await delete_group(crowd, group.id)
    assert await crowded_db.fetchval(count, group.id) == 0


# --- plans ------------------------------------------------------------------------------


def equal(field: str, value: str) -> Comparison:
    return Comparison(field, Operator.EQUAL, value)


def listed(resource: Resource, filter_: Filter) -> tuple[str, list[Any]]:
    where = Where(UUID(ACME))
    statement = list_sql.page_statement(where, Query(UUID(ACME), 100, filter_), resource)
    return statement, where.arguments


ONE = [ACME, LARGE, [user_id(7)]]
NEW = [ACME, LARGE, [user_id(SIZE + 1)]]
NOW = StoppedClock().now
UNCHANGED = [[], [], [], "", None]
"""Arguments of an update without changed fields, request id and key id."""

STATEMENTS = {
    "is a member of the group": (
        *listed(GROUPS, AllOf((equal("id", LARGE), equal("members.value", user_id(77_777))))),
        1,
    ),
    "is not a member of the group": (
        *listed(GROUPS, AllOf((equal("id", SMALL), equal("members.value", user_id(77_777))))),
        1,
    ),
    "groups of a member": (*listed(GROUPS, equal("members.value", user_id(77_777))), 2),
    "is in the group": (
        *listed(USERS, AllOf((equal("id", user_id(77_777)), equal("groups.value", LARGE)))),
        1,
    ),
    "users of the large group": (*listed(USERS, equal("groups.value", LARGE)), 101),
    "find an existing member": (member_store._FIND, [*ONE, False], 1),
    "find a missing member": (member_store._FIND, [*NEW, False], 1),
    "add a member": (
        group_store._UPDATE,
        [ACME, LARGE, NOW, "x", None, False, [user_id(SIZE + 1)], [], [], [], *UNCHANGED],
        1,
    ),
    "remove a member": (
        group_store._UPDATE,
        [ACME, LARGE, NOW, "x", None, False, [], [], [user_id(7)], [], *UNCHANGED],
        1,
    ),
    "page of members": (member_store._PAGE, [ACME, LARGE, user_id(50_000), 101], 101),
    "groups of a user": (memberships._BY_USERS, [ACME, [user_id(7)]], 3),
    "groups of a group": (member_store._ANCESTORS, [ACME, NESTED], 1),
    "leave all groups": (user_store._LEAVE_GROUPS, [ACME, user_id(7), NOW, "", None], 2),
}


@pytest.mark.parametrize("plan", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize("name", STATEMENTS)
async def test_statement_about_one_member_reads_no_others(crowded_db, name, plan):
    statement, arguments, most = STATEMENTS[name]
    nodes = await analyze(crowded_db, statement, arguments, plan)
    scanned = [node for node in nodes if "Relation Name" in node and node["Actual Loops"]]
    rows = {
        node.get("Alias", ""): node["Actual Rows"] * node["Actual Loops"]
        + node.get("Rows Removed by Filter", 0)
        for node in scanned
        if node["Node Type"] != "ModifyTable"
    }
    assert max(rows.values(), default=0) <= most, rows
    assert "Seq Scan" not in {node["Node Type"] for node in nodes}


async def test_membership_test_probes_each_table_once(crowded_db):
    statement, arguments, _ = STATEMENTS["is a member of the group"]
    nodes = await analyze(crowded_db, statement, arguments, "force_custom_plan")
    probes = {
        node["Relation Name"]: node["Index Cond"].count(" = ")
        for node in nodes
        if "Relation Name" in node
    }
    assert probes == {"groups": 2, "group_users": 3, "group_groups": 3}


async def analyze(
    connection: asyncpg.Connection, statement: str, arguments: list[Any], plan: str
) -> list[dict[str, Any]]:
    """The plan nodes of a statement that runs and is rolled back."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(f"SET LOCAL plan_cache_mode = {plan}")
        explained = f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}"
        text = await connection.fetchval(explained, *arguments)
    finally:
        await transaction.rollback()
    return list(nodes_of(json.loads(text)[0]["Plan"]))


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes_of(inner)
