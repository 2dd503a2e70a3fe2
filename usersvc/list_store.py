"""Pages and counts of any resource."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar
from uuid import UUID

import asyncpg

from chassis.database import Database
from chassis.refusal import DatabaseUnavailable
from usersvc import list_sql
from usersvc.errors import FilterTooCostly
from usersvc.fields import Resource
from usersvc.filter_sql import Where, finds_few
from usersvc.filters import Filter, Page, Position, Query

SCANS: Final = 3
"""How many filters that no index serves run at once; the other connections stay for the rest."""
SCAN_SECONDS: Final = 3.0

Row = Any  # asyncpg is untyped
Item = TypeVar("Item")


class Lists:
    """Reads lists of resources, with few connections and little time for costly filters."""

    def __init__(
        self, database: Database, *, scans: int = SCANS, scan_seconds: float = SCAN_SECONDS
    ) -> None:
        self._database = database
        self._scans = asyncio.Semaphore(scans)
        self._scan_seconds = scan_seconds

    async def page(
        self, query: Query, resource: Resource, read: Callable[[Row], Item]
    ) -> Page[Item]:
        """What a query asks for. Refuses UnknownField, InvalidFilter and FilterTooCostly."""
        where = Where(query.organization_id)
        statement = list_sql.page_statement(where, query, resource)
        by_id = query.filter is None and query.order.field == "id"
        rows = await self._fetch(statement, where, query.filter, resource, is_plain=by_id)

        def position(index: int) -> Position:
            return Position(rows[index]["order_key"], rows[index][resource.id])

        more = len(rows) > query.size
        items = [read(row) for row in rows[: query.size]]
        return Page(items, position(query.size - 1) if more else None, position)

    async def count(self, organization_id: UUID, filter_: Filter | None, resource: Resource) -> int:
        """How many satisfy a filter. Refuses UnknownField, InvalidFilter and FilterTooCostly."""
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
        *,
        is_plain: bool = False,
    ) -> list[Row]:
        if is_plain or (filter_ is not None and finds_few(filter_, resource.scope)):
            async with self._database.connection() as db:
                return await _rows(db, statement, where)
        if filter_ is None:
            async with self._planning() as db:
                return await _rows(db, statement, where)
        async with self._place():
            return await self._scan(statement, where)

    @asynccontextmanager
    async def _planning(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection that plans for the very values: the best way depends on how many there are.

        Elsewhere a statement is planned once (`plan_cache_mode`, docs/operations.md).
        """
        async with self._database.transaction() as db:
            await db.execute(
                "SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL enable_seqscan = on"
            )
            yield db

    async def _scan(self, statement: str, where: Where) -> list[Row]:
        began = False
        try:
            async with self._planning() as db:
                began = True
                return await _rows(db, statement, where, self._scan_seconds)
        except DatabaseUnavailable as away:
            late = began and isinstance(away.__cause__, TimeoutError)
            # A database that is away is late, too, and no fault of the filter.
            if late and await self._database.answers():
                raise FilterTooCostly from away
            raise

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """A place among the scans; whoever waits longer than one takes shall try again."""
        try:
            await asyncio.wait_for(self._scans.acquire(), self._scan_seconds)
        except TimeoutError as error:
            raise DatabaseUnavailable from error
        try:
            yield
        finally:
            self._scans.release()


async def _rows(
    db: asyncpg.Connection, statement: str, where: Where, seconds: float | None = None
) -> list[Row]:
    rows: list[Row] = await db.fetch(statement, *where.arguments, timeout=seconds)
    return rows
