"""Pages and counts of any resource."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from chassis.database.pool import Database
from usersvc.domain.filters import Filter, Order, Page, Position, Query
from usersvc.store.listing import list_sql
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

    async def page(
        self, query: Query, resource: Resource, read: Callable[[Row], Item]
    ) -> Page[Item]:
        """Read a page. Refuses UNKNOWN_FIELD, INVALID_FILTER and FILTER_TOO_COSTLY."""
        where = Where(query.organization_id)
        statement = list_sql.page_statement(where, query, resource)
        rows = await self._fetch(statement, where, query.filter, resource, query.order)

        def position(index: int) -> Position:
            return Position(rows[index]["order_key"], rows[index][resource.id])

        more = len(rows) > query.size
        items = [read(row) for row in rows[: query.size]]
        return Page(items, position(query.size - 1) if more else None, position)

    async def count(self, organization_id: UUID, filter_: Filter | None, resource: Resource) -> int:
        """Count matches of a filter. Refuses UNKNOWN_FIELD, INVALID_FILTER, FILTER_TOO_COSTLY."""
        where = Where(organization_id)
        statement = list_sql.count_statement(where, filter_, resource)
        rows = await self._fetch(statement, where, filter_, resource)
        found: int = rows[0][0]
        return found

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
