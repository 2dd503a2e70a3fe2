"""Concurrent reads share one statement, without a visible difference to their callers."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from traceback import extract_tb
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from cloudacademy.users.v1.groups_pb2_grpc import GroupServiceStub

from chassis.batching.loader import BatchLoader
from chassis.concurrency.notifier import Notifier
from chassis.database.pool import Database
from chassis.errors import DatabaseUnavailable, Refusal
from tests.support.usersvc.group_calls import create_group
from tests.support.usersvc.user_calls import ACME, GLOBEX, NOBODY, create
from tests.support.waiting import quiescent
from usersvc.domain.errors import USER_NOT_FOUND
from usersvc.domain.filters import Comparison, Operator, Page, Query
from usersvc.domain.users import GroupView
from usersvc.store.listing.lists import Lists
from usersvc.store.listing.user_fields import USERS
from usersvc.store.users import shared_reads
from usersvc.store.users.store import UserStore

INITECH = "018f6d2e-0000-7000-8000-00000000000c"
COPY_USER = """
    INSERT INTO users (organization_id, user_id, create_time, update_time, user_name, external_id)
    SELECT $2, user_id, create_time, update_time, $3, external_id
      FROM users
     WHERE user_id = $1
     LIMIT 1
"""


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


def query(organization_id: UUID, field_name: str, text: str) -> Query:
    """The query by which identity providers look up a user."""
    return Query(organization_id, 100, filter=Comparison(field_name, Operator.EQUAL, text))


def organization_of(found: Any) -> UUID | None:
    """The organization of the user, or of the only user on the page; None if nobody was found."""
    if isinstance(found, Page):
        users = found.items
    else:
        users = [] if isinstance(found, Refusal) else [found]
    return users[0].organization_id if users else None


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
    assert len(recorder.statements) == 2  # the first read, then one statement for all others


async def test_reads_of_equal_ids_return_the_user_of_each_organization(users, groups, store, db):
    """Ids are unique within an organization only, so a row must be found by both."""
    ann = await create(users, "ann@corp.test", external_id="x1")
    await create_group(groups, "Staff", [ann.id])
    for organization_id in (GLOBEX, INITECH):
        await db.execute(COPY_USER, UUID(ann.id), UUID(organization_id), "ann@corp.test")
    organizations = [UUID(each) for each in (GLOBEX, ACME, INITECH, NOBODY, GLOBEX)]

    plain = [store.get(each, UUID(ann.id)) for each in organizations]
    with_groups = [store.get(each, UUID(ann.id), GroupView()) for each in organizations]
    by_name = [
        store.list(query(each, "user_name", "ANN@corp.test"), USERS) for each in organizations
    ]
    by_external_id = [store.list(query(each, "external_id", "x1"), USERS) for each in organizations]
    found = await asyncio.gather(
        *plain, *with_groups, *by_name, *by_external_id, return_exceptions=True
    )

    expected = [UUID(GLOBEX), UUID(ACME), UUID(INITECH), None, UUID(GLOBEX)]
    assert [organization_of(each) for each in found] == expected * 4
    assert [len(user.groups.groups) for user in found[5:8]] == [0, 1, 0]


async def test_user_in_many_groups_is_read_without_delaying_other_organizations(
    users, groups, store, recorder, monkeypatch
):
    monkeypatch.setattr(shared_reads, "MAX_SHARED_GROUPS", 2)
    people = [await create(users, f"u{number}@corp.test") for number in range(3)]
    for number in range(3):
        await create_group(groups, f"Group {number}", [each.id for each in people[:2]])
    eve = await create(users, "eve@globex.test", GLOBEX)
    await create_group(groups, "Staff", [eve.id], organization_id=GLOBEX)
    wanted = [(ACME, people[2].id), (ACME, people[0].id), (GLOBEX, eve.id), (ACME, people[1].id)]

    found = await asyncio.gather(
        *(store.get(UUID(organization), UUID(each), GroupView()) for organization, each in wanted)
    )

    assert [len(user.groups.groups) for user in found] == [0, 3, 1, 3]
    # The first read; both statements that are shared; then both of the users in many groups.
    assert len(recorder.statements) == 5


async def test_key_that_postgresql_rejects_fails_only_its_own_organization(users, store):
    await create(users, "ann@corp.test")
    await create(users, "eve@globex.test", GLOBEX)
    names = ((ACME, "first"), (ACME, "ann@corp.test"), (GLOBEX, "\0"), (INITECH, "x"))

    found = await asyncio.gather(
        *(store.list(query(UUID(each), "user_name", name), USERS) for each, name in names),
        return_exceptions=True,
    )

    assert [organization_of(each) for each in (found[1], found[3])] == [UUID(ACME), None]
    assert isinstance(found[2], asyncpg.DataError)


async def test_reads_of_a_distributed_database_name_one_organization(users, users_url, recorder):
    ann = await create(users, "ann@corp.test")
    eve = await create(users, "eve@globex.test", GLOBEX)
    async with Database(users_url, "test", tracing=recorder) as database:
        store = UserStore(database, Lists(database), Notifier(), reads_across_organizations=False)
        requests = [(ACME, ann.id), (ACME, ann.id), (GLOBEX, eve.id)]
        assert await read_names(store, *requests) == [
            "ann@corp.test",
            "ann@corp.test",
            "eve@globex.test",
        ]
    assert len(recorder.statements) == 3
    assert all("organization_id = $1" in each for each in recorder.statements)


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
