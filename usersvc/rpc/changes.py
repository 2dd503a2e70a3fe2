"""The servicer of ChangeService."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any, Final, TypeAlias, TypeVar
from uuid import UUID

import grpc
from cloudacademy.users.v1 import changes_pb2, changes_pb2_grpc

from chassis.concurrency.loop_share import LoopShare
from chassis.errors import Refusal
from chassis.rpc.uuids import read_uuid
from usersvc.background.feed import ChangeFeed
from usersvc.domain.errors import SNAPSHOTS_BUSY
from usersvc.rpc.convert.change import from_batch, from_membership
from usersvc.rpc.convert.group import from_group
from usersvc.rpc.convert.listing import fitting
from usersvc.rpc.convert.user import from_user
from usersvc.store.changes import ChangeStore, Snapshot

SNAPSHOTS: Final = 2
"""The maximum number of concurrent snapshots.

Each holds a database connection, and keeps VACUUM from removing dead rows."""
SNAPSHOT_SHARE: Final = 0.1
"""The share of the event loop that all snapshots have together while other calls need it."""
SNAPSHOT_SECONDS: Final = 3600.0
"""The time limit for reading a snapshot: 5,000,000 users within `SNAPSHOT_SHARE`."""
_CONVERSION_SHARE: Final = 0.5
"""The part of a snapshot's CPU time that conversion takes. Decoding rows and encoding messages take
the rest, which cannot be measured here."""
STREAM_SECONDS: Final = {
    f"/cloudacademy.users.v1.ChangeService/{method}": SNAPSHOT_SECONDS
    for method in ("ReadSnapshot", "ReadFullSnapshot")
}
"""The time limits of streams by method, which `chassis.rpc.interceptor` enforces."""

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Part: TypeAlias = dict[str, Any]
"""The fields of one response of a snapshot stream."""
Value = TypeVar("Value")
Message = TypeVar("Message")


class ChangeServicer(changes_pb2_grpc.ChangeServiceServicer):
    """Converts requests to domain values, reads the feed or the store, and converts the results."""

    def __init__(self, feed: ChangeFeed, store: ChangeStore) -> None:
        self._feed = feed
        self._store = store
        self._snapshots = 0
        self._share = LoopShare(SNAPSHOT_SHARE)

    async def WatchChanges(  # noqa: N802 - the name in the proto file
        self, request: changes_pb2.WatchChangesRequest, context: Context
    ) -> AsyncIterator[changes_pb2.WatchChangesResponse]:
        """Stream the changes of one organization."""
        organization_id = read_uuid("organization_id", request.organization_id)
        async with aclosing(self._feed.read(organization_id, request.token)) as batches:
            async for batch in batches:
                for changes, token in from_batch(batch):
                    yield changes_pb2.WatchChangesResponse(changes=changes, token=token)

    async def WatchAllChanges(  # noqa: N802
        self, request: changes_pb2.WatchAllChangesRequest, context: Context
    ) -> AsyncIterator[changes_pb2.WatchAllChangesResponse]:
        """Stream the changes of all organizations."""
        async with aclosing(self._feed.read(None, request.token)) as batches:
            async for batch in batches:
                for changes, token in from_batch(batch):
                    yield changes_pb2.WatchAllChangesResponse(changes=changes, token=token)

    async def ReadSnapshot(  # noqa: N802
        self, request: changes_pb2.ReadSnapshotRequest, context: Context
    ) -> AsyncIterator[changes_pb2.ReadSnapshotResponse]:
        """Stream a snapshot of one organization."""
        organization_id = read_uuid("organization_id", request.organization_id)
        async with aclosing(self._snapshot_parts(organization_id)) as parts:
            async for part in parts:
                yield changes_pb2.ReadSnapshotResponse(**part)

    async def ReadFullSnapshot(  # noqa: N802
        self, request: changes_pb2.ReadFullSnapshotRequest, context: Context
    ) -> AsyncIterator[changes_pb2.ReadFullSnapshotResponse]:
        """Stream a snapshot of all organizations."""
        async with aclosing(self._snapshot_parts(None)) as parts:
            async for part in parts:
                yield changes_pb2.ReadFullSnapshotResponse(**part)

    async def _snapshot_parts(self, organization_id: UUID | None) -> AsyncGenerator[Part, None]:
        with self._slot():
            async with (
                self._store.snapshot(organization_id) as snapshot,
                aclosing(self._content_parts(snapshot)) as parts,
            ):
                async for part in parts:
                    yield part
                yield {"token": snapshot.cursor.token()}

    async def _content_parts(self, snapshot: Snapshot) -> AsyncGenerator[Part, None]:
        async for users in self._messages(snapshot.users(), from_user):
            remaining = users
            while remaining:
                count = fitting(remaining)
                yield {"users": remaining[:count]}
                remaining = remaining[count:]
        async for groups in self._messages(snapshot.groups(), from_group):
            yield {"groups": groups}
        async for memberships in self._messages(snapshot.members(), from_membership):
            yield {"memberships": memberships}

    async def _messages(
        self, pages: AsyncGenerator[list[Value], None], convert: Callable[[Value], Message]
    ) -> AsyncGenerator[list[Message], None]:
        """The messages of each page. Pauses after each page to keep to `SNAPSHOT_SHARE`."""
        async with aclosing(pages):
            async for page in pages:
                start = time.thread_time()
                messages = [convert(value) for value in page]
                cpu_seconds = (time.thread_time() - start) / _CONVERSION_SHARE
                yield messages
                await self._share.rest(cpu_seconds)

    @contextmanager
    def _slot(self) -> Iterator[None]:
        if self._snapshots >= SNAPSHOTS:
            raise Refusal(SNAPSHOTS_BUSY)
        self._snapshots += 1
        try:
            yield
        finally:
            self._snapshots -= 1
