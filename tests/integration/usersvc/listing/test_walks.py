"""The walks that usersvc keeps for lists that are paged by index."""

from datetime import timedelta
from hashlib import sha256
from uuid import UUID, uuid4

import asyncpg
import grpc
import pytest
from cloudacademy.users.v1.walks_pb2 import SaveWalkRequest, Walk
from cloudacademy.users.v1.walks_pb2_grpc import WalkServiceStub

from chassis.database.pool import Database
from tests.support.usersvc.user_calls import ACME, GLOBEX, invalid_field
from tests.support.usersvc.walk_calls import USERS_LIST, find_walk, found_ids, save_walk, walk
from usersvc.domain.walks import MAX_POSITION_BYTES, MAX_WALKS, MAX_WALKS_OF_LIST
from usersvc.store import walks as walk_store
from usersvc.store.walks import WalkStore

OTHER_LIST = sha256(b"groups").digest()


@pytest.fixture
def walks(channel: grpc.aio.Channel) -> WalkServiceStub:
    return WalkServiceStub(channel)


async def test_walk_is_found_by_its_last_and_next_page(walks):
    stored = await save_walk(
        walks, page_index=101, page_position=b"100", next_index=180, full_index=201
    )
    found = {index: await find_walk(walks, index) for index in (1, 101, 150, 180, 200, 201)}
    assert found == {1: None, 101: stored, 150: None, 180: stored, 200: None, 201: stored}


async def test_latest_of_several_walks_is_found(walks):
    first, second = await save_walk(walks), await save_walk(walks)
    assert await find_walk(walks, 101) == second
    again = await save_walk(walks, first.id, page_index=101, next_index=201, full_index=201)
    assert await find_walk(walks, 101) == again


async def test_request_that_was_received_later_determines_the_walk(walks):
    stored = await save_walk(walks, next_position=b"later", age=timedelta(seconds=5))
    await save_walk(walks, stored.id, next_position=b"earlier", age=timedelta(seconds=9))
    assert await find_walk(walks, 101) == stored
    last = await save_walk(walks, stored.id, next_position=b"last", age=timedelta(seconds=4))
    assert await find_walk(walks, 101) == last


async def test_walk_is_found_only_for_its_organization_and_list(walks):
    stored = await save_walk(walks)
    assert await find_walk(walks, 101, organization_id=GLOBEX) is None
    assert await find_walk(walks, 101, list_digest=OTHER_LIST) is None
    await save_walk(walks, stored.id, organization_id=GLOBEX, next_position=b"other")
    await save_walk(walks, stored.id, list_digest=OTHER_LIST, next_position=b"other")
    assert await find_walk(walks, 101) == stored


async def test_list_keeps_only_its_latest_walks(walks):
    indexes = range(2, 2 + MAX_WALKS_OF_LIST + 2)
    stored = [await save_walk(walks, next_index=each, full_index=each) for each in indexes]
    assert await found_ids(walks, indexes) == [each.id for each in stored[2:]]


async def test_organization_keeps_only_its_latest_walks(walks, db: asyncpg.Connection):
    digests = [sha256(b"%d" % number).digest() for number in range(MAX_WALKS + 2)]
    await save_walk(walks, organization_id=GLOBEX)
    for each in digests:
        await save_walk(walks, list_digest=each)

    kept = await db.fetch("SELECT list_digest FROM list_walks WHERE organization_id = $1", ACME)
    assert {row[0] for row in kept} == {*digests[2:]}
    assert await find_walk(walks, 101, organization_id=GLOBEX) is not None


async def test_walk_ends_an_hour_after_its_last_page(walks, db: asyncpg.Connection, users_url: str):
    stored = await save_walk(walks, age=timedelta(minutes=59))
    await save_walk(walks, organization_id=GLOBEX, age=timedelta(minutes=61))
    assert await find_walk(walks, 101) == stored
    assert await find_walk(walks, 101, organization_id=GLOBEX) is None

    async with Database(users_url, "test") as database:
        assert await WalkStore(database).delete_expired() == 1
    assert await db.fetchval("SELECT organization_id FROM list_walks") == UUID(ACME)


async def test_page_does_not_wait_for_the_commit_of_its_walk(db: asyncpg.Connection):
    arguments = (UUID(ACME), USERS_LIST, uuid4(), 1, b"", 101, b"", 101, 900, timedelta())
    async with db.transaction():
        assert await db.fetchval(walk_store._SAVE, *arguments)
        assert await db.fetchval("SHOW synchronous_commit") == "off"
    assert await db.fetchval("SHOW synchronous_commit") == "on"


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("organization_id", {"organization_id": "x"}),
        ("list_digest", {"list_digest": b"short"}),
        ("walk.id", {"walk": walk("x")}),
        ("walk.next_position", {"walk": walk(next_position=b"x" * (MAX_POSITION_BYTES + 1))}),
        ("walk.page_position", {"walk": walk(page_position=b"x" * (MAX_POSITION_BYTES + 1))}),
        ("walk", {"walk": Walk(id=str(uuid4()))}),
        ("walk", {"walk": walk(page_index=102)}),
        ("walk", {"walk": walk(full_index=100)}),
    ],
)
async def test_invalid_walk_is_refused(walks, field, values):
    valid = {"organization_id": ACME, "list_digest": USERS_LIST, "walk": walk()}
    with invalid_field(field):
        await walks.SaveWalk(SaveWalkRequest(**(valid | values)))
