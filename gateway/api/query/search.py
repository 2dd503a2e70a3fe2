"""Queries (RFC 7644 section 3.4.2) of one resource type, or of all types at the root.

A GET with parameters and a POST to `/.search` are equivalent. A query at the root lists all types,
groups before users, as one list with one count.
"""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

from gateway.api.query.cursors import Cursors
from gateway.api.query.pages import (
    Position,
    Query,
    ResultPage,
    SearchSource,
    continue_walk,
    read_from,
    skip_to_index,
)
from gateway.api.query.sorting import NEWEST_FIRST, default_order, order_by
from gateway.api.query.walks import ReadPage, Walks
from gateway.api.request import ScimRequest, streamed_response
from gateway.convert.filter import to_filter
from gateway.http.responses import ScimResponse
from gateway.scim import paging, search
from gateway.scim.errors import ScimError
from gateway.scim.filter import simplify
from gateway.scim.projection import parse as parse_projection
from gateway.scim.responses import dumps, list_head
from gateway.scim.schema import ResourceType
from gateway.scim.search import SearchRequest


class Search:
    """The query endpoint of one or of several resource types."""

    def __init__(self, sources: Sequence[SearchSource], cursors: Cursors, walks: Walks) -> None:
        self._sources = sources
        self._cursors = cursors
        self._walks = walks

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
        """A page by index. One that continues a walk begins where the page before has ended."""
        page = paging.parse(search_request.start_index, search_request.count)
        queries = self._queries(request, search_request)
        start = read = None
        if page.start_index > 1 and page.count:
            identity = self._identity(search_request)
            start = await self._walks.find(request, identity, page.start_index)
        if start is not None:
            read = await continue_walk(request, queries, page, start)
        if read is None:
            start, read = None, await skip_to_index(request, queries, page)
        if start is not None or (read.count and read.position.index < len(queries)):
            text = read.position.text()
            done = ReadPage(page.start_index, page.count, read.count, text, read.total)
            await self._walks.save(request, self._identity(search_request), done, start)
        head = list_head(read.count, read.total, page.start_index)
        return await _list(request, head, read.parts)

    async def _by_cursor(
        self, request: ScimRequest, search_request: SearchRequest, cursor: str
    ) -> ScimResponse:
        size = search_request.page_size()
        queries = self._queries(request, search_request)
        position = self._open(request, search_request, cursor) if cursor else Position(0, size, "")
        if position.size != size:
            raise search.invalid_count()
        if size == 0:
            return await _count(request, queries)
        parts, position = await read_from(request, queries, position, size)
        if position.index < len(queries):
            next_cursor = self._cursors.sign(
                request.organization_id, self._identity(search_request), position.text()
            )
            return await _page(request, parts, None, next_cursor)
        count = sum(part.count for part in parts)
        return await _page(request, parts, None if cursor else count, None)

    def _open(self, request: ScimRequest, search_request: SearchRequest, cursor: str) -> Position:
        text = self._cursors.verify(request.organization_id, self._identity(search_request), cursor)
        return Position.read(text)

    def _identity(self, search_request: SearchRequest) -> str:
        types = [source.resource_type.name for source in self._sources]
        return json.dumps([types, *search_request.identity()])

    def _queries(self, request: ScimRequest, search_request: SearchRequest) -> list[Query]:
        """The query of each type; without the types whose resources cannot match the filter."""
        types = tuple(request.own(source.resource_type) for source in self._sources)
        orders = _orders(types, search_request)
        simplified: Sequence[simplify.SimplifiedFilter] = [True] * len(types)
        if search_request.filter is not None:
            simplified = simplify.parse(types, search_request.filter)
        return [
            Query(
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


async def _count(request: ScimRequest, queries: Sequence[Query]) -> ScimResponse:
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
