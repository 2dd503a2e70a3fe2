"""An update of values that no index contains writes no index entries (a HOT update)."""

from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from tests.support.plans.cases import LARGE, NOW
from tests.support.plans.usersvc_cases import changed_group
from usersvc.domain.changes import Origin
from usersvc.domain.users import Profile
from usersvc.store.groups import writes as group_writes
from usersvc.store.users import writes as user_writes

ORIGIN = Origin("request")
HOT_UPDATES = """
    SELECT pg_stat_get_xact_tuples_updated($1::text::regclass),
           pg_stat_get_xact_tuples_hot_updated($1::text::regclass)
"""
GROUP = """
    INSERT INTO groups (organization_id, group_id, create_time, update_time, display_name)
    VALUES ($1, $2, $3, $3, 'x')
"""


@pytest.fixture
async def db(users_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(users_url)
    async with connection.transaction():
        yield connection
    await connection.close()


async def test_change_of_a_title_writes_no_index_entry(db: asyncpg.Connection):
    user = await user_writes.insert(db, LARGE.id, Profile("ann", title="old"), NOW, ORIGIN)

    await user_writes.write(
        db, user, Profile("ann", title="new"), NOW + timedelta(seconds=1), ORIGIN
    )

    assert tuple(await db.fetchrow(HOT_UPDATES, "users")) == (1, 1)


async def test_new_member_of_a_group_writes_no_index_entry_of_groups(db: asyncpg.Connection):
    await db.execute(GROUP, LARGE.id, LARGE.group_id(1), NOW)
    user = await user_writes.insert(db, LARGE.id, Profile("ann"), NOW, ORIGIN)
    arguments = changed_group()(LARGE)
    assert isinstance(arguments, group_writes._UpdateArguments)

    added = arguments._replace(users=[str(user.user_id)], now=NOW + timedelta(seconds=1))
    await db.execute(group_writes._UPDATE, *added)

    assert tuple(await db.fetchrow(HOT_UPDATES, "groups")) == (1, 1)
