"""Calls of WalkService with test data."""

from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Final
from uuid import uuid4

from cloudacademy.users.v1.walks_pb2 import FindWalkRequest, SaveWalkRequest, Walk
from cloudacademy.users.v1.walks_pb2_grpc import WalkServiceStub

from tests.support.usersvc.user_calls import ACME

USERS_LIST: Final = sha256(b"users").digest()


def walk(id_: str = "", **fields: object) -> Walk:
    """A walk after its first page of 100 items."""
    values = {"page_index": 1, "next_index": 101, "full_index": 101, "next_position": b"100"}
    return Walk(id=id_ or str(uuid4()), total_size=900, **(values | fields))


async def save_walk(
    stub: WalkServiceStub,
    id_: str = "",
    *,
    organization_id: str = ACME,
    list_digest: bytes = USERS_LIST,
    age: timedelta = timedelta(),
    **fields: object,
) -> Walk:
    """Store a walk, and return it."""
    stored = walk(id_, **fields)
    request = SaveWalkRequest(organization_id=organization_id, list_digest=list_digest, walk=stored)
    request.age.FromTimedelta(age)
    await stub.SaveWalk(request)
    return stored


async def find_walk(
    stub: WalkServiceStub,
    index: int,
    *,
    organization_id: str = ACME,
    list_digest: bytes = USERS_LIST,
) -> Walk | None:
    """The walk with a page at an index."""
    request = FindWalkRequest(organization_id=organization_id, list_digest=list_digest, index=index)
    response = await stub.FindWalk(request)
    return response.walk if response.HasField("walk") else None


async def found_ids(stub: WalkServiceStub, indexes: Sequence[int]) -> list[str]:
    """The ids of the walks at some indexes, each once."""
    found = [await find_walk(stub, index) for index in indexes]
    return list(dict.fromkeys([each.id for each in found if each is not None]))
