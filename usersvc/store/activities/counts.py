"""Counts of the log, per hour and day and per provisioning cycle.

Entries up to `change_feed.rolled_up` are in `activity_counts`; later ones are counted one by one.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

from chassis.database.pool import Database
from usersvc.domain.activities import Action, Count, Cycle, Width
from usersvc.domain.errors import COUNT_TOO_COSTLY
from usersvc.store.listing.scans import Scan, Scans

COUNTS: Final = 2
COUNTS_PER_ORGANIZATION: Final = 1
"""Together, these counts and the scans of lists leave three of a replica's eight connections to all
other calls."""
QUEUE_PER_SLOT: Final = 32
"""A portal page requests several counts at once. Most counts take milliseconds."""


def slots(database: Database) -> Scans:
    """The slots of counts, and of searches of the log that no index serves."""
    return Scans(
        database, number=COUNTS, share=COUNTS_PER_ORGANIZATION, queue_per_slot=QUEUE_PER_SLOT
    )


class ActivityCounts:
    """Reads counts. Every statement is limited to one organization."""

    def __init__(self, database: Database, scans: Scans | None = None) -> None:
        self._database = database
        self._scans = scans or slots(database)

    async def count(
        self, organization_id: UUID, start: datetime, end: datetime, width: Width
    ) -> list[Count]:
        """Count the entries of each hour or day that begins in [start, end), without empty ones.

        Refuses COUNT_TOO_COSTLY.
        """
        arguments = (organization_id, start, end, width.value)
        scan = Scan(organization_id, _COUNT, arguments, COUNT_TOO_COSTLY)
        rows = await self._scans.fetch(scan, self._database.connection())
        return [Count(*row) for row in rows]

    async def cycles(self, organization_id: UUID, since: datetime, size: int) -> list[Cycle]:
        """The latest provisioning cycles, newest first: runs without a pause of ten minutes.

        Refuses COUNT_TOO_COSTLY.
        """
        scan = Scan(organization_id, _CYCLES, (organization_id, since, size), COUNT_TOO_COSTLY)
        rows = await self._scans.fetch(scan, self._database.connection())
        return [Cycle(*row) for row in rows]


# --- statements -------------------------------------------------------------------------

# Entries that are not rolled up yet. A statement reads `rolled_up` and the counts in one snapshot,
# so that it counts no entry twice.
# `OFFSET 0` keeps the condition on the time away from the choice of the index.
_NEW: Final = f"""
    SELECT *
      FROM ((SELECT create_time, 1 AS succeeded, 0 AS refused, 0 AS rejected_keys
               FROM changes
              WHERE organization_id = $1 AND number > (SELECT rolled_up FROM change_feed)
             OFFSET 0)
            UNION ALL
            (SELECT create_time, 0, (action <> {Action.AUTHENTICATE:d})::integer,
                    (action = {Action.AUTHENTICATE:d})::integer
               FROM refusals
              WHERE organization_id = $1 AND number > (SELECT rolled_up FROM change_feed)
             OFFSET 0)) AS entry
     WHERE create_time >= $2
"""  # noqa: S608

_COUNT: Final = f"""
    SELECT date_trunc($4, start_time, 'UTC') AS start_time, sum(succeeded)::bigint,
           sum(refused)::bigint, sum(rejected_keys)::bigint
      FROM (SELECT start_time, succeeded, refused, rejected_keys
              FROM activity_counts
             WHERE organization_id = $1 AND minutes = 60
               AND start_time >= $2 AND start_time < $3
            UNION ALL
            SELECT date_trunc('hour', create_time, 'UTC'), sum(succeeded), sum(refused),
                   sum(rejected_keys)
              FROM ({_NEW} ) AS new
             WHERE create_time < $3
             GROUP BY 1) AS counted
     GROUP BY 1
     ORDER BY 1
"""  # noqa: S608

_CYCLES: Final = f"""
    WITH minute AS (
        SELECT first_time, last_time, succeeded, refused + rejected_keys AS refused
          FROM activity_counts
         WHERE organization_id = $1 AND minutes = 1 AND start_time >= $2
        UNION ALL
        SELECT min(create_time), max(create_time), sum(succeeded), sum(refused + rejected_keys)
          FROM ({_NEW} ) AS new
         GROUP BY date_trunc('minute', create_time)
    ), paused AS (
        SELECT *, first_time - max(last_time) OVER before > interval '10 minutes' AS begins
          FROM minute
        WINDOW before AS (ORDER BY first_time ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    ), run AS (
        SELECT *, count(*) FILTER (WHERE begins) OVER (ORDER BY first_time) AS run FROM paused
    )
    SELECT min(first_time), max(last_time), sum(succeeded)::bigint, sum(refused)::bigint
      FROM run
     GROUP BY run
     ORDER BY run DESC
     LIMIT $3
"""  # noqa: S608
