"""Queries (RFC 7644 section 3.4.2): of one type of resources, or of all of them at the root.

GET with parameters and POST to `/.search` are the same query. At the root the
types follow one another, groups before users, as one list with one count.
"""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final, Protocol

from cloudacademy.users.v1 import filter_pb2

from gateway.api.query.cursors import Cursors
from gateway.api.query.sorting import NEWEST_FIRST, order_by, usual_order
from gateway.api.request import ScimRequest, streamed_answer
from gateway.convert.filter import to_filter
from gateway.http.responses import ScimResponse
from gateway.scim import paging, projection, search
from gateway.scim.errors import ScimError
from gateway.scim.filter import simplify as fold
from gateway.scim.projection import Projection
from gateway.scim.responses import dumps, list_head
from gateway.scim.schema import ResourceType
from gateway.scim.search import SearchRequest


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a list is wanted, in the terms of the contract."""

    filter: filter_pb2.Filter | None
    order_by: str
    size: int
    """How many resources at most. None at all when 0, only what else is asked for."""
    skip: int = 0
    page_token: str = ""
    count_total: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A part of a list: projected resources, and where the next part begins, if there is one."""

    count: int
    """How many resources these are."""
    json: bytes | AsyncGenerator[bytes, None]
    """The resources as JSON with commas between them; many are built while they are sent."""
    total: int
    next_page_token: str


class Source(Protocol):
    """Resources of one type that can be queried."""

    resource_type: ResourceType

    async def page(self, exchange: ScimRequest, view: Projection, part: Part) -> Found:
        """Read a part of the caller's resources."""
        ...


@dataclass(frozen=True, slots=True)
class _Query:
    """What a request means for the resources of one type."""

    source: Source
    view: Projection
    filter: filter_pb2.Filter | None
    order_by: str

    async def page(
        self,
        exchange: ScimRequest,
        size: int,
        *,
        skip: int = 0,
        page_token: str = "",
        count_total: bool = False,
    ) -> Found:
        part = Part(self.filter, self.order_by, size, skip, page_token, count_total)
        return await self.source.page(exchange, self.view, part)


class Search:
    """The query of one or of several types of resources."""

    def __init__(self, sources: Sequence[Source], cursors: Cursors) -> None:
        self._sources = sources
        self._cursors = cursors

    async def get(self, exchange: ScimRequest) -> ScimResponse:
        """GET with parameters (section 3.4.2)."""
        return await self._answer(exchange, search.from_parameters(exchange.parameters))

    async def post(self, exchange: ScimRequest) -> ScimResponse:
        """POST to /.search (section 3.4.3)."""
        return await self._answer(exchange, await exchange.parsed(search.from_document))

    async def _answer(self, exchange: ScimRequest, request: SearchRequest) -> ScimResponse:
        if request.cursor is None:
            return await self._by_index(exchange, request)
        return await self._by_cursor(exchange, request, request.cursor)

    async def _by_index(self, exchange: ScimRequest, request: SearchRequest) -> ScimResponse:
        page = paging.parse(request.start_index, request.count)
        skip, total, count = page.start_index - 1, 0, 0
        parts: list[Found] = []
        for query in self._queries(exchange, request):
            size = page.count - count
            found = await query.page(exchange, size, skip=skip, count_total=True)
            parts.append(found)
            count += found.count
            total += found.total
            skip = max(0, skip - found.total)
            if found.next_page_token and found.count < size:
                # The page is full of large resources: the rest is on pages to come.
                page = replace(page, count=count)
        return await _list(exchange, list_head(count, total, page.start_index), parts)

    async def _by_cursor(
        self, exchange: ScimRequest, request: SearchRequest, cursor: str
    ) -> ScimResponse:
        size = request.size()
        queries = self._queries(exchange, request)
        position = self._opened(exchange, request, cursor) if cursor else _Position(0, size, "")
        if position.size != size:
            raise search.invalid_count()
        if size == 0:
            return await _count(exchange, queries)
        parts: list[Found] = []
        count = 0
        while position.index < len(queries) and count < size:
            found = await queries[position.index].page(
                exchange, size - count, page_token=position.page_token
            )
            parts.append(found)
            count += found.count
            position = position.behind(found)
            if found.next_page_token:
                break
        if position.index < len(queries):
            next_cursor = self._cursors.seal(
                exchange.organization_id, self._identity(request), position.text()
            )
            return await _page(exchange, parts, None, next_cursor)
        return await _page(exchange, parts, None if cursor else count, None)

    def _opened(self, exchange: ScimRequest, request: SearchRequest, cursor: str) -> "_Position":
        text = self._cursors.open(exchange.organization_id, self._identity(request), cursor)
        return _Position.read(text)

    def _identity(self, request: SearchRequest) -> str:
        types = [source.resource_type.name for source in self._sources]
        return json.dumps([types, *request.identity()])

    def _queries(self, exchange: ScimRequest, request: SearchRequest) -> list[_Query]:
        """What is to be asked of whom; types that no resource can match are not asked."""
        types = tuple(exchange.own(source.resource_type) for source in self._sources)
        orders = _orders(types, request)
        meanings: Sequence[fold.Meaning] = [True] * len(types)
        if request.filter is not None:
            meanings = fold.parse(types, request.filter)
        return [
            _Query(
                source,
                projection.parse(own_type, request.attributes, request.excluded_attributes),
                None if isinstance(meaning, bool) else to_filter(meaning),
                order if request.sort_by else usual_order(meaning),
            )
            for source, own_type, meaning, order in zip(
                self._sources, types, meanings, orders, strict=True
            )
            if meaning is not False
        ]


def _orders(types: Sequence[ResourceType], request: SearchRequest) -> list[str]:
    """The order of each type; one without the attribute keeps its usual order."""
    orders: list[str] = []
    refusals: list[ScimError] = []
    for resource_type in types:
        try:
            orders.append(order_by(resource_type, request.sort_by, request.sort_order))
        except ScimError as refusal:
            refusals.append(refusal)
            orders.append(NEWEST_FIRST)
    if len(refusals) == len(types):
        raise refusals[0]
    return orders


@dataclass(frozen=True, slots=True)
class _Position:
    """Where a page by cursor begins: in which query, and behind which of its resources."""

    index: int
    size: int
    page_token: str

    @classmethod
    def read(cls, text: str) -> "_Position":
        """The position in an opened cursor, which is ours since its seal was whole."""
        index, size, page_token = text.split(_SEPARATOR, 2)
        return cls(int(index), int(size), page_token)

    def text(self) -> str:
        return _SEPARATOR.join((str(self.index), str(self.size), self.page_token))

    def behind(self, found: Found) -> "_Position":
        """The position of the page behind one that was found."""
        index = self.index if found.next_page_token else self.index + 1
        return _Position(index, self.size, found.next_page_token)


_SEPARATOR: Final = ":"


async def _count(exchange: ScimRequest, queries: Sequence[_Query]) -> ScimResponse:
    """A page of no resources has none behind it: it says how many there are."""
    total = 0
    for query in queries:
        total += (await query.page(exchange, 0, count_total=True)).total
    return await _page(exchange, [], total, None)


async def _page(
    exchange: ScimRequest, parts: Sequence[Found], total: int | None, next_cursor: str | None
) -> ScimResponse:
    """A page by cursor; without a count of all, it costs the same at the end of a long walk."""
    count = sum(part.count for part in parts)
    return await _list(exchange, list_head(count, total, None, next_cursor=next_cursor), parts)


async def _list(
    exchange: ScimRequest, head: Mapping[str, object], parts: Sequence[Found]
) -> ScimResponse:
    """A ListResponse of the resources that were found."""
    begin = dumps(head)[:-1] + b',"Resources":['
    if len(parts) == 1 and isinstance(parts[0].json, bytes):
        return ScimResponse(200, begin + parts[0].json + b"]}")
    return await streamed_answer(exchange, _json(begin, parts), {})


async def _json(begin: bytes, parts: Sequence[Found]) -> AsyncGenerator[bytes, None]:
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
