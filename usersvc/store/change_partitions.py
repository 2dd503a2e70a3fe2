"""Retention of changes: weekly partitions, which are created ahead and dropped when they expire.

The number of a change begins with its minute (migration 0012), so that the week of a change follows
from its number. Dropping a week costs the same for any number of changes. The database's clock
decides, because the clock of one replica may be wrong.
"""

from contextlib import suppress
from typing import Final

import asyncpg

from chassis.database.pool import Database
from usersvc.domain.changes import RETENTION

TRIM_ROWS: Final = 5_000


class ChangePartitions:
    """Creates and drops the partitions of `changes`. Every replica may call it at any time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def maintain(self) -> int:
        """Create the partitions of this week and the next, and drop those that have expired.

        Returns the number of dropped partitions and deleted rows. Returns 0 while another replica
        does the same, or a reader uses a table that has to be locked: the next call tries again.
        """
        with suppress(asyncpg.LockNotAvailableError):
            async with self._database.transaction() as db:
                if not await db.fetchval("SELECT pg_try_advisory_xact_lock($1, 0)", _LOCK):
                    return 0
                await db.execute(_LOCK_TIMEOUT)
                await db.execute("SELECT create_change_partitions()")
                dropped: int = await db.fetchval("SELECT drop_change_partitions($1)", RETENTION)
                dropped += await db.fetchval(_TRIM_UNTIMED, RETENTION, TRIM_ROWS)
                return dropped
        return 0


# --- statements -------------------------------------------------------------------------

_LOCK: Final = 0x7472696D  # "trim": the class of the advisory lock

# While a table lock is requested, all later statements wait behind the request.
_LOCK_TIMEOUT: Final = "SET LOCAL lock_timeout = '100ms'"

# Changes that were made before their numbers began with the time share one partition.
_TRIM_UNTIMED: Final = """
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
