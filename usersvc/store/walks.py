"""The table of walks: the positions of clients that read a list page by page."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from chassis.database.pool import Database
from usersvc.domain.walks import LIFETIME, MAX_WALKS, MAX_WALKS_OF_LIST, ListKey, Walk

BATCH_ROWS: Final = 1_000
"""The number of rows that one statement deletes."""
_BEFORE_ALL: Final = UUID(int=0)
"""Sorts before the id of every organization."""


class WalkStore:
    """Keeps the latest walks of each organization."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, key: ListKey, index: int) -> Walk | None:
        """Find the latest walk whose latest or next page begins at `index`."""
        async with self._database.connection() as db:
            row = await db.fetchrow(_FIND, key.organization_id, key.digest, index, LIFETIME)
        return None if row is None else Walk(*row)

    async def save(self, key: ListKey, walk: Walk, age: timedelta) -> None:
        """Store a walk, unless a later request of the same walk has already been stored.

        `age` is the time since the gateway received the request. If a new walk exceeds a limit, the
        oldest walks are deleted.
        """
        async with self._database.writer() as db:
            is_new = await db.fetchval(
                _SAVE,
                key.organization_id, key.digest, walk.walk_id, walk.page_index, walk.page_position,
                walk.next_index, walk.next_position, walk.full_index, walk.total_size, age,
            )  # fmt: skip
            if is_new:
                await db.execute(_DELETE_OLDEST, key.organization_id, MAX_WALKS, MAX_WALKS_OF_LIST)

    async def delete_expired(self) -> int:
        """Delete the expired walks. Returns the number deleted."""
        organization_id, deleted = _BEFORE_ALL, 0
        async with self._database.writer() as db:
            while organization_id := await db.fetchval(_NEXT_ORGANIZATION, organization_id):
                while count := await db.fetchval(
                    _DELETE_EXPIRED, organization_id, LIFETIME, BATCH_ROWS
                ):
                    deleted += count
        return deleted


# --- statements -------------------------------------------------------------------------

_FIND: Final = """
    SELECT walk_id, page_index, page_position, next_index, next_position, full_index, total_size
      FROM list_walks
     WHERE organization_id = $1 AND list_digest = $2
       AND $3 IN (page_index, next_index, full_index)
       AND read_time > clock_timestamp() - $4::interval
     ORDER BY read_time DESC, walk_id
     LIMIT 1
"""

# Without synchronous_commit, the page does not wait for the disk or the standby. A crash can then
# lose the most recent positions, which costs less than a wait on every page. The setting ends with
# the statement's transaction. All times come from the database's clock, because the clocks of the
# replicas differ.
_SAVE: Final = """
    INSERT INTO list_walks AS existing
        (organization_id, list_digest, walk_id, page_index, page_position, next_index,
         next_position, full_index, total_size, read_time)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, clock_timestamp() - $10::interval
      FROM set_config('synchronous_commit', 'off', true)
    ON CONFLICT ON CONSTRAINT list_walks_pkey DO UPDATE
       SET page_index = EXCLUDED.page_index, page_position = EXCLUDED.page_position,
           next_index = EXCLUDED.next_index, next_position = EXCLUDED.next_position,
           full_index = EXCLUDED.full_index, total_size = EXCLUDED.total_size,
           read_time = EXCLUDED.read_time
     WHERE existing.read_time <= EXCLUDED.read_time
    RETURNING xmax = 0
"""

# The statement skips rows that another transaction is changing. Two of these statements must not
# wait for each other, and a walk that is being continued is no longer among the oldest.
_DELETE_OLDEST: Final = """
    WITH ranked AS (
        SELECT ctid AS row_id,
               row_number() OVER (ORDER BY read_time DESC) AS rank,
               row_number() OVER (PARTITION BY list_digest ORDER BY read_time DESC) AS rank_in_list
          FROM list_walks
         WHERE organization_id = $1
    ), oldest AS (
        SELECT ctid AS row_id
          FROM list_walks
         WHERE organization_id = $1
           AND ctid = ANY(ARRAY(SELECT row_id FROM ranked WHERE rank > $2 OR rank_in_list > $3))
           FOR UPDATE SKIP LOCKED
    )
    DELETE FROM list_walks
     WHERE organization_id = $1 AND ctid = ANY(ARRAY(SELECT row_id FROM oldest))
"""

_NEXT_ORGANIZATION: Final = """
    SELECT organization_id
      FROM list_walks
     WHERE organization_id > $1
     ORDER BY organization_id
     LIMIT 1
"""

_DELETE_EXPIRED: Final = """
    WITH deleted AS (
        DELETE FROM list_walks
         WHERE ctid = ANY(ARRAY(SELECT ctid
                                  FROM list_walks
                                 WHERE organization_id = $1
                                   AND read_time < clock_timestamp() - $2::interval
                                 LIMIT $3))
        RETURNING walk_id
    )
    SELECT count(*) FROM deleted
"""
