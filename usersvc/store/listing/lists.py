"""Pages and counts of any resource."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from chassis.database.pool import Database
from usersvc.domain.filters import AllOf, Filter, OneOf, Order, Page, Position, Query
from usersvc.store import directory_counts
from usersvc.store.listing import list_sql, name_search
from usersvc.store.listing.fields import Resource
from usersvc.store.listing.filter_sql import Where
from usersvc.store.listing.keys import keys_of
from usersvc.store.listing.scans import Scan, Scans

Row = Any  # asyncpg is untyped
Item = TypeVar("Item")


class Lists:
    """Reads pages and counts. A filter or order that no index serves runs as a scan."""

    def __init__(self, database: Database, scans: Scans | None = None) -> None:
        self._database = database
        self._scans = scans or Scans(database)
        # Slots of their own: a frequent text makes the index read much, but never all users.
        self._searches = Scans(database)
        self._directory_counts = directory_counts.DirectoryCountStore(database)

    async def page(
        self, query: Query, resource: Resource, read: Callable[[Row], Item]
    ) -> Page[Item]:
        """Read a page. Refuses UNKNOWN_FIELD, INVALID_FILTER and FILTER_TOO_COSTLY."""
        where = Where(query.organization_id)
        statement = list_sql.page_statement(where, query, resource)
        rows = await self._search(query, resource)
        if rows is None:
            rows = await self._fetch(statement, where, query.filter, resource, query.order)

        def position(index: int) -> Position:
            return Position(rows[index]["order_key"], rows[index][resource.id])

        more = len(rows) > query.size
        items = [read(row) for row in rows[: query.size]]
        return Page(items, position(query.size - 1) if more else None, position)

    async def count(self, organization_id: UUID, filter_: Filter | None, resource: Resource) -> int:
        """Count matches of a filter. Refuses UNKNOWN_FIELD, INVALID_FILTER, FILTER_TOO_COSTLY."""
        select = directory_counts.count_selector(filter_, resource)
        counts = select and await self._directory_counts.read(organization_id)
        if select and counts:
            return select(counts)
        where = Where(organization_id)
        statement = list_sql.count_statement(where, filter_, resource)
        if _is_search(filter_, resource):
            ids = await self._candidates(organization_id, filter_, resource)
            if ids is not None and not ids:
                return 0
            filter_, where = _with_ids(filter_, ids), Where(organization_id)
            statement = list_sql.count_statement(where, filter_, resource)
        rows = await self._fetch(statement, where, filter_, resource)
        found: int = rows[0][0]
        return found

    async def _search(self, query: Query, resource: Resource) -> list[Row] | None:
        """The rows of a page of a search by name; None if the filter is none, or finds too many.

        A frequent name fills the page from the first resources. Others are found by the index.
        """
        if not _is_search(query.filter, resource):
            return None
        if query.order.field == "id":
            where = Where(query.organization_id)
            statement = name_search.window_end_statement(where, query, resource)
            ends = await self._fetch_indexed(statement, where)
            if not ends:
                return None
            where = Where(query.organization_id)
            statement = list_sql.page_statement(where, query, resource, ends[0]["id"])
            rows = await self._fetch_indexed(statement, where)
            if len(rows) > query.size:
                return rows
        ids = await self._candidates(query.organization_id, query.filter, resource)
        if not ids:
            return ids
        where = Where(query.organization_id)
        found = replace(query, filter=_with_ids(query.filter, ids))
        statement = list_sql.page_statement(where, found, resource)
        return await self._fetch_indexed(statement, where)

    async def _candidates(
        self, organization_id: UUID, filter_: Filter | None, resource: Resource
    ) -> list[UUID] | None:
        """The ids that the name index finds for a filter; None if there are too many."""
        where = Where(organization_id)
        texts = name_search.texts_of(filter_, resource.scope)
        statement = name_search.candidates_statement(where, texts, resource)
        scan = Scan(where.organization_id, statement, where.arguments)
        rows = await self._searches.fetch(scan, self._database.connection())
        return [row["id"] for row in rows] if len(rows) <= name_search.MAX_CANDIDATES else None

    async def _fetch_indexed(self, statement: str, where: Where) -> list[Row]:
        scan = Scan(where.organization_id, statement, where.arguments)
        return await self._scans.fetch_indexed(scan, self._database.connection())

    async def _fetch(
        self,
        statement: str,
        where: Where,
        filter_: Filter | None,
        resource: Resource,
        order: Order | None = None,
    ) -> list[Row]:
        """The rows of a count (`order` is None), or of a page."""
        selective = filter_ is not None and keys_of(filter_, resource.scope) is not None
        if selective or (filter_ is None and order is not None and order.field == "id"):
            async with self._database.connection() as db:
                return await _rows(db, statement, where)
        if filter_ is None and (order is None or list_sql.order_field(order, resource).in_order):
            async with self._custom_plans() as db:
                return await _rows(db, statement, where)
        scan = Scan(where.organization_id, statement, where.arguments)
        return await self._scans.fetch(scan, self._custom_plans())

    @asynccontextmanager
    async def _custom_plans(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection that plans for the given values: the best plan depends on the match count.

        All other statements are planned once (`plan_cache_mode`, docs/operations.md).
        """
        async with self._database.connection() as db, db.transaction():
            await db.execute(
                "SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL enable_seqscan = on"
            )
            yield db


async def _rows(db: asyncpg.Connection, statement: str, where: Where) -> list[Row]:
    rows: list[Row] = await db.fetch(statement, *where.arguments)
    return rows


def _is_search(filter_: Filter | None, resource: Resource) -> bool:
    """Whether the name index serves a filter, and no index serves it better."""
    if not name_search.texts_of(filter_, resource.scope):
        return False
    return filter_ is not None and keys_of(filter_, resource.scope) is None


def _with_ids(filter_: Filter | None, ids: Sequence[UUID] | None) -> Filter | None:
    """A filter limited to some resources, if `ids` are given."""
    if filter_ is None or ids is None:
        return filter_
    return AllOf((OneOf("id", tuple(map(str, ids))), filter_))
