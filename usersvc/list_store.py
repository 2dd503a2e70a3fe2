"""Pages and counts of any resource."""

from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

from chassis.database import Database
from usersvc import list_sql
from usersvc.fields import Resource
from usersvc.filter_sql import Where
from usersvc.filters import Filter, Page, Position, Query

Row = Any  # asyncpg is untyped
Item = TypeVar("Item")


async def page(
    database: Database, query: Query, resource: Resource, read: Callable[[Row], Item]
) -> Page[Item]:
    """What a query asks for. Refuses UnknownField and InvalidFilter."""
    where = Where(query.organization_id)
    statement = list_sql.page_statement(where, query, resource)
    async with database.connection() as db:
        rows = await db.fetch(statement, *where.arguments)

    def position(index: int) -> Position:
        return Position(rows[index]["order_key"], rows[index][resource.id])

    more = len(rows) > query.size
    items = [read(row) for row in rows[: query.size]]
    return Page(items, position(query.size - 1) if more else None, position)


async def count(
    database: Database, organization_id: UUID, filter_: Filter | None, resource: Resource
) -> int:
    """How many satisfy a filter. Refuses UnknownField and InvalidFilter."""
    where = Where(organization_id)
    statement = list_sql.count_statement(where, filter_, resource)
    async with database.connection() as db:
        found: int = await db.fetchval(statement, *where.arguments)
    return found
