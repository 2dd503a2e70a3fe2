"""Fills the databases of a running region with organizations, people, groups and logs.

The rows are inserted by SQL, because requests would take hours. Triggers do not run: the rows that
they would write are inserted as well.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit
from uuid import UUID

import asyncpg

from deploy.local.postgres import SUPERUSER
from keysvc.domain import key_token
from keysvc.domain.key_token import Token
from keysvc.domain.organizations import Region
from tests.support.stack import Stack
from tools.benchmarks.organizations import log_sql, people_sql, rollup_sql, schemas_sql
from tools.benchmarks.organizations.sizes import Sizes

SECONDS = 1_800.0
"""The time limit of a statement."""

# Nothing has to survive a power failure while the database is filled.
_FAST = {
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "1h",
}


@dataclass(frozen=True, slots=True)
class Organizations:
    """The filled organizations: the large one, the small ones, and those with custom schemas."""

    ids: Sequence[UUID]
    tokens: Sequence[Token]

    @property
    def key_ids(self) -> list[UUID]:
        return [token.key_id for token in self.tokens]


async def fill(stack: Stack, sizes: Sizes, log: Callable[[str], None]) -> Organizations:
    """Insert all rows and update the planner's statistics."""
    tokens = [
        key_token.generate(Region.US, secrets.token_bytes)
        for _ in range(1 + sizes.organizations + sizes.with_schemas)
    ]
    began = time.monotonic()

    def step(text: str) -> None:
        log(f"  {time.monotonic() - began:>4.0f} s  {text}")

    async with _fast_server(superuser_url(stack, "postgres")):
        organizations = Organizations(await _fill_keys(stack, tokens), tokens)
        step(f"{len(tokens):,} organizations, each with a key")
        async with asyncio.TaskGroup() as both:
            both.create_task(_fill_people(stack, sizes, organizations, step))
            both.create_task(_fill_log(stack, sizes, organizations, step))
        async with connected(superuser_url(stack, "users")) as db:
            await rollup_sql.count_again(db)
        for database in ("users", "keys"):
            async with connected(superuser_url(stack, database)) as db:
                await db.execute("VACUUM (ANALYZE)")
        step("VACUUM ANALYZE")
    return organizations


def superuser_url(stack: Stack, database: str) -> str:
    """The URL of a database for the superuser of the region's server."""
    parts = urlsplit(stack.database_url("users"))
    password = Path(stack.paths.postgres / "superuser.password").read_text().strip()
    netloc = f"{SUPERUSER}:{quote(password, safe='')}@{parts.hostname}:{parts.port}"
    return urlunsplit(("postgresql", netloc, f"/{database}", "", ""))


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection without triggers and foreign keys, and with memory to build indexes."""
    db = await asyncpg.connect(
        url,
        command_timeout=SECONDS,
        server_settings={
            "session_replication_role": "replica",
            "synchronous_commit": "off",
            "maintenance_work_mem": "256MB",
            "work_mem": "256MB",
            "enable_seqscan": "on",
        },
    )
    try:
        yield db
    finally:
        await db.close()


@asynccontextmanager
async def _fast_server(url: str) -> AsyncIterator[None]:
    async with connected(url) as db:
        for name, value in _FAST.items():
            await db.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        await db.execute("SELECT pg_reload_conf()")
        try:
            yield
        finally:
            for name in _FAST:
                await db.execute(f"ALTER SYSTEM RESET {name}")
            await db.execute("SELECT pg_reload_conf()")
            # The measurements must not pay for writing what was filled.
            await db.execute("CHECKPOINT")


async def _fill_keys(stack: Stack, tokens: Sequence[Token]) -> list[UUID]:
    """Insert organizations with active integrations and keys. Returns their ids."""
    now = datetime.now(UTC)
    async with connected(superuser_url(stack, "keys")) as db:
        rows = await db.fetch("SELECT uuidv7() FROM generate_series(1, $1)", len(tokens))
        ids: list[UUID] = [row[0] for row in rows]
        await db.copy_records_to_table(
            "organization",
            columns=("organization_id", "display_name", "region", "create_time"),
            records=[(each, f"Company {number}", "us", now) for number, each in enumerate(ids)],
        )
        await db.copy_records_to_table(
            "integration",
            columns=("organization_id", "active", "update_time"),
            records=[(each, True, now) for each in ids],
        )
        await db.copy_records_to_table(
            "api_key",
            columns=("organization_id", "key_id", "secret_digest", "create_time", "created_by"),
            records=[
                (each, token.key_id, token.secret_digest, now, "benchmark")
                for each, token in zip(ids, tokens, strict=True)
            ],
        )
    return ids


async def _fill_people(
    stack: Stack, sizes: Sizes, organizations: Organizations, step: Callable[[str], None]
) -> None:
    ids = organizations.ids
    async with connected(superuser_url(stack, "users")) as db:
        await check_triggers(db)
        async with _without_indexes(db, "users"):
            await db.execute(people_sql.USERS, ids, sizes.large_people)
        step(f"{await _count(db, 'users'):,} people")
        await schemas_sql.fill(db, ids[1 + sizes.organizations :])
        await db.execute(people_sql.EMAILS)
        await db.execute(people_sql.GROUPS_AND_LARGEST, ids, sizes.groups_of_one_user)
        await db.execute(people_sql.MEMBERS, ids)
        await db.execute(people_sql.LARGE_GROUP, ids[0], sizes.large_group)
        await db.execute(people_sql.USERS_IN_MANY_GROUPS, ids[0], sizes.groups_of_one_user)
        step("e-mail addresses, groups and members")


async def _fill_log(
    stack: Stack, sizes: Sizes, organizations: Organizations, step: Callable[[str], None]
) -> None:
    async with connected(superuser_url(stack, "users")) as db:
        ids, key_ids, start = organizations.ids, organizations.key_ids, log_sql.log_start()
        await rollup_sql.skip_filled_entries(db)
        await log_sql.fill_changes(db, sizes, ids, key_ids, start)
        step(f"{sizes.changes:,} changes")
        async with _without_indexes(db, "refusals"):
            await log_sql.fill_refusals(db, sizes, ids, key_ids, start)
        step(f"{sizes.refusals:,} refusals")
        await rollup_sql.fill_counts(db, start)
        async with _without_indexes(db, "logged_names"):
            await rollup_sql.fill_names(db, ids)
        step("counts and names of the log")


async def check_triggers(db: asyncpg.Connection) -> None:
    """Raise an error if a trigger writes rows that `fill` does not insert."""
    rows = await db.fetch(
        "SELECT tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid"
        " WHERE NOT tgisinternal AND relname IN ('users', 'groups', 'group_users', 'changes',"
        " 'refusals') AND NOT tgname = ANY($1)",
        list(people_sql.TRIGGERS),
    )
    if rows:
        names = ", ".join(row[0] for row in rows)
        raise NotImplementedError(f"the benchmark does not insert the rows of triggers: {names}")


@asynccontextmanager
async def _without_indexes(db: asyncpg.Connection, table: str) -> AsyncIterator[None]:
    """Drop the indexes of a table, except that of the primary key, and create them at the end."""
    indexes = await db.fetch(
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
        " WHERE indrelid = $1::text::regclass AND NOT indisprimary",
        table,
    )
    for name, _ in indexes:
        await db.execute(f"DROP INDEX {name}")
    yield
    for _, definition in indexes:
        await db.execute(definition)


async def _count(db: asyncpg.Connection, table: str) -> int:
    count: int = await db.fetchval(f"SELECT count(*) FROM {table}")
    return count
