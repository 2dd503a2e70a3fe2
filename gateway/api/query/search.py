"""Queries (RFC 7644 section 3.4.2) of one resource type, or of all types at the root.

A GET with parameters and a POST to `/.search` are equivalent. A query at the root lists all types,
groups before users, as one list with one count.
"""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final, Protocol

from cloudacademy.users.v1 import filter_pb2

from gateway.api.query.cursors import Cursors
from gateway.api.query.sorting import NEWEST_FIRST, default_order, order_by
from gateway.api.request import ScimRequest, streamed_response
from gateway.convert.filter import to_filter
from gateway.http.responses import ScimResponse
from gateway.scim import paging, search
from gateway.scim.errors import ScimError
from gateway.scim.filter import simplify
from gateway.scim.projection import Projection
from gateway.scim.projection import parse as parse_projection
from gateway.scim.responses import dumps, list_head
from gateway.scim.schema import ResourceType
from gateway.scim.search import SearchRequest


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
class _Query:
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


class Search:
    """The query endpoint of one or of several resource types."""

    def __init__(self, sources: Sequence[SearchSource], cursors: Cursors) -> None:
        self._sources = sources
        self._cursors = cursors

    async def get(self, request: ScimRequest) -> ScimResponse:
        """GET with parameters (section 3.4.2)."""
        return await self._respond(request, search.from_parameters(request.parameters))

    async def post(self, request: ScimRequest) -> ScimResponse:
        """POST to /.search (section 3.4.3)."""
        return await self._respond(request, await request.parsed(search.from_document))

    async def _respond(self, request: ScimRequest, search_request: SearchRequest) -> ScimResponse:
        if search_request.cursor is None:
            return await self._by_index(request, search_request)
        return await self._by_cursor(request, search_request, search_request.cursor)

    async def _by_index(self, request: ScimRequest, search_request: SearchRequest) -> ScimResponse:
        page = paging.parse(search_request.start_index, search_request.count)
        skip, total, count = page.start_index - 1, 0, 0
        parts: list[ResultPage] = []
        for query in self._queries(request, search_request):
            size = page.count - count
            part = await query.page(request, size, skip=skip, count_total=True)
            parts.append(part)
            count += part.count
            total += part.total
            skip = max(0, skip - part.total)
            if part.next_page_token and part.count < size:
                # Large resources filled the page early: the other types are on later pages.
                page = replace(page, count=count)
        return await _list(request, list_head(count, total, page.start_index), parts)

    async def _by_cursor(
        self, request: ScimRequest, search_request: SearchRequest, cursor: str
    ) -> ScimResponse:
        size = search_request.page_size()
        queries = self._queries(request, search_request)
        position = self._open(request, search_request, cursor) if cursor else _Position(0, size, "")
        if position.size != size:
            raise search.invalid_count()
        if size == 0:
            return await _count(request, queries)
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
        if position.index < len(queries):
            next_cursor = self._cursors.sign(
                request.organization_id, self._identity(search_request), position.text()
            )
            return await _page(request, parts, None, next_cursor)
        return await _page(request, parts, None if cursor else count, None)

    def _open(
        self, request: ScimRequest, search_request: SearchRequest, cursor: str
    ) -> "_Position":
        text = self._cursors.verify(request.organization_id, self._identity(search_request), cursor)
        return _Position.read(text)

    def _identity(self, search_request: SearchRequest) -> str:
        types = [source.resource_type.name for source in self._sources]
        return json.dumps([types, *search_request.identity()])

    def _queries(self, request: ScimRequest, search_request: SearchRequest) -> list[_Query]:
        """The query of each type; without the types whose resources cannot match the filter."""
        types = tuple(request.own(source.resource_type) for source in self._sources)
        orders = _orders(types, search_request)
        simplified: Sequence[simplify.SimplifiedFilter] = [True] * len(types)
        if search_request.filter is not None:
            simplified = simplify.parse(types, search_request.filter)
        return [
            _Query(
                source,
                parse_projection(
                    own_type, search_request.attributes, search_request.excluded_attributes
                ),
                None if isinstance(meaning, bool) else to_filter(meaning),
                order if search_request.sort_by else default_order(meaning),
            )
            for source, own_type, meaning, order in zip(
                self._sources, types, simplified, orders, strict=True
            )
            if meaning is not False
        ]


def _orders(types: Sequence[ResourceType], search_request: SearchRequest) -> list[str]:
    """The order for each type; a type without the attribute keeps its default order.

    Refuses (invalidValue) an attribute that no type can be sorted by.
    """
    orders: list[str] = []
    refusals: list[ScimError] = []
    for resource_type in types:
        try:
            orders.append(
                order_by(resource_type, search_request.sort_by, search_request.sort_order)
            )
        except ScimError as refusal:
            refusals.append(refusal)
            orders.append(NEWEST_FIRST)
    if len(refusals) == len(types):
        raise refusals[0]
    return orders


@dataclass(frozen=True, slots=True)
class _Position:
    """The position of a cursor: the index of a query, and the page token in that query."""

    index: int
    size: int
    page_token: str

    @classmethod
    def read(cls, text: str) -> "_Position":
        """The position in a verified cursor, which this service wrote."""
        index, size, page_token = text.split(_SEPARATOR, 2)
        return cls(int(index), int(size), page_token)

    def text(self) -> str:
        return _SEPARATOR.join((str(self.index), str(self.size), self.page_token))

    def after(self, part: ResultPage) -> "_Position":
        """The position after a page that was read."""
        index = self.index if part.next_page_token else self.index + 1
        return _Position(index, self.size, part.next_page_token)


_SEPARATOR: Final = ":"


async def _count(request: ScimRequest, queries: Sequence[_Query]) -> ScimResponse:
    """The response for count=0: only the total, and no next page."""
    total = 0
    for query in queries:
        total += (await query.page(request, 0, count_total=True)).total
    return await _page(request, [], total, None)


async def _page(
    request: ScimRequest, parts: Sequence[ResultPage], total: int | None, next_cursor: str | None
) -> ScimResponse:
    """A cursor page. It has no total, so a late page costs no more than an early one."""
    count = sum(part.count for part in parts)
    return await _list(request, list_head(count, total, None, next_cursor=next_cursor), parts)


async def _list(
    request: ScimRequest, head: Mapping[str, object], parts: Sequence[ResultPage]
) -> ScimResponse:
    """A ListResponse with the resources of `parts`."""
    begin = dumps(head)[:-1] + b',"Resources":['
    if len(parts) == 1 and isinstance(parts[0].json, bytes):
        return ScimResponse(200, begin + parts[0].json + b"]}")
    return await streamed_response(request, _json(begin, parts), {})


async def _json(begin: bytes, parts: Sequence[ResultPage]) -> AsyncGenerator[bytes, None]:
    before = begin
    for part in parts:
        if part.count:
            yield before
            before = b","
            if isinstance(part.json, bytes):
                yield part.json
                continue
            async with aclosing(part.json):
                async for piece in part.json:
                    yield piece
    yield b"]}" if before == b"," else begin + b"]}"
