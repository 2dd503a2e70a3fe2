"""Pages and single entries of the provisioning log."""

from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

from chassis.database.pool import Database
from chassis.errors import Refusal
from usersvc.domain.activities import Activity, Query
from usersvc.domain.errors import ACTIVITY_NOT_FOUND
from usersvc.store.activities import search
from usersvc.store.activities.counts import slots
from usersvc.store.activities.page_sql import page_statement, reads_changes, reads_refusals
from usersvc.store.activities.rows import CHANGES, REFUSALS, Row, activity
from usersvc.store.id_lookups import look_up
from usersvc.store.listing.filter_sql import Where
from usersvc.store.listing.scans import Scan, Scans


class ActivityStore:
    """Reads the log. Every statement is limited to one organization."""

    def __init__(self, database: Database, scans: Scans | None = None) -> None:
        self._database = database
        self._scans = scans or slots(database)

    async def page(self, query: Query) -> list[Activity]:
        """A page of activities, newest first, and one more activity if there is another page.

        Refuses FILTER_TOO_COSTLY.
        """
        if not (reads_changes(query) or reads_refusals(query)):
            return []
        rows = await (self._search(query) if query.text else self._latest(query))
        return await self._with_member_names([activity(row) for row in rows])

    async def get(self, organization_id: UUID, number: int, since: datetime) -> Activity:
        """One activity since a time. Refuses ACTIVITY_NOT_FOUND."""
        async with self._database.connection() as db:
            row = await db.fetchrow(_GET, organization_id, number, since)
        if row is None:
            raise Refusal(ACTIVITY_NOT_FOUND)
        (found,) = await self._with_member_names([activity(row)])
        return found

    async def _latest(self, query: Query) -> list[Row]:
        where = Where(query.organization_id)
        statement = page_statement(where, query)
        return await self._fetch(statement, where, is_scan=query.is_scan)

    async def _search(self, query: Query) -> list[Row]:
        """A page of entries by name.

        A name that is frequent in the log fills the page from its newest entries. A rare one is
        first resolved to the users and groups that have or had it.
        """
        where = Where(query.organization_id)
        rows = await self._fetch(search.recent_statement(where, query), where)
        hits = [row for row in rows if row["number"] is not None]
        if len(hits) > query.size or rows[0]["entries_read"] < search.RECENT_ENTRIES:
            return hits[: query.size + 1]
        where = Where(query.organization_id)
        found = await self._fetch(search.resources_statement(where, query), where)
        resource_ids = {row["resource_id"] for row in found}
        where = Where(query.organization_id)
        if len(resource_ids) > search.MAX_RESOURCES:
            statement = search.scan_statement(where, query)
            return await self._fetch(statement, where, is_scan=True)
        return await self._fetch(search.page_statement(where, query, resource_ids), where)

    async def _fetch(self, statement: str, where: Where, *, is_scan: bool = False) -> list[Row]:
        fetch = self._scans.fetch if is_scan else self._scans.fetch_indexed
        scan = Scan(where.organization_id, statement, where.arguments)
        return await fetch(scan, self._database.connection())

    async def _with_member_names(self, found: list[Activity]) -> list[Activity]:
        """Add the current names to the members of activities."""
        ids = {member.resource_id for each in found for member in each.members}
        if not ids:
            return found
        async with self._database.connection() as db:
            names = dict(await db.fetch(_NAMES, found[0].organization_id, ids))
        return [
            replace(
                each,
                members=tuple(
                    replace(member, name=names.get(member.resource_id, ""))
                    for member in each.members
                ),
            )
            for each in found
        ]


# --- statements -------------------------------------------------------------------------

_GET: Final = f"""
    {CHANGES} WHERE organization_id = $1 AND number = $2 AND create_time >= $3
    UNION ALL
    {REFUSALS} WHERE organization_id = $1 AND number = $2 AND create_time >= $3
"""

_NAMES: Final = f"""
    {look_up("user_id, coalesce(display_name, user_name)", "users", "user_id")}
    UNION ALL
    {look_up("group_id, display_name", "groups", "group_id")}
"""
