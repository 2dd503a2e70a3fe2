"""The servicer of WalkService."""

from typing import Any, TypeAlias

import grpc
from cloudacademy.users.v1 import walks_pb2, walks_pb2_grpc

from chassis.errors import InvalidField
from chassis.rpc.uuids import read_uuid
from usersvc.domain.walks import DIGEST_BYTES, MAX_POSITION_BYTES, ListKey, Walk
from usersvc.store.walks import WalkStore

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class WalkServicer(walks_pb2_grpc.WalkServiceServicer):
    """Converts requests to domain values, calls the store, and converts the results to messages."""

    def __init__(self, store: WalkStore) -> None:
        self._store = store

    async def FindWalk(  # noqa: N802 - the name in the proto file
        self, request: walks_pb2.FindWalkRequest, context: Context
    ) -> walks_pb2.FindWalkResponse:
        """Find the walk that a page belongs to."""
        walk = await self._store.find(_list_key(request), request.index)
        return walks_pb2.FindWalkResponse(walk=None if walk is None else _from_walk(walk))

    async def SaveWalk(  # noqa: N802
        self, request: walks_pb2.SaveWalkRequest, context: Context
    ) -> walks_pb2.SaveWalkResponse:
        """Store a walk."""
        age = request.age.ToTimedelta()
        await self._store.save(_list_key(request), _to_walk(request.walk), age)
        return walks_pb2.SaveWalkResponse()


def _list_key(request: walks_pb2.FindWalkRequest | walks_pb2.SaveWalkRequest) -> ListKey:
    organization_id = read_uuid("organization_id", request.organization_id)
    if len(request.list_digest) != DIGEST_BYTES:
        raise InvalidField("list_digest", f"must have {DIGEST_BYTES} bytes")
    return ListKey(organization_id, request.list_digest)


def _to_walk(message: walks_pb2.Walk) -> Walk:
    """The walk in a message. Refuses (InvalidField) what its comments exclude."""
    for field in ("page_position", "next_position"):
        if len(getattr(message, field)) > MAX_POSITION_BYTES:
            raise InvalidField(f"walk.{field}", f"is larger than {MAX_POSITION_BYTES} bytes")
    if not 1 <= message.page_index <= message.next_index <= message.full_index:
        raise InvalidField("walk", "has indexes that are below 1 or decrease")
    return Walk(
        walk_id=read_uuid("walk.id", message.id),
        page_index=message.page_index,
        page_position=message.page_position,
        next_index=message.next_index,
        next_position=message.next_position,
        full_index=message.full_index,
        total_size=message.total_size,
    )


def _from_walk(walk: Walk) -> walks_pb2.Walk:
    return walks_pb2.Walk(
        id=str(walk.walk_id),
        page_index=walk.page_index,
        page_position=walk.page_position,
        next_index=walk.next_index,
        next_position=walk.next_position,
        full_index=walk.full_index,
        total_size=walk.total_size,
    )
