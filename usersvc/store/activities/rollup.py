"""The roll-up of the log: entry counts per minute and hour, and the names that entries contain.

Entries are added in batches, in the order of their numbers, by one replica at a time. The
transaction of a batch also records the number of its last entry, so that no entry is added twice
or left out after a crash. Transactions may still commit entries after the change horizon, so these
are left for a later batch.
"""

from datetime import timedelta
from typing import Final

import asyncpg

from chassis.database.pool import Database
from usersvc.domain.activities import Action
from usersvc.domain.changes import RETENTION

BATCH_ENTRIES: Final = 2_000
"""A batch takes about 0.1 s. A deletion of a user in the batch waits until the batch ends."""
DELETE_BATCH_ROWS: Final = 5_000
LAST_USE_PRECISION: Final = timedelta(days=3)
"""The last use of a name is not updated while the recorded one is at most this much older."""
_COUNTS_MARGIN: Final = timedelta(days=1)
"""Counts are kept for this much longer, because readers may ask for a part of their hour."""


async def pause(db: asyncpg.Connection) -> None:
    """Wait for a running roll-up, and prevent further ones until this transaction ends."""
    await db.execute("SELECT pg_advisory_xact_lock($1, 0)", _LOCK)


class ActivityRollup:
    """Maintains `activity_counts` and `logged_names`. Every replica may call it at any time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def roll_up(self) -> int:
        """Add one batch. Returns its number of entries, or 0 while another replica adds a batch."""
        async with self._database.transaction() as db:
            if not await db.fetchval("SELECT pg_try_advisory_xact_lock($1, 0)", _LOCK):
                return 0
            done, horizon = await db.fetchrow(_POSITION)
            if horizon <= done:
                return 0
            # The statements after the one that read the horizon see all entries up to it.
            last = await db.fetchval(_LAST_OF_BATCH, done, horizon, BATCH_ENTRIES)
            entries: int = await db.fetchval(_ADD_COUNTS, done, last) or 0
            await db.execute(_ADD_NAMES, done, last, LAST_USE_PRECISION)
            await db.execute("UPDATE change_feed SET rolled_up = $1", last)
        return entries

    async def delete_expired(self, retention: timedelta = RETENTION) -> int:
        """Delete some counts and names of expired entries. Returns the number deleted."""
        async with self._database.writer() as db:
            deleted = [
                await db.fetchval(_DELETE_COUNTS, retention + _COUNTS_MARGIN, DELETE_BATCH_ROWS),
                await db.fetchval(_DELETE_NAMES, retention + LAST_USE_PRECISION, DELETE_BATCH_ROWS),
            ]
        return sum(deleted)


# --- statements -------------------------------------------------------------------------

_LOCK: Final = 0x726F6C6C  # "roll": the class of the advisory lock

_POSITION: Final = "SELECT rolled_up, change_horizon() FROM change_feed"

_LAST_OF_BATCH: Final = """
    SELECT least($2,
                 (SELECT number FROM changes WHERE number > $1 AND number <= $2
                   ORDER BY number OFFSET $3 - 1 LIMIT 1),
                 (SELECT number FROM refusals WHERE number > $1 AND number <= $2
                   ORDER BY number OFFSET $3 - 1 LIMIT 1))
"""

_ADD_COUNTS: Final = f"""
    WITH entry AS (
        SELECT organization_id, create_time, 1 AS succeeded, 0 AS refused, 0 AS rejected_keys,
               1 << type AS types, number
          FROM changes
         WHERE number > $1 AND number <= $2
        UNION ALL
        SELECT organization_id, create_time, 0, (action <> {Action.AUTHENTICATE:d})::integer,
               (action = {Action.AUTHENTICATE:d})::integer, 0, NULL
          FROM refusals
         WHERE number > $1 AND number <= $2
    ), minute AS (
        SELECT organization_id, date_trunc('minute', create_time) AS start_time,
               min(create_time) AS first_time, max(create_time) AS last_time,
               sum(succeeded) AS succeeded, sum(refused) AS refused,
               sum(rejected_keys) AS rejected_keys, bit_or(types) AS types,
               min(number) AS first_number, max(number) AS last_number
          FROM entry
         GROUP BY 1, 2
    ), interval_count AS (
        SELECT organization_id, 1 AS minutes, start_time, first_time, last_time, succeeded, refused,
               rejected_keys, types, first_number, last_number
          FROM minute
        UNION ALL
        SELECT organization_id, 60, date_trunc('hour', start_time, 'UTC'), min(first_time),
               max(last_time), sum(succeeded), sum(refused), sum(rejected_keys), bit_or(types),
               min(first_number), max(last_number)
          FROM minute
         GROUP BY 1, 3
    ), added AS (
        INSERT INTO activity_counts AS counts
            (organization_id, minutes, start_time, first_time, last_time, succeeded, refused,
             rejected_keys, types, first_number, last_number)
        SELECT * FROM interval_count
            ON CONFLICT (organization_id, minutes, start_time) DO UPDATE
           SET first_time = least(counts.first_time, excluded.first_time),
               last_time = greatest(counts.last_time, excluded.last_time),
               succeeded = counts.succeeded + excluded.succeeded,
               refused = counts.refused + excluded.refused,
               rejected_keys = counts.rejected_keys + excluded.rejected_keys,
               types = counts.types | excluded.types,
               first_number = least(counts.first_number, excluded.first_number),
               last_number = greatest(counts.last_number, excluded.last_number)
    )
    SELECT sum(succeeded + refused + rejected_keys)::bigint FROM minute
"""  # noqa: S608

# The statement locks the users, so that it adds no name of a user who has just been deleted. Types
# up to 5 are the changes of users (usersvc.domain.changes.ChangeType).
_ADD_NAMES: Final = """
    WITH named AS (
        SELECT organization_id, resource_id, fold(resource_name) AS name, type <= 5 AS is_user,
               max(number) AS last_number
          FROM changes
         WHERE number > $1 AND number <= $2 AND resource_name IS NOT NULL
         GROUP BY 1, 2, 3, 4
    ), outdated AS (
        SELECT *
          FROM named
         WHERE NOT EXISTS (SELECT
                             FROM logged_names AS known
                            WHERE known.organization_id = named.organization_id
                              AND known.resource_id = named.resource_id
                              AND known.name = named.name
                              AND known.last_number
                                  >= named.last_number - change_number_at(to_timestamp(0) + $3))
    ), locked AS MATERIALIZED (
        SELECT users.organization_id, users.user_id
          FROM outdated
          JOIN users ON users.organization_id = outdated.organization_id
                    AND users.user_id = outdated.resource_id
         WHERE outdated.is_user
         ORDER BY 1, 2
           FOR KEY SHARE OF users
    )
    INSERT INTO logged_names AS known (organization_id, resource_id, name, last_number)
    SELECT organization_id, resource_id, name, last_number
      FROM outdated
     WHERE NOT is_user
        OR (organization_id, resource_id) IN (SELECT organization_id, user_id FROM locked)
        ON CONFLICT (organization_id, resource_id, name) DO UPDATE
       SET last_number = excluded.last_number
"""

_DELETE_COUNTS: Final = """
    WITH expired AS (
        SELECT organization_id, minutes, start_time
          FROM activity_counts
         WHERE start_time < now() - $1::interval
         LIMIT $2
    ), deleted AS (
        DELETE FROM activity_counts AS counts
         USING expired
         WHERE counts.organization_id = expired.organization_id
           AND counts.minutes = expired.minutes AND counts.start_time = expired.start_time
        RETURNING counts.minutes
    )
    SELECT count(*) FROM deleted
"""

_DELETE_NAMES: Final = """
    WITH expired AS (
        SELECT organization_id, resource_id, name
          FROM logged_names
         WHERE last_number < (SELECT first_change_since(now() - $1::interval))
         LIMIT $2
    ), deleted AS (
        DELETE FROM logged_names AS logged
         USING expired
         WHERE logged.organization_id = expired.organization_id
           AND logged.resource_id = expired.resource_id AND logged.name = expired.name
           AND logged.last_number < (SELECT first_change_since(now() - $1::interval))
        RETURNING logged.name
    )
    SELECT count(*) FROM deleted
"""
