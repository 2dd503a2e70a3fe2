"""The provisioning log: the changes of an organization and its refused requests."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from chassis.database import arguments as sql
from chassis.database.pool import Database
from chassis.errors import Refusal
from usersvc.domain import activities
from usersvc.domain.activities import (
    ACTION_OF_CHANGE,
    MAX_RETURNED_MEMBERS,
    Action,
    Activity,
    Count,
    Cycle,
    FieldChange,
    Query,
    Reference,
    RefusedRequest,
    Result,
    Width,
)
from usersvc.domain.changes import RETENTION, ChangeType
from usersvc.domain.errors import ACTIVITY_NOT_FOUND, COUNT_TOO_COSTLY
from usersvc.store.id_lookups import look_up
from usersvc.store.listing.filter_sql import Where
from usersvc.store.listing.scans import Scan, Scans

COUNTS: Final = 2
COUNTS_PER_ORGANIZATION: Final = 1
"""Together, these counts and the scans of lists leave three of a replica's eight connections to all
other calls."""
QUEUE_PER_SLOT: Final = 32
"""A portal page requests several counts at once. Most counts take milliseconds."""
MAX_REFUSALS: Final = 20_000
TRIM_ROWS: Final = 5_000

Row = Any  # asyncpg is untyped


class ActivityStore:
    """Reads and writes the log of one organization at a time, except for `delete_expired`."""

    def __init__(self, database: Database, scans: Scans | None = None) -> None:
        self._database = database
        self._scans = scans or Scans(
            database, number=COUNTS, share=COUNTS_PER_ORGANIZATION, queue_per_slot=QUEUE_PER_SLOT
        )

    async def record(self, refused: Sequence[Activity]) -> None:
        """Add refused requests. A request that was reported before is left as it is."""
        rows = [_record_arguments(activity) for activity in refused]
        async with self._database.connection() as db:
            await db.executemany(_RECORD, rows)

    async def page(self, query: Query) -> list[Activity]:
        """A page of activities, newest first, and one more activity if there is another page.

        Refuses FILTER_TOO_COSTLY.
        """
        where = Where(query.organization_id)
        statement = _page_statement(where, query)
        scan = Scan(query.organization_id, statement, where.arguments)
        fetch = self._scans.fetch if query.is_scan else self._scans.fetch_indexed
        rows = await fetch(scan, self._database.connection())
        return await self._with_member_names([_activity(row) for row in rows])

    async def get(self, organization_id: UUID, number: int) -> Activity:
        """One activity. Refuses ACTIVITY_NOT_FOUND."""
        async with self._database.connection() as db:
            row = await db.fetchrow(_GET, organization_id, number)
        if row is None:
            raise Refusal(ACTIVITY_NOT_FOUND)
        (activity,) = await self._with_member_names([_activity(row)])
        return activity

    async def count(
        self, organization_id: UUID, start: datetime, end: datetime, width: Width
    ) -> list[Count]:
        """Count the activities per hour or day, without empty ones. Refuses COUNT_TOO_COSTLY."""
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

    async def delete_expired(self, now: datetime) -> int:
        """Delete some refusals that are too old or too many. Returns the number deleted."""
        async with self._database.connection() as db:
            dropped: int = await db.fetchval(_TRIM, now - RETENTION, TRIM_ROWS)
            dropped += await db.fetchval(_TRIM_FULL, MAX_REFUSALS, TRIM_ROWS)
        return dropped

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


class _RecordArguments(NamedTuple):
    """The arguments of _RECORD, named like the columns of `refusals`."""

    organization_id: UUID
    action: Action
    create_time: datetime
    request_id: str
    key_id: UUID | None
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


def _activity(row: Row) -> Activity:
    refused = row["method"] is not None
    return Activity(
        organization_id=row["organization_id"],
        number=row["number"],
        time=row["create_time"],
        action=Action(row["kind"]) if refused else ACTION_OF_CHANGE[ChangeType(row["kind"])],
        resource_id=row["resource_id"],
        resource_name=row["resource_name"] or "",
        request_id=row["request_id"],
        key_id=row["key_id"],
        fields=_fields(row),
        members=(
            *(Reference(each) for each in row["user_ids"]),
            *(Reference(each, is_group=True) for each in row["group_ids"]),
        )[:MAX_RETURNED_MEMBERS],
        member_count=row["member_count"],
        last_administrator_lost=row["last_administrator_lost"],
        refusal=_refusal(row) if refused else None,
    )


def _fields(row: Row) -> tuple[FieldChange, ...]:
    names = row["fields"]
    unknown = (None,) * len(names)
    return tuple(
        FieldChange(*each)
        for each in zip(
            names, row["old_values"] or unknown, row["new_values"] or unknown, strict=True
        )
    )


def _refusal(row: Row) -> RefusedRequest:
    return RefusedRequest(
        row["method"], row["target"], row["body"], row["status"], row["error_type"],
        row["detail"], row["reason"], row["client_address"],
    )  # fmt: skip


# --- statements -------------------------------------------------------------------------

_CHANGES: Final = f"""
    SELECT organization_id, number, create_time, type AS kind, resource_id, resource_name,
           request_id, key_id, fields, old_values, new_values, last_administrator_lost,
           user_ids[:{MAX_RETURNED_MEMBERS}] AS user_ids,
           group_ids[:{MAX_RETURNED_MEMBERS}] AS group_ids,
           cardinality(user_ids) + cardinality(group_ids) AS member_count,
           NULL AS method, NULL AS target, NULL AS body, NULL::integer AS status,
           NULL AS error_type, NULL AS detail, NULL AS reason, NULL AS client_address
      FROM changes
"""  # noqa: S608

_REFUSALS: Final = """
    SELECT organization_id, number, create_time, action AS kind, resource_id, resource_name,
           request_id, key_id, '{}'::text[] AS fields, NULL::text[] AS old_values,
           NULL::text[] AS new_values, false AS last_administrator_lost,
           '{}'::uuid[] AS user_ids, '{}'::uuid[] AS group_ids, 0 AS member_count,
           method, target, body, status, error_type, detail, reason, client_address
      FROM refusals
"""

_GET: Final = f"""
    {_CHANGES} WHERE organization_id = $1 AND number = $2
    UNION ALL
    {_REFUSALS} WHERE organization_id = $1 AND number = $2
"""


def _page_statement(where: Where, query: Query) -> str:
    conditions = _conditions(where, query)
    order = "ORDER BY create_time DESC, number DESC"
    limit = f"LIMIT {where.argument(query.size + 1)}"
    parts = []
    types = [each for each, action in ACTION_OF_CHANGE.items() if action in query.actions]
    # Some actions occur only in refused requests: for these, skip the table of changes.
    if query.result is Result.SUCCESS or (
        query.result is Result.ANY and (types or not query.actions)
    ):
        type_condition = (
            f" AND type = ANY({where.argument(types)}::smallint[])" if query.actions else ""
        )
        parts.append(f"({_CHANGES} WHERE {conditions}{type_condition} {order} {limit})")
    if query.result is not Result.SUCCESS:
        actions = list(query.actions)
        action_condition = (
            f" AND action = ANY({where.argument(actions)}::smallint[])" if actions else ""
        )
        parts.append(f"({_REFUSALS} WHERE {conditions}{action_condition} {order} {limit})")
    return f"SELECT * FROM ({' UNION ALL '.join(parts)}) AS activity {order} {limit}"  # noqa: S608


def _conditions(where: Where, query: Query) -> str:
    """The conditions for both tables of the log; only those that the query needs."""
    conditions = ["organization_id = $1"]
    if query.resource_id:
        conditions.append(f"resource_id = {where.argument(query.resource_id)}")
    if query.request_id:
        conditions.append(f"request_id = {where.argument(query.request_id)}")
    if query.start_time:
        conditions.append(f"create_time >= {where.argument(query.start_time)}")
    if query.end_time:
        conditions.append(f"create_time < {where.argument(query.end_time)}")
    if query.after:
        time, number = query.after
        conditions.append(
            f"(create_time, number) < ({where.argument(time)}, {where.argument(number)}::bigint)"
        )
    if query.text:
        conditions.append(_NAME_CONTAINS.format(text=f"fold({where.argument(query.text)}::text)"))
    return " AND ".join(conditions)


# Matches the name at the time of the entry, or the current name of a user.
_NAME_CONTAINS: Final = """
    (position({text} IN fold(resource_name)) > 0
     OR resource_id = ANY(ARRAY(SELECT user_id
                                  FROM users
                                 WHERE organization_id = $1
                                   AND position({text} IN fold(user_name)) > 0
                                 LIMIT 1000)))
"""

_NAMES: Final = f"""
    {look_up("user_id, coalesce(display_name, user_name)", "users", "user_id")}
    UNION ALL
    {look_up("group_id, display_name", "groups", "group_id")}
"""

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
        (organization_id, action, create_time, request_id, key_id, resource_id, resource_name,
         method, target, body, status, error_type, detail, reason, client_address, mentions,
         report_id)
    SELECT :organization_id, :action, :create_time, :request_id, :key_id, :resource_id,
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

_COUNT: Final = f"""
    SELECT start_time, sum(succeeded)::bigint, sum(refused)::bigint, sum(rejected)::bigint
      FROM (SELECT date_trunc($4, create_time, 'UTC') AS start_time, count(*) AS succeeded,
                   0 AS refused, 0 AS rejected
              FROM changes
             WHERE organization_id = $1 AND create_time >= $2 AND create_time < $3
             GROUP BY 1
            UNION ALL
            SELECT date_trunc($4, create_time, 'UTC'), 0,
                   count(*) FILTER (WHERE action <> {Action.AUTHENTICATE:d}),
                   count(*) FILTER (WHERE action = {Action.AUTHENTICATE:d})
              FROM refusals
             WHERE organization_id = $1 AND create_time >= $2 AND create_time < $3
             GROUP BY 1) AS counted
     GROUP BY start_time
     ORDER BY start_time
"""  # noqa: S608

# Entries are grouped by minute first, so that a large first cycle is not sorted entry by entry.
_CYCLES: Final = """
    WITH minute AS (
        SELECT date_trunc('minute', create_time) AS minute, min(create_time) AS first,
               max(create_time) AS last, count(*) AS succeeded, 0 AS refused
          FROM changes
         WHERE organization_id = $1 AND create_time >= $2
         GROUP BY 1
        UNION ALL
        SELECT date_trunc('minute', create_time), min(create_time), max(create_time), 0, count(*)
          FROM refusals
         WHERE organization_id = $1 AND create_time >= $2
         GROUP BY 1
    ), paused AS (
        SELECT *, first - max(last) OVER before > interval '10 minutes' AS begins
          FROM minute
        WINDOW before AS (ORDER BY first ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    ), run AS (
        SELECT *, count(*) FILTER (WHERE begins) OVER (ORDER BY first) AS run FROM paused
    )
    SELECT min(first), max(last), sum(succeeded)::bigint, sum(refused)::bigint
      FROM run
     GROUP BY run
     ORDER BY run DESC
     LIMIT $3
"""

_TRIM: Final = """
    WITH dropped AS (
        DELETE FROM refusals
         WHERE number IN (SELECT number FROM refusals ORDER BY number LIMIT $2)
           AND create_time < $1
        RETURNING number
    )
    SELECT count(*) FROM dropped
"""

_TRIM_FULL: Final = """
    WITH full_one AS (
        SELECT organization_id, count(*) - $1 AS excess
          FROM refusals
         GROUP BY organization_id
        HAVING count(*) > $1
         LIMIT 1
    ), dropped AS (
        DELETE FROM refusals
         USING full_one
         WHERE refusals.organization_id = full_one.organization_id
           AND number IN (SELECT oldest.number
                            FROM refusals AS oldest
                           WHERE oldest.organization_id = full_one.organization_id
                           ORDER BY oldest.number
                           LIMIT least($2, (SELECT excess FROM full_one)))
        RETURNING number
    )
    SELECT count(*) FROM dropped
"""
