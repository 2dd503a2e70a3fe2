"""Inserts the logs of 30 days: changes in the partitions of their weeks, and refusals.

Provisioning runs for twenty minutes out of forty, as Entra's does.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from tools.benchmarks.organizations.people import LARGE, group_id_sql, user_id_sql, user_name_sql
from tools.benchmarks.organizations.sizes import DAYS, GROUPS, PEOPLE, Sizes

_WEEK = timedelta(days=7)
_CYCLE, _RUN = 40, 20
"""Minutes from one provisioning cycle to the next, and minutes that each takes."""
_RUNNING = DAYS * 24 * 60 // _CYCLE * _RUN
"""The minutes of all cycles."""
_REFUSED = 1 << 25
"""Added to the counters of refusals, whose numbers must differ from those of changes."""


async def fill_changes(
    db: asyncpg.Connection,
    sizes: Sizes,
    ids: Sequence[UUID],
    key_ids: Sequence[UUID],
    start: datetime,
) -> None:
    """Insert the changes week by week, in the order of their numbers."""
    # As in a database that has been in use for long, all numbers tell their time.
    await db.execute("UPDATE change_feed SET timed_from = $1", start - _WEEK)
    for week, first, end in weeks(start, sizes.changes):
        table, is_new = f"changes_{week:%Y%m%d}", week + _WEEK < datetime.now(UTC)
        if is_new:
            await db.execute(f"CREATE TABLE {table} (LIKE changes INCLUDING DEFAULTS)")
        await db.execute(
            _CHANGES.replace("{table}", table),
            *(ids, key_ids, first, end - 1, start, sizes.changes, sizes.organizations),
            sizes.large_people,
        )
        if is_new:  # creates the indexes
            numbers = [await _number(db, each) for each in (week, week + _WEEK)]
            await db.execute(
                f"ALTER TABLE changes ATTACH PARTITION {table}"
                f" FOR VALUES FROM ({numbers[0]}) TO ({numbers[1]})"
            )


async def fill_refusals(
    db: asyncpg.Connection,
    sizes: Sizes,
    ids: Sequence[UUID],
    key_ids: Sequence[UUID],
    start: datetime,
) -> None:
    """Insert refusals of all organizations."""
    arguments = (ids, key_ids, sizes.refusals, start, sizes.organizations, sizes.large_people)
    await db.execute(_REFUSALS, *arguments, sizes.large_refusals)


def log_start() -> datetime:
    """The time of the first entry."""
    return datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(days=DAYS, minutes=-1)


def weeks(start: datetime, changes: int) -> Iterator[tuple[datetime, int, int]]:
    """The weeks of the log, each with the first of its changes and the first of the next week."""
    seconds = int(_WEEK.total_seconds())
    end = start + timedelta(days=DAYS)
    week = datetime.fromtimestamp(int(start.timestamp()) // seconds * seconds, UTC)
    while week < end:
        yield (
            week,
            _first_change(week - start, changes),
            _first_change(week + _WEEK - start, changes),
        )
        week += _WEEK


def _first_change(elapsed: timedelta, changes: int) -> int:
    """The first change that is not before a time."""
    minutes = min(max(0, int(elapsed.total_seconds()) // 60), DAYS * 24 * 60)
    running = minutes // _CYCLE * _RUN + min(minutes % _CYCLE, _RUN)
    return -(-running * changes // _RUNNING)


async def _number(db: asyncpg.Connection, time: datetime) -> int:
    number: int = await db.fetchval("SELECT change_number_at($1)", time)
    return number


def _time_sql(index: str, count: str, start: str) -> str:
    minute = f"({index}::bigint * {_RUNNING} / {count})"
    return (
        f"{start} + ({minute} / {_RUN} * {_CYCLE} + {minute} % {_RUN}) * interval '1 minute'"
        f" + {index} % 60 * interval '1 second'"
    )


def _random_sql(seed: int, maximum: str, number: str = "i") -> str:
    """A number from 1 to a maximum that follows from another number."""
    return f"1 + (hashint8extended({number}, {seed}) & 2147483647) % {maximum}"


_CREATED, _UPDATED, _RESTORED, _DISABLED, _ADDED, _REMOVED = 1, 2, 3, 4, 9, 10

# Of 1,000 changes, 298 are the large organization's, and twenty small ones have 35 each.
_CYCLE_NUMBER = "i / 1000 * 20 + i % 20"
_CHANGES = f"""
    INSERT INTO {{table}}
        (organization_id, number, type, resource_id, version, fields, active, user_ids, create_time,
         request_id, key_id, resource_name, old_values, new_values)
    SELECT ($1::uuid[])[o + 1], change_number_at(time) + 1 + i % 1000000, type,
           CASE WHEN is_group THEN {group_id_sql("o", "g")} ELSE {user_id_sql("o", "n")} END,
           1 + i % 9,
           CASE type
           WHEN {_CREATED} THEN '{{user_name,external_id,display_name,active,emails,name.formatted,'
                                'name.family_name,name.given_name,enterprise.department}}'::text[]
           WHEN {_UPDATED} THEN '{{title,enterprise.department}}'::text[]
           WHEN {_RESTORED} THEN '{{active}}'::text[]
           WHEN {_DISABLED} THEN '{{active}}'::text[]
           ELSE '{{}}'::text[] END,
           type NOT IN ({_DISABLED}, {_ADDED}, {_REMOVED}),
           CASE WHEN is_group THEN ARRAY[{user_id_sql("o", "n")}] ELSE '{{}}'::uuid[] END,
           time, gen_random_uuid()::text, ($2::uuid[])[o + 1],
           CASE WHEN is_group THEN 'Group ' || g ELSE {user_name_sql("o", "n")} END,
           CASE WHEN type = {_UPDATED} THEN ARRAY[NULL, 'Department ' || n % 40] END,
           CASE WHEN type = {_UPDATED} THEN ARRAY['Engineer ' || i % 7, 'Department ' || i % 40] END
      FROM generate_series($3::bigint, $4::bigint) AS i
     CROSS JOIN LATERAL
           (SELECT {_time_sql("i", "$6::bigint", "$5::timestamptz")} AS time,
                   CASE WHEN i % 1000 < 298 THEN {LARGE}
                        ELSE {_random_sql(1, "$7::bigint", _CYCLE_NUMBER)} END AS o,
                   (ARRAY[{_CREATED}, {_CREATED}, {_CREATED}, {_UPDATED}, {_UPDATED}, {_UPDATED},
                          {_RESTORED}, {_DISABLED}, {_ADDED}, {_REMOVED}])
                       [{_random_sql(2, "10")}] AS type,
                   {_random_sql(3, str(GROUPS))} AS g) AS about
     CROSS JOIN LATERAL
           (SELECT type IN ({_ADDED}, {_REMOVED}) AS is_group,
                   {_random_sql(4, f"CASE o WHEN {LARGE} THEN $8::bigint ELSE {PEOPLE} END")} AS n
           ) AS person
"""

_REFUSALS = f"""
    INSERT INTO refusals
        (organization_id, number, action, create_time, request_id, key_id, resource_id,
         resource_name, method, target, body, status, error_type, detail, reason, client_address,
         mentions, report_id)
    SELECT ($1::uuid[])[o + 1], change_number_at(time) + {_REFUSED} + i % 1000000, 2, time,
           gen_random_uuid()::text, ($2::uuid[])[o + 1], id, name, 'PATCH', '/Users/' || id,
           '{{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{{"op":'
           '"Replace","path":"userName","value":"' || name || '"}},{{"op":"Replace","path":'
           '"emails[type eq \\"work\\"].value","value":"' || name || '"}}]}}',
           409, 'uniqueness', 'Another user has the userName "' || name || '".', 'USER_NAME_TAKEN',
           '127.0.0.1', ARRAY[name, 'replace', 'emails[type eq "work"].value', 'username'],
           gen_random_uuid()
      FROM generate_series(0::bigint, $3::bigint - 1) AS i
     CROSS JOIN LATERAL
           (SELECT {_time_sql("i", "$3::bigint", "$4::timestamptz")} AS time,
                   CASE WHEN i % ($3::bigint / $7::bigint) = 0 THEN {LARGE}
                        ELSE {_random_sql(5, "$5::bigint")} END AS o) AS about
     CROSS JOIN LATERAL
           (SELECT {_random_sql(6, f"CASE o WHEN {LARGE} THEN $6::bigint ELSE {PEOPLE} END")} AS n
           ) AS person
     CROSS JOIN LATERAL
           (SELECT {user_id_sql("o", "n")} AS id, {user_name_sql("o", "n")} AS name) AS resource
"""
