"""A service that keeps a copy of all people by following the change feed during faults."""

import asyncio
import itertools
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

import grpc
from cloudacademy.users.v1 import changes_pb2, changes_pb2_grpc

from tools.chaos.audit import Audit

RECONNECT_SECONDS = 0.2
LIMIT_SECONDS = 30.0
_CREATED = changes_pb2.Change.TYPE_USER_CREATED
_DELETED = changes_pb2.Change.TYPE_USER_DELETED


class FeedFollower:
    """Follows the feed; reconnects, but reads no snapshot."""

    def __init__(
        self, connections: Sequence[Callable[[], grpc.aio.Channel]], token: str = ""
    ) -> None:
        """Follow from a token; an empty one means only changes from now on.

        `connections` are functions that connect to each replica.
        """
        self._connections = connections
        self._token = token
        self.first_token = token
        """A token from before the first change that was received."""
        self.people: set[str] = set()
        self._changed = asyncio.Event()
        self.refusals = 0
        """How often the feed refused the position."""

    async def follow(self) -> None:
        """Keep the copy up to date until cancelled."""
        for connect in itertools.cycle(self._connections):
            try:
                async with connect() as channel:
                    await self._read(changes_pb2_grpc.ChangeServiceStub(channel))
            except grpc.aio.AioRpcError as error:
                if error.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE):
                    self.refusals += 1
                    self._token = ""
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _read(self, stub: changes_pb2_grpc.ChangeServiceStub) -> None:
        request = changes_pb2.WatchAllChangesRequest(token=self._token)
        async for message in stub.WatchAllChanges(request):
            for change in message.changes:
                if change.type == _CREATED:
                    self.people.add(change.resource_id)
                elif change.type == _DELETED:
                    self.people.discard(change.resource_id)
            self._token = message.token
            if not self.first_token:
                self.first_token = message.token
            self._changed.set()

    async def compare(self, existing: Collection[str], result: Audit) -> None:
        """Report the people in which the copy still differs from the existing ones after a time."""
        wanted = set(existing)
        with suppress(TimeoutError):
            async with asyncio.timeout(LIMIT_SECONDS):
                while self.people != wanted:
                    await self._changed.wait()
                    self._changed.clear()
        for what, count in (
            ("people who are only in the feed", len(self.people - wanted)),
            ("positions that the feed refused", self.refusals),
        ):
            if count:
                result.wrong[what] += count
        if missing := wanted - self.people:
            result.lost["people in the feed"] += len(missing)
        self.refusals = 0
