"""Measures the space of the log, and what indexes cost when rows are written.

The cost of an index is measured by the same statement with and without the index, each in a
transaction that is rolled back. So the database stays as it is.
"""

import statistics
import time
from collections.abc import Callable
from typing import Final
from uuid import UUID

import asyncpg

from tools.benchmarks.organizations import topics
from tools.benchmarks.organizations.filling import superuser_url
from tools.benchmarks.organizations.people import (
    LARGE,
    family_name_sql,
    given_name_sql,
    user_name_sql,
)
from tools.benchmarks.organizations.results import Reading, Result
from tools.benchmarks.organizations.tenant import Tenants

ROWS: Final = 20_000
"""The rows that a statement updates, or fewer if the organization has fewer people."""
ROUNDS: Final = 3

Add = Callable[[Result], None]


async def measure(tenants: Tenants, add: Add) -> None:
    """Measure the space of changes, and the cost of indexes."""
    db = await asyncpg.connect(superuser_url(tenants.stack, "users"), command_timeout=600)
    try:
        await _space(db, add)
        await _updates(db, tenants.large_id, add)
        await _searches(db, tenants.large_id, add)
    finally:
        await db.close()


async def _space(db: asyncpg.Connection, add: Add) -> None:
    """Bytes per row. The indexes of earlier weeks were built at once and are smaller than usual."""
    week = await db.fetchval("SELECT tableoid::regclass FROM changes ORDER BY number DESC LIMIT 1")
    for what, table in (
        ("all changes, with indexes", "changes"),
        ("this week's changes, with indexes", week),
        ("refusals, with indexes", "refusals"),
        ("users, with indexes", "users"),
        ("their e-mail addresses", "user_email"),
        ("names in the log", "logged_names"),
        ("counts of the log", "activity_counts"),
    ):
        rows, size = await db.fetchrow(_SPACE.format(table=table))
        note = f"{rows:,} rows, {size / 1e9:,.2f} GB"
        add(Reading(topics.SPACE, what, round(size / rows), "bytes/row", note=note))


async def _updates(db: asyncpg.Connection, organization_id: UUID, add: Add) -> None:
    """The share of HOT updates so far, and the cost of an update on pages that have room for it."""
    share = await db.fetchval(_HOT_UPDATES)
    add(Reading(topics.UPDATES, "HOT updates of users", round(float(share or 0), 1), "%"))
    await db.execute(_UPDATE, organization_id, ROWS, 1)
    await db.execute("VACUUM users")
    for what, definitions in (("as it is", ()), ("with a B-tree of update_time", (_B_TREE,))):
        microseconds, wal = await _cost(db, _UPDATE, (organization_id, ROWS, 0), definitions)
        reading = f"update of a user, {what}"
        add(Reading(topics.UPDATES, reading, microseconds, "µs", note=wal))


async def _searches(db: asyncpg.Connection, organization_id: UUID, add: Add) -> None:
    """What a new name costs: when the roll-up of the log adds it, and when a user is created."""
    for what, definitions in (("with trigrams", ()), ("without", (_NO_TRIGRAMS,))):
        microseconds, wal = await _cost(db, _NAMES, (organization_id, ROWS), definitions)
        reading = f"new name in the log, {what}"
        add(Reading(topics.SEARCH_INDEX, reading, microseconds, "µs", note=wal))
    for what, definitions in (("with trigrams of names", ()), ("without", (_NO_USER_TRIGRAMS,))):
        microseconds, wal = await _cost(db, _NEW_USERS, (organization_id, ROWS), definitions)
        add(Reading(topics.SEARCH_INDEX, f"new user, {what}", microseconds, "µs", note=wal))


async def _cost(
    db: asyncpg.Connection,
    statement: str,
    arguments: tuple[object, ...],
    definitions: tuple[str, ...],
) -> tuple[float, str]:
    """Microseconds per row, and the WAL per 20,000 rows, of a statement after some definitions."""
    costs, sizes = [], []
    for _ in range(ROUNDS):
        transaction = db.transaction()
        await transaction.start()
        for definition in definitions:
            await db.execute(definition)
        before = await db.fetchval("SELECT pg_current_wal_insert_lsn()")
        began = time.perf_counter()
        rows = int((await db.execute(statement, *arguments)).split()[-1])
        costs.append((time.perf_counter() - began) / rows * 1e6)
        wal = await db.fetchval("SELECT pg_current_wal_insert_lsn() - $1::pg_lsn", before)
        sizes.append(float(wal) / rows * ROWS / 1e6)
        await transaction.rollback()
    return (
        round(statistics.median(costs), 1),
        f"{statistics.median(sizes):.1f} MB of WAL per {ROWS:,}",
    )


# A table without partitions is not in its own tree.
_SPACE: Final = """
    SELECT (SELECT count(*) FROM {table}),
           (SELECT sum(pg_total_relation_size(relid))::bigint
              FROM (SELECT relid FROM pg_partition_tree('{table}')
                     UNION SELECT '{table}'::regclass) AS relations)
"""

_HOT_UPDATES: Final = """
    SELECT 100.0 * n_tup_hot_upd / nullif(n_tup_upd, 0)
      FROM pg_stat_user_tables
     WHERE relname = 'users'
"""

_B_TREE: Final = """
    CREATE INDEX IF NOT EXISTS users_update_time_idx
        ON users (organization_id, update_time, user_id)
"""

_NO_TRIGRAMS: Final = "DROP INDEX logged_names_part_idx"

_NAMES: Final = """
    INSERT INTO logged_names (organization_id, resource_id, name, last_number)
    SELECT $1, gen_random_uuid(), substr(md5(n::text), 1, 12) || '@bench.test', n
      FROM generate_series(1, $2::integer) AS n
"""

_NO_USER_TRIGRAMS: Final = "DROP INDEX users_names_idx"

# Further people of the large organization, with names as the others have.
_NEW_USERS: Final = f"""
    INSERT INTO users (organization_id, create_time, update_time, user_name, display_name,
                       given_name, family_name)
    SELECT $1, now(), now(), {user_name_sql(str(LARGE), "n")}, given || ' ' || family, given, family
      FROM generate_series(50000000, 49999999 + $2::integer) AS n
     CROSS JOIN LATERAL
           (SELECT {given_name_sql("n")} AS given, {family_name_sql("n")} AS family) AS name
"""

# Half of the people: $3 is 0 or 1.
_UPDATE: Final = """
    UPDATE users
       SET active = NOT active, update_time = now(), version = version + 1
     WHERE organization_id = $1
       AND user_id IN (SELECT user_id
                         FROM users
                        WHERE organization_id = $1 AND ascii(right(user_id::text, 1)) % 2 = $3
                        ORDER BY user_id
                        LIMIT $2)
"""
