"""A group of 100,000 members."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace

import asyncpg
import pytest
from cloudacademy.users.v1.groups_pb2_grpc import GroupServiceStub

from tests.support.postgres import Template
from tests.support.usersvc.group_calls import (
    change_members,
    create_group,
    delete_group,
    list_members,
)
from tests.support.usersvc.services import open_channel
from tests.support.usersvc.user_calls import ACME

SIZE = 100_000
LARGE = "018f6d2e-0000-7000-9000-000000000000"
SMALL = "018f6d2e-0000-7000-9000-000000000001"


def user_id(number: int) -> str:
    return f"018f6d2e-0000-7000-8000-{number:012}"


# 100,000 users are members of one group, and each also of one of 1,000 small groups; 10 users
# are in no group. The first small group contains all other small groups.
INSERT_ROWS = f"""
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
def crowded(templates: Mapping[str, Template]) -> Iterator[Template]:
    """A template with the large group."""
    template = templates["usersvc"]
    url = template.fresh()
    asyncio.run(_fill(url))
    name = url.rpartition("/")[2]
    yield replace(template, name=name)
    template.cluster.drop_database(name)


async def _fill(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(INSERT_ROWS)
    for table in ("users", "groups", "group_users", "group_groups"):
        await connection.execute(f"VACUUM ANALYZE {table}")
    await connection.close()


@pytest.fixture
def crowded_url(crowded: Template) -> Iterator[str]:
    with crowded.database() as url:
        yield url


@pytest.fixture
async def crowded_groups(crowded_url, clock):
    async with open_channel(crowded_url, clock) as channel:
        yield GroupServiceStub(channel)


@pytest.fixture
async def crowded_db(crowded_url):
    connection = await asyncpg.connect(crowded_url)
    yield connection
    await connection.close()


async def test_large_group_is_walked_in_pages(crowded_groups):
    found, token = [], ""
    while not found or token:
        page = await list_members(crowded_groups, LARGE, page_size=10_000, page_token=token)
        found += [member.display_name for member in page.members]
        token = page.next_page_token
    assert found == [f"user{number}" for number in range(1, SIZE + 1)]


async def test_1000_members_are_added_and_removed_by_one_request(crowded_groups, crowded_db):
    member_ids = [user_id(number) for number in range(501, 1501)]
    await change_members(crowded_groups, LARGE, remove=member_ids)
    count = "SELECT count(*) FROM group_users WHERE group_id = $1"
    assert await crowded_db.fetchval(count, LARGE) == SIZE - 1000
    await change_members(crowded_groups, LARGE, add=member_ids)
    assert await crowded_db.fetchval(count, LARGE) == SIZE


async def test_replacement_of_members_writes_only_the_difference(crowded_groups, crowded_db):
    wanted = [user_id(number) for number in range(2, SIZE + 2)]
    rows = "SELECT user_id::text, xmin::text FROM group_users WHERE group_id = $1"
    before = dict(await crowded_db.fetch(rows, LARGE))
    await change_members(crowded_groups, LARGE, clear=True, add=wanted)
    after = dict(await crowded_db.fetch(rows, LARGE))
    assert sorted(after) == wanted
    changed = {each for each in before.keys() | after if before.get(each) != after.get(each)}
    assert changed == {user_id(1), user_id(SIZE + 1)}


async def test_group_with_100000_members_is_created_and_deleted(crowded_groups, crowded_db):
    member_ids = [user_id(number) for number in range(1, SIZE + 1)]
    group = await create_group(crowded_groups, "Copy", member_ids)
    count = "SELECT count(*) FROM group_users WHERE group_id = $1"
    assert await crowded_db.fetchval(count, group.id) == SIZE
    await delete_group(crowded_groups, group.id)
    assert await crowded_db.fetchval(count, group.id) == 0
