"""Retention of changes: weekly partitions, which are created ahead and dropped when they expire.

The high bits of a change's number are the minute of the change (migration 0012), so the number
selects the partition of a week. Dropping a partition takes the same time for any number of changes.
The database's clock decides what has expired, because the clock of a replica may be wrong.
"""

from typing import Final

import asyncpg

from chassis.database.pool import Database
from chassis.errors import DatabaseUnavailable
from usersvc.domain.changes import RETENTION

DELETE_BATCH_ROWS: Final = 5_000


class ChangePartitions:
    """Creates and drops the partitions of `changes`. Every replica may call it at any time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def maintain(self) -> int:
        """Create the partitions of this week and the next, and drop those that have expired.

        Returns the number of dropped partitions plus deleted rows. Returns 0 while another replica
        runs this, or while a reader uses a table that must be locked; the next call tries again.
        """
        try:
            async with self._database.transaction() as db:
                if not await db.fetchval("SELECT pg_try_advisory_xact_lock($1, 0)", _LOCK):
                    return 0
                await db.execute(_LOCK_TIMEOUT)
                await db.execute("SELECT create_change_partitions()")
                dropped: int = await db.fetchval("SELECT drop_change_partitions($1)", RETENTION)
                dropped += await db.fetchval(_DELETE_UNTIMED, RETENTION, DELETE_BATCH_ROWS)
                return dropped
        except DatabaseUnavailable as error:
            if isinstance(error.__cause__, asyncpg.LockNotAvailableError):
                return 0
            raise


# --- statements -------------------------------------------------------------------------

_LOCK: Final = 0x7472696D  # "trim": the class of the advisory lock

# Later statements on the table queue behind a lock request, so the request must not wait long.
_LOCK_TIMEOUT: Final = "SET LOCAL lock_timeout = '100ms'"

# Changes from before migration 0012 have numbers without a time and share one partition. So their
# rows are deleted one by one.
_DELETE_UNTIMED: Final = """
    WITH oldest AS (
        SELECT organization_id, number, create_time
          FROM changes
         WHERE number > (SELECT trimmed FROM change_feed) AND number < (1::bigint << 36)
         ORDER BY number
         LIMIT $2
    ), dropped AS (
        DELETE FROM changes
         USING oldest
         WHERE changes.organization_id = oldest.organization_id
           AND changes.number = oldest.number AND changes.number < (1::bigint << 36)
           AND oldest.create_time < now() - $1::interval
        RETURNING changes.number
    ), recorded AS (
        UPDATE change_feed
           SET trimmed = greatest(trimmed, (SELECT max(number) FROM dropped))
    )
    SELECT count(*) FROM dropped
"""
