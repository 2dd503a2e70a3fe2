"""Concurrent reads share one statement, without a visible difference to their callers."""

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
from usersvc.domain.users import GroupView
from usersvc.store.listing.lists import Lists
from usersvc.store.users import UserStore


@dataclass
class StatementRecorder:
    """Records the statements of a database, as tracing does."""

    statements: list[str] = field(default_factory=list)

    def record_statement(self, record: Any) -> None:
        if "organization_id" in record.query:  # asyncpg's own statements look up types
            self.statements.append(record.query)


@pytest.fixture
def recorder() -> StatementRecorder:
    return StatementRecorder()


@pytest.fixture
async def store(users_url: str, recorder: StatementRecorder) -> AsyncIterator[UserStore]:
    async with Database(users_url, "test", tracing=recorder) as database:
        yield UserStore(database, Lists(database), Notifier())


async def read_names(
    store: UserStore, *requests: tuple[str, str], groups: GroupView | None = None
) -> list[Any]:
    """The user names, or exceptions, that concurrent reads return."""
    reads = (
        store.get(UUID(organization_id), UUID(user_id), groups)
        for organization_id, user_id in requests
    )
    found = await asyncio.gather(*reads, return_exceptions=True)
    return [each if isinstance(each, Exception) else each.profile.user_name for each in found]


async def test_shared_reads_return_own_results_per_organization(users, store, recorder):
    ann, bob = [await create(users, f"{name}@corp.test") for name in ("ann", "bob")]
    eve = await create(users, "eve@globex.test", GLOBEX)
    requests = [
        (ACME, ann.id),
        (ACME, bob.id),
        (GLOBEX, eve.id),
        (GLOBEX, ann.id),
        (ACME, eve.id),
        (ACME, NOBODY),
        (ACME, bob.id),
    ]
    found = await read_names(store, *requests)
    assert [each for each in found if isinstance(each, str)] == [
        "ann@corp.test",
        "bob@corp.test",
        "eve@globex.test",
        "bob@corp.test",
    ]
    assert [each.kind for each in found if not isinstance(each, str)] == [USER_NOT_FOUND] * 3
    assert len(recorder.statements) == 3  # the first read, then one statement for each organization


async def test_shared_reads_with_groups_load_all_groups_in_one_statement(
    users, channel, store, recorder
):
    people = [await create(users, f"u{number}@corp.test") for number in range(5)]
    groups = GroupServiceStub(channel)
    await create_group(groups, "Staff", [people[3].id, people[4].id])
    reads = (store.get(UUID(ACME), UUID(each.id), GroupView()) for each in people)
    found = await asyncio.gather(*reads)
    assert [[group.display_name for group in user.groups.groups] for user in found] == [
        [],
        [],
        [],
        ["Staff"],
        ["Staff"],
    ]
    assert len(recorder.statements) == 3


async def test_shared_reads_apply_the_group_limit_of_each_caller(users, groups, store, recorder):
    people = [await create(users, f"u{number}@corp.test") for number in range(4)]
    for name in ("Staff", "Office"):
        await create_group(groups, name, [each.id for each in people])
    limits = (GroupView(1), GroupView(2), GroupView(1, truncated=True), GroupView())
    found = await asyncio.gather(
        *(store.get(UUID(ACME), UUID(each.id), view) for each in people for view in limits)
    )
    assert [(len(user.groups.groups), user.groups.more) for user in found] == [
        (0, True),
        (2, False),
        (1, True),
        (2, False),
    ] * len(people)


async def test_sequential_reads_use_one_statement_each(users, store, recorder):
    ann = await create(users, "ann@corp.test")
    for _ in range(3):
        assert await read_names(store, (ACME, ann.id)) == ["ann@corp.test"]
    assert len(recorder.statements) == 3
    assert not any("ANY" in statement for statement in recorder.statements)


async def test_cancelled_reader_does_not_cancel_the_shared_read(users, store, db):
    ann = await create(users, "ann@corp.test")
    async with db.transaction():
        await db.execute("LOCK TABLE users")
        reads = [asyncio.create_task(store.get(UUID(ACME), UUID(ann.id))) for _ in range(4)]
        await quiescent(lambda: len(asyncio.all_tasks()), 0.05)
        reads[1].cancel()
        await asyncio.wait([reads[1]])
    found = await asyncio.gather(*reads[:1], *reads[2:])
    assert [user.profile.user_name for user in found] == ["ann@corp.test"] * 3


async def test_failure_of_a_shared_read_reaches_every_reader():
    async with Database("postgresql://nobody@127.0.0.1:1/nothing", "test") as unreachable:
        store = UserStore(unreachable, Lists(unreachable), Notifier())
        found = await read_names(store, *[(ACME, NOBODY)] * 3)
    assert [type(each) for each in found] == [DatabaseUnavailable] * 3


async def test_each_reader_of_a_failed_read_gets_its_own_exception():
    """A shared exception object would collect the stack frames of all readers."""
    reader = BatchLoader(_fail, _fail)
    errors = await asyncio.gather(
        *(reader.get(UUID(ACME), number) for number in range(20)), return_exceptions=True
    )

    assert {str(each) for each in errors} == {str(DatabaseUnavailable())}
    assert len(set(map(id, errors))) == 20
    assert len({len(extract_tb(each.__traceback__)) for each in errors[1:]}) == 1


async def _fail(*_: object) -> Any:
    await asyncio.sleep(0)
    raise DatabaseUnavailable
