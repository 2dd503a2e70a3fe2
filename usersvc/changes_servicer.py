"""The ChangeService of the contract."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias
from uuid import UUID

import grpc
from cloudacademy.users.v1 import changes_pb2, changes_pb2_grpc

from usersvc import wire, wire_change, wire_group, wire_list
from usersvc.change_feed import ChangeFeed
from usersvc.change_store import ChangeStore, Snapshot
from usersvc.errors import SnapshotsBusy

SNAPSHOTS: Final = 2
"""How many are read at once: each holds a connection, and rows that could be cleaned up."""
SNAPSHOT_SECONDS: Final = 600.0

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Piece: TypeAlias = dict[str, Any]


class ChangesServicer(changes_pb2_grpc.ChangeServiceServicer):
    """Turns requests into values, has the feed and the store read, and turns it back."""

    def __init__(self, feed: ChangeFeed, store: ChangeStore) -> None:
        self._feed = feed
        self._store = store
        self._snapshots = 0

    async def WatchChanges(  # noqa: N802 - the contract's name
        self, request: changes_pb2.WatchChangesRequest, context: Context
    ) -> AsyncIterator[changes_pb2.WatchChangesResponse]:
        """Follow one organization."""
        organization_id = wire.to_uuid("organization_id", request.organization_id)
        async for batch in self._feed.read(organization_id, request.token):
            for changes, token in wire_change.from_batch(batch):
                yield changes_pb2.WatchChangesResponse(changes=changes, token=token)

    async def WatchAllChanges(  # noqa: N802
        self, request: changes_pb2.WatchAllChangesRequest, context: Context
    ) -> AsyncIterator[changes_pb2.WatchAllChangesResponse]:
        """Follow all organizations."""
        async for batch in self._feed.read(None, request.token):
            for changes, token in wire_change.from_batch(batch):
                yield changes_pb2.WatchAllChangesResponse(changes=changes, token=token)

    async def ReadSnapshot(  # noqa: N802
        self, request: changes_pb2.ReadSnapshotRequest, context: Context
    ) -> AsyncIterator[changes_pb2.ReadSnapshotResponse]:
        """Read all of one organization."""
        organization_id = wire.to_uuid("organization_id", request.organization_id)
        async for piece in self._pieces(organization_id):
            yield changes_pb2.ReadSnapshotResponse(**piece)

    async def ReadFullSnapshot(  # noqa: N802
        self, request: changes_pb2.ReadFullSnapshotRequest, context: Context
    ) -> AsyncIterator[changes_pb2.ReadFullSnapshotResponse]:
        """Read all of every organization."""
        async for piece in self._pieces(None):
            yield changes_pb2.ReadFullSnapshotResponse(**piece)

    async def _pieces(self, organization_id: UUID | None) -> AsyncIterator[Piece]:
        async with self._turn(), self._store.snapshot(organization_id) as snapshot:
            async for piece in _contents(snapshot):
                yield piece
            yield {"token": snapshot.place.token()}

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._snapshots >= SNAPSHOTS:
            raise SnapshotsBusy
        self._snapshots += 1
        try:
            async with asyncio.timeout(SNAPSHOT_SECONDS):
                yield
        finally:
            self._snapshots -= 1


async def _contents(snapshot: Snapshot) -> AsyncIterator[Piece]:
    async for users in snapshot.users():
        messages = [wire.from_user(user) for user in users]
        while messages:
            count = wire_list.fitting(messages)
            yield {"users": messages[:count]}
            messages = messages[count:]
    async for groups in snapshot.groups():
        yield {"groups": [wire_group.from_group(group) for group in groups]}
    async for memberships in snapshot.members():
        yield {"memberships": [wire_change.from_membership(each) for each in memberships]}
