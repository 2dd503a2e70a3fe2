"""Reads of the same moment share a statement, and nobody notices."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from traceback import extract_tb
from typing import Any
from uuid import UUID

import pytest
from cloudacademy.users.v1.groups_pb2_grpc import GroupServiceStub

from chassis.batching.loader import BatchLoader
from chassis.concurrency.notifier import Notifier
from chassis.database.pool import Database
from chassis.errors import DatabaseUnavailable
from tests.support.usersvc.group_calls import create_group
from tests.support.usersvc.user_calls import ACME, GLOBEX, NOBODY, create
from tests.support.waiting import quiescent
from usersvc.domain.errors import USER_NOT_FOUND
from usersvc.store.listing.lists import Lists
from usersvc.store.users import UserStore


@dataclass
class Heard:
    """Hears the statements of a database, as tracing does."""

    statements: list[str] = field(default_factory=list)

    def statement(self, record: Any) -> None:
        if "organization_id" in record.query:  # asyncpg itself asks about types
            self.statements.append(record.query)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
async def store(users_url: str, heard: Heard) -> AsyncIterator[UserStore]:
    async with Database(users_url, "test", tracing=heard) as database:
        yield UserStore(database, Lists(database), Notifier())


async def names(store: UserStore, *asked: tuple[str, str], with_groups: bool = False) -> list[Any]:
    """What becomes of reads that begin at the same moment."""
    reads = (
        store.get(UUID(organization_id), UUID(user_id), with_groups=with_groups)
        for organization_id, user_id in asked
    )
    found = await asyncio.gather(*reads, return_exceptions=True)
    return [each if isinstance(each, Exception) else each.profile.user_name for each in found]


async def test_each_gets_its_own_and_nobody_another_organizations(users, store, heard):
    ann, bob = [await create(users, f"{name}@corp.test") for name in ("ann", "bob")]
    eve = await create(users, "eve@globex.test", GLOBEX)
    asked = [
        (ACME, ann.id),
        (ACME, bob.id),
        (GLOBEX, eve.id),
        (GLOBEX, ann.id),
        (ACME, eve.id),
        (ACME, NOBODY),
        (ACME, bob.id),
    ]
    found = await names(store, *asked)
    assert [each for each in found if isinstance(each, str)] == [
        "ann@corp.test",
        "bob@corp.test",
        "eve@globex.test",
        "bob@corp.test",
    ]
    assert [each.kind for each in found if not isinstance(each, str)] == [USER_NOT_FOUND] * 3
    assert len(heard.statements) == 3  # the first, then one for each organization


async def test_with_groups_those_who_are_in_any_are_read_together(users, channel, store, heard):
    people = [await create(users, f"u{number}@corp.test") for number in range(5)]
    groups = GroupServiceStub(channel)
    await create_group(groups, "Staff", [people[3].id, people[4].id])
    reads = (store.get(UUID(ACME), UUID(each.id), with_groups=True) for each in people)
    found = await asyncio.gather(*reads)
    assert [[group.display_name for group in user.groups] for user in found] == [
        [],
        [],
        [],
        ["Staff"],
        ["Staff"],
    ]
    assert len(heard.statements) == 3


async def test_one_by_one_each_has_its_own_statement(users, store, heard):
    ann = await create(users, "ann@corp.test")
    for _ in range(3):
        assert await names(store, (ACME, ann.id)) == ["ann@corp.test"]
    assert len(heard.statements) == 3
    assert not any("ANY" in statement for statement in heard.statements)


async def test_who_gives_up_takes_nobody_along(users, store, db):
    ann = await create(users, "ann@corp.test")
    async with db.transaction():
        await db.execute("LOCK TABLE users")
        reads = [asyncio.create_task(store.get(UUID(ACME), UUID(ann.id))) for _ in range(4)]
        await quiescent(lambda: len(asyncio.all_tasks()), 0.05)
        reads[1].cancel()
        await asyncio.wait([reads[1]])
    found = await asyncio.gather(*reads[:1], *reads[2:])
    assert [user.profile.user_name for user in found] == ["ann@corp.test"] * 3


async def test_what_goes_wrong_is_told_to_all_of_them():
    async with Database("postgresql://nobody@127.0.0.1:1/nothing", "test") as nowhere:
        store = UserStore(nowhere, Lists(nowhere), Notifier())
        found = await names(store, *[(ACME, NOBODY)] * 3)
    assert [type(each) for each in found] == [DatabaseUnavailable] * 3


async def test_each_reader_of_a_failed_statement_gets_an_exception_of_its_own():
    """One object for all would keep the frames of each of them."""
    reader = BatchLoader(_fails, _fails)
    errors = await asyncio.gather(
        *(reader.get(UUID(ACME), number) for number in range(20)), return_exceptions=True
    )

    assert {str(each) for each in errors} == {str(DatabaseUnavailable())}
    assert len(set(map(id, errors))) == 20
    assert len({len(extract_tb(each.__traceback__)) for each in errors[1:]}) == 1


async def _fails(*_: object) -> Any:
    await asyncio.sleep(0)
    raise DatabaseUnavailable
