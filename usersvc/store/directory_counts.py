"""Exact numbers of users and groups of each organization, read without counting their rows.

The table `directory_counts` contains the effect of all changes up to number `change_feed.counted`.
A background task adds later changes in the order of their numbers, and updates `counted` in the
same transaction. One replica at a time does this. A reader takes the counts from the table and adds
the changes after `counted`. Each change is committed together with its effect, so a snapshot
contains both or neither, and the result is exact. Writes update no counter, so they do not wait for
each other.
"""

from collections.abc import Callable
from typing import Final, TypeAlias
from uuid import UUID

import asyncpg

from chassis.database.pool import Database
from usersvc.domain.changes import ChangeType
from usersvc.domain.directory import DirectoryCounts
from usersvc.domain.filters import Comparison, Filter, Operator
from usersvc.store.listing.fields import Resource

BATCH_CHANGES: Final = 10_000
COUNT_ALL_SECONDS: Final = 900.0
"""The time limit for counting the users and groups of all organizations."""

CountSelector: TypeAlias = Callable[[DirectoryCounts], int]


def count_selector(filter_: Filter | None, resource: Resource) -> CountSelector | None:
    """Select the stored count of the resources that match a filter; None if there is none."""
    if resource.table == "groups":
        return (lambda counts: counts.groups) if filter_ is None else None
    match filter_:
        case None:
            return lambda counts: counts.users
        case Comparison("active", Operator.EQUAL, True) | Comparison(
            "active", Operator.NOT_EQUAL, False
        ):
            return lambda counts: counts.active_users
        case Comparison("active", Operator.EQUAL, False) | Comparison(
            "active", Operator.NOT_EQUAL, True
        ):
            return lambda counts: counts.users - counts.active_users
        case _:
            return None


class DirectoryCountStore:
    """Reads and maintains the counts. Every replica may call it at any time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, organization_id: UUID) -> DirectoryCounts | None:
        """The counts of an organization; None until all rows have been counted once."""
        async with self._database.connection() as db:
            counted, *counts = await db.fetchrow(_READ, organization_id)
        return None if counted is None else DirectoryCounts(*counts)

    async def roll_up(self) -> int:
        """Count all rows the first time; after that, add one batch of changes to the counts.

        Returns the number of organizations counted, or of changes read. Returns 0 if no change is
        left, while another replica does this, and while transactions that are older than the
        migration prevent the first count.
        """
        async with self._database.transaction() as db:
            if not await db.fetchval("SELECT pg_try_advisory_xact_lock($1, 0)", _LOCK):
                return 0
            counted, horizon, can_count = await db.fetchrow(_POSITION)
            # Each statement has a snapshot of its own. The statements below see every change up to
            # the horizon, because their snapshots are newer than the one that read it.
            if counted is not None:
                return await _add(db, counted, horizon) if horizon > counted else 0
            return await _count_all(db, horizon) if can_count else 0


async def _add(db: asyncpg.Connection, counted: int, horizon: int) -> int:
    last = await db.fetchval(_LAST_OF_BATCH, counted, horizon, BATCH_CHANGES)
    added: int = await db.fetchval(_ADD, counted, last)
    await db.execute(_RECORD, last)
    # A full batch may leave every count as it was, so 0 would wrongly mean that no change is left.
    return BATCH_CHANGES if last < horizon else added


async def _count_all(db: asyncpg.Connection, horizon: int) -> int:
    await db.execute("DELETE FROM directory_counts")
    organizations: int = await db.fetchval(_COUNT_ALL, horizon, timeout=COUNT_ALL_SECONDS)
    await db.execute(_RECORD, horizon)
    return organizations


# --- statements -------------------------------------------------------------------------

_LOCK: Final = 0x636F756E  # "coun": the class of the advisory lock

_TYPES: Final = (
    f"{ChangeType.USER_CREATED:d}, {ChangeType.USER_ACTIVATED:d}, {ChangeType.USER_DEACTIVATED:d},"
    f" {ChangeType.USER_DELETED:d}, {ChangeType.GROUP_CREATED:d}, {ChangeType.GROUP_DELETED:d}"
)

_DIFFERENCES: Final = f"""
    SELECT organization_id,
           CASE type WHEN {ChangeType.USER_CREATED:d} THEN 1
                     WHEN {ChangeType.USER_DELETED:d} THEN -1 ELSE 0 END AS users,
           CASE type WHEN {ChangeType.USER_CREATED:d} THEN active::integer
                     WHEN {ChangeType.USER_ACTIVATED:d} THEN 1
                     WHEN {ChangeType.USER_DEACTIVATED:d} THEN -1 ELSE 0 END AS active_users,
           CASE type WHEN {ChangeType.GROUP_CREATED:d} THEN 1
                     WHEN {ChangeType.GROUP_DELETED:d} THEN -1 ELSE 0 END AS groups
      FROM changes
     WHERE type IN ({_TYPES})
"""  # noqa: S608

_DELETED_ACTIVE: Final = "SELECT organization_id, 0, -1, 0 FROM deleted_active_users WHERE true"

# NULL if all rows must be counted: the first time, and after changes were deleted before they were
# counted. Retention deletes such changes only if the background task has not run for weeks.
_COUNTED: Final = "CASE WHEN counted >= trimmed THEN counted END"

# One statement reads `counted`, the counts and the changes in one snapshot, so that it counts no
# change twice.
_READ: Final = f"""
    SELECT (SELECT {_COUNTED} FROM change_feed), coalesce(sum(users), 0)::bigint,
           coalesce(sum(active_users), 0)::bigint, coalesce(sum(groups), 0)::bigint
      FROM (SELECT users, active_users, groups
              FROM directory_counts
             WHERE organization_id = $1
             UNION ALL
            SELECT users, active_users, groups
              FROM ({_DIFFERENCES} AND organization_id = $1
                                   AND number > (SELECT counted FROM change_feed)
                     UNION ALL
                    {_DELETED_ACTIVE} AND organization_id = $1
                                      AND number > (SELECT counted FROM change_feed)) AS new)
           AS part
"""  # noqa: S608

_POSITION: Final = f"""
    SELECT {_COUNTED}, change_horizon(), change_horizon() >= countable_from
      FROM change_feed
"""  # noqa: S608

_LAST_OF_BATCH: Final = """
    SELECT coalesce((SELECT number FROM changes WHERE number > $1 AND number <= $2
                      ORDER BY number OFFSET $3 - 1 LIMIT 1), $2)
"""

_ADD: Final = f"""
    WITH deleted AS (
        DELETE FROM deleted_active_users
         WHERE number > $1 AND number <= $2
        RETURNING organization_id
    ), difference AS (
        {_DIFFERENCES} AND number > $1 AND number <= $2
         UNION ALL
        SELECT organization_id, 0, -1, 0 FROM deleted
    ), added AS (
        INSERT INTO directory_counts AS counts (organization_id, users, active_users, groups)
        SELECT organization_id, sum(users), sum(active_users), sum(groups)
          FROM difference
         GROUP BY organization_id
         ORDER BY organization_id
            ON CONFLICT (organization_id) DO UPDATE
           SET users = counts.users + excluded.users,
               active_users = counts.active_users + excluded.active_users,
               groups = counts.groups + excluded.groups
    )
    SELECT count(*) FROM difference
"""  # noqa: S608

# Counts the rows as of change $1: the rows of the snapshot minus the effect of later changes.
_COUNT_ALL: Final = f"""
    WITH difference AS (
        SELECT organization_id, count(*) AS users, count(*) FILTER (WHERE active) AS active_users,
               0 AS groups
          FROM users
         GROUP BY organization_id
         UNION ALL
        SELECT organization_id, 0, 0, count(*) FROM groups GROUP BY organization_id
         UNION ALL
        SELECT organization_id, -users, -active_users, -groups
          FROM ({_DIFFERENCES} AND number > $1
                 UNION ALL
                {_DELETED_ACTIVE} AND number > $1) AS later
    ), added AS (
        INSERT INTO directory_counts (organization_id, users, active_users, groups)
        SELECT organization_id, sum(users), sum(active_users), sum(groups)
          FROM difference
         GROUP BY organization_id
        RETURNING organization_id
    ), deleted AS (
        DELETE FROM deleted_active_users WHERE number <= $1
    )
    SELECT count(*) FROM added
"""  # noqa: S608

_RECORD: Final = "UPDATE change_feed SET counted = $1"
