"""Pages of a list that consists of one or of several resource types."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from cloudacademy.users.v1 import filter_pb2

from gateway.api.query.walks import PageStart
from gateway.api.request import ScimRequest
from gateway.backend.errors import RefusedError
from gateway.scim import paging
from gateway.scim.projection import Projection
from gateway.scim.schema import ResourceType

_SEPARATOR: Final = ":"


@dataclass(frozen=True, slots=True)
class PageQuery:
    """A query for one page of one resource type, in the terms of the protos."""

    filter: filter_pb2.Filter | None
    order_by: str
    size: int
    """The most resources to return; 0 returns only the count."""
    skip: int = 0
    page_token: str = ""
    count_total: bool = False


@dataclass(frozen=True, slots=True)
class ResultPage:
    """One page of one resource type: projected resources, and the token of the next page."""

    count: int
    """The number of resources on the page."""
    json: bytes | AsyncGenerator[bytes, None]
    """The resources as JSON, separated by commas; many are serialized while they are sent."""
    total: int
    """The number of resources on all pages, if the query asks for it."""
    next_page_token: str
    """Empty on the last page."""


class SearchSource(Protocol):
    """Lists the resources of one type."""

    resource_type: ResourceType

    async def page(
        self, request: ScimRequest, projection: Projection, query: PageQuery
    ) -> ResultPage:
        """Read one page of the resources of the caller's organization."""
        ...


@dataclass(frozen=True, slots=True)
class Query:
    """A search request, translated for one resource type."""

    source: SearchSource
    projection: Projection
    filter: filter_pb2.Filter | None
    order_by: str

    async def page(
        self,
        request: ScimRequest,
        size: int,
        *,
        skip: int = 0,
        page_token: str = "",
        count_total: bool = False,
    ) -> ResultPage:
        query = PageQuery(self.filter, self.order_by, size, skip, page_token, count_total)
        return await self.source.page(request, self.projection, query)


@dataclass(frozen=True, slots=True)
class Position:
    """A position in a list: the index of a query, and the page token in that query."""

    index: int
    size: int
    """The size of the pages of a cursor; 0 for a walk, whose pages may differ in size."""
    page_token: str

    @classmethod
    def read(cls, text: str) -> "Position":
        """The position in a verified cursor or in a walk, which this service wrote."""
        index, size, page_token = text.split(_SEPARATOR, 2)
        return cls(int(index), int(size), page_token)

    def text(self) -> str:
        return _SEPARATOR.join((str(self.index), str(self.size), self.page_token))

    def after(self, part: ResultPage) -> "Position":
        """The position after a page that was read."""
        index = self.index if part.next_page_token else self.index + 1
        return Position(index, self.size, part.next_page_token)


@dataclass(frozen=True, slots=True)
class IndexPage:
    """A page by index, the number of all resources of the list, and the position after the page."""

    parts: Sequence[ResultPage]
    total: int
    position: Position

    @property
    def count(self) -> int:
        """The number of resources on the page."""
        return sum(part.count for part in self.parts)


async def read_from(
    request: ScimRequest, queries: Sequence[Query], position: Position, size: int
) -> tuple[list[ResultPage], Position]:
    """Read up to `size` resources from a position on. Returns the position after them, too."""
    parts: list[ResultPage] = []
    count = 0
    while position.index < len(queries) and count < size:
        part = await queries[position.index].page(
            request, size - count, page_token=position.page_token
        )
        parts.append(part)
        count += part.count
        position = position.after(part)
        if part.next_page_token:
            break
    return parts, position


async def continue_walk(
    request: ScimRequest, queries: Sequence[Query], page: paging.Page, start: PageStart
) -> IndexPage | None:
    """Read the next page of a walk, or repeat its latest page.

    The total is the number that the first page counted. On the final page, it is the number of
    resources that the walk has returned. Returns None if usersvc does not know the position, which
    another release stored.
    """
    begin = Position.read(start.position)
    try:
        parts, after = await read_from(request, queries, begin, page.count)
    except RefusedError as refusal:
        if refusal.reason == "INVALID_PAGE_TOKEN":
            return None
        raise
    count = sum(part.count for part in parts)
    end = page.start_index - 1 + count
    if after.index >= len(queries):
        return IndexPage(parts, end if count else end - start.skipped, after)
    return IndexPage(parts, _total(page, start.total + start.skipped, after), after)


async def skip_to_index(
    request: ScimRequest, queries: Sequence[Query], page: paging.Page
) -> IndexPage:
    """Read the page at an index of the current list."""
    skip, size, total, count = page.start_index - 1, page.count, 0, 0
    parts: list[ResultPage] = []
    after = Position(len(queries), 0, "")
    for index, query in enumerate(queries):
        part = await query.page(request, size - count, skip=skip, count_total=True)
        parts.append(part)
        if count < size:
            after = Position(index, 0, "").after(part)
        elif after.index == index and not part.total:  # the page is full, and this type is empty
            after = Position(index + 1, 0, "")
        count += part.count
        total += part.total
        skip = max(0, skip - part.total)
        if part.next_page_token:
            # Large resources may fill the page early: the other types are on later pages.
            size = count
    return IndexPage(parts, _total(page, total, after), after)


def _total(page: paging.Page, total: int, after: Position) -> int:
    """The total for a page after which the walk continues.

    It is never below the index of the next page, or the client would stop. Resources of this page
    may have been deleted before they were counted. After a page that large resources filled early,
    some clients add `count` to the index instead of the number of resources.
    """
    return max(total, page.start_index + page.count) if after.page_token else total
