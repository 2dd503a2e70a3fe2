"""Refused requests: recorded, and deleted when they are too old or too many."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from chassis.database import arguments as sql
from chassis.database.pool import Database
from usersvc.domain import activities
from usersvc.domain.activities import Action, Activity
from usersvc.domain.changes import RETENTION

MAX_REFUSALS: Final = 20_000
"""The number of refused requests that are kept for each organization."""
TRIM_ROWS: Final = 5_000


class RefusalStore:
    """Writes the table of refused requests."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, refused: Sequence[Activity]) -> None:
        """Add refused requests. A request that was reported before is left as it is."""
        rows = [_record_arguments(activity) for activity in refused]
        async with self._database.writer() as db:
            await db.executemany(_RECORD, rows)

    async def delete_expired(self, retention: timedelta = RETENTION) -> int:
        """Delete some refusals that are too old or too many. Returns the number deleted.

        Returns 0 while another replica does the same.
        """
        async with self._database.transaction() as db:
            if not await db.fetchval("SELECT pg_try_advisory_xact_lock($1, 0)", _LOCK):
                return 0
            deleted: int = await db.fetchval(_TRIM_OLD, retention, TRIM_ROWS)
            checked, latest = await db.fetchrow(_UNCHECKED, CHECK_ROWS)
            if latest is not None:
                deleted += await db.fetchval(_TRIM_EXCESS, checked, latest, MAX_REFUSALS)
                await db.execute("UPDATE change_feed SET refusals_checked = $1", latest)
        return deleted


class _RecordArguments(NamedTuple):
    """The arguments of _RECORD, named like the columns of `refusals`."""

    organization_id: UUID
    action: Action
    create_time: datetime
    request_id: str
    key_id: UUID | None
    client: str
    resource_id: UUID | None
    resource_name: str | None
    method: str
    target: str
    body: str
    status: int
    error_type: str
    detail: str
    reason: str
    client_address: str
    mentions: Sequence[str]
    report_id: UUID | None


def _record_arguments(activity: Activity) -> _RecordArguments:
    refusal = activity.refusal
    if refusal is None:
        raise AssertionError("record() takes refused requests only")
    return _RecordArguments(
        organization_id=activity.organization_id,
        action=activity.action,
        create_time=activity.time,
        request_id=activity.request_id,
        key_id=activity.key_id,
        client=activity.client,
        resource_id=activity.resource_id,
        resource_name=activity.resource_name or None,
        method=refusal.method,
        target=refusal.target,
        body=refusal.body,
        status=refusal.status,
        error_type=refusal.error_type,
        detail=refusal.detail,
        reason=refusal.reason,
        client_address=refusal.client_address,
        mentions=activities.mentions(activity),
        report_id=activity.report_id,
    )


# --- statements -------------------------------------------------------------------------

_LOCK: Final = 0x72656675  # "refu": the class of the advisory lock
CHECK_ROWS: Final = 5_000
"""The number of new refusals whose organizations are checked at a time."""

# If the user or group no longer exists, no personal data is stored.
_RECORD: Final = sql.number_arguments(
    """
    WITH about (name) AS (
        SELECT user_name
          FROM users
         WHERE organization_id = :organization_id AND user_id = :resource_id
        UNION ALL
        SELECT display_name
          FROM groups
         WHERE organization_id = :organization_id AND group_id = :resource_id
    ), known AS (
        SELECT :resource_id::uuid IS NULL OR EXISTS (SELECT FROM about) AS known
    )
    INSERT INTO refusals
        (organization_id, action, create_time, request_id, key_id, client, resource_id,
         resource_name, method, target, body, status, error_type, detail, reason, client_address,
         mentions, report_id)
    SELECT :organization_id, :action, :create_time, :request_id, :key_id, :client, :resource_id,
           CASE WHEN known THEN coalesce(:resource_name, (SELECT name FROM about)) END,
           :method, :target, CASE WHEN known THEN :body ELSE '' END, :status, :error_type,
           :detail, :reason, :client_address,
           CASE WHEN known
                THEN ARRAY(SELECT DISTINCT fold(mention) FROM unnest(:mentions::text[]) AS mention)
                ELSE '{}' END,
           :report_id
      FROM known
        ON CONFLICT (organization_id, report_id) WHERE report_id IS NOT NULL DO NOTHING
    """,
    _RecordArguments._fields,
)

# A number is at most as old as the refusal, apart from differences between clocks.
_TRIM_OLD: Final = """
    WITH deleted AS (
        DELETE FROM refusals
         WHERE number IN (SELECT number
                            FROM refusals
                           WHERE number < (SELECT change_number_at(now() - $1::interval))
                           ORDER BY number
                           LIMIT $2)
           AND create_time < now() - $1::interval
        RETURNING number
    )
    SELECT count(*) FROM deleted
"""

_UNCHECKED: Final = """
    SELECT refusals_checked,
           (SELECT max(number)
              FROM (SELECT number
                      FROM refusals
                     WHERE number > refusals_checked
                     ORDER BY number
                     LIMIT $1) AS unchecked)
      FROM change_feed
"""

# Reads only organizations with new refusals, and only the newest numbers of each.
_TRIM_EXCESS: Final = """
    WITH organization AS (
        SELECT DISTINCT organization_id FROM refusals WHERE number > $1 AND number <= $2
    ), excess AS (
        SELECT organization_id, last_number
          FROM organization
         CROSS JOIN LATERAL (SELECT number AS last_number
                               FROM refusals
                              WHERE organization_id = organization.organization_id
                              ORDER BY number DESC
                             OFFSET $3
                              LIMIT 1) AS newest_excess
    ), deleted AS (
        DELETE FROM refusals
         USING excess
         WHERE refusals.organization_id = excess.organization_id AND number <= last_number
        RETURNING number
    )
    SELECT count(*) FROM deleted
"""
