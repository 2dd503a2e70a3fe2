"""Walks: lists that a client reads page by page with startIndex (docs/adr/0029).

The client's next request contains only the index of the next page. Resources that are created or
deleted meanwhile change the indexes of others, so usersvc keeps the position of each walk: what a
cursor would contain.
"""

import hashlib
import json
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol
from uuid import uuid4

from cloudacademy.users.v1 import walks_pb2 as pb

from gateway.api.request import ScimRequest
from gateway.backend.client import Origin


class WalkSource(Protocol):
    """Finds and stores walks for all gateways."""

    async def find(self, request: pb.FindWalkRequest, origin: Origin) -> pb.Walk | None: ...
    async def save(self, request: pb.SaveWalkRequest, origin: Origin) -> None: ...


@dataclass(frozen=True, slots=True)
class PageStart:
    """Where a page of a walk begins."""

    walk_id: str
    position: str
    total: int
    """The number of resources of the walk, as far as it is known."""
    skipped: int = 0
    """The indexes between the end of the walk's latest page and the index that was requested."""


@dataclass(frozen=True, slots=True)
class ReadPage:
    """A page that was read, and the position after it."""

    start_index: int
    requested: int
    """The number of resources that the client requested."""
    count: int
    """The number of resources on the page."""
    next_position: str
    total: int


class Walks:
    """The walks of all callers."""

    def __init__(self, source: WalkSource) -> None:
        self._source = source

    async def find(self, request: ScimRequest, query: str, start_index: int) -> PageStart | None:
        """Where the page with this index begins; None if it continues no walk.

        `query` identifies the list. Each key has its own walks.
        """
        walk = await self._source.find(
            pb.FindWalkRequest(
                organization_id=request.organization_id,
                list_digest=_digest(request, query),
                index=start_index,
            ),
            request.origin,
        )
        return None if walk is None else _page_start(walk, start_index)

    async def save(
        self, request: ScimRequest, query: str, page: ReadPage, start: PageStart | None
    ) -> None:
        """Store the walk after a page; a new walk if the page did not continue one."""
        walk = pb.Walk(
            id=str(uuid4()) if start is None else start.walk_id,
            page_index=page.start_index,
            page_position=b"" if start is None else start.position.encode(),
            next_index=page.start_index + page.count,
            next_position=page.next_position.encode(),
            full_index=page.start_index + page.requested,
            total_size=page.total,
        )
        message = pb.SaveWalkRequest(
            organization_id=request.organization_id,
            list_digest=_digest(request, query),
            walk=walk,
        )
        message.age.FromTimedelta(timedelta(seconds=time.perf_counter() - request.started))
        await self._source.save(message, request.origin)


def _page_start(walk: pb.Walk, start_index: int) -> PageStart | None:
    if start_index == walk.page_index:  # a repetition of the latest page
        if not walk.page_position:  # it was read by skipping, so it has no position
            return None
        return PageStart(walk.id, walk.page_position.decode(), walk.total_size)
    skipped = start_index - walk.next_index
    return PageStart(walk.id, walk.next_position.decode(), walk.total_size, skipped)


def _digest(request: ScimRequest, query: str) -> bytes:
    reader = json.dumps([request.caller.key_id, query])
    return hashlib.sha256(reader.encode()).digest()
