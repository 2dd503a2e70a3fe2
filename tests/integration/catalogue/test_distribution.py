"""The rules of docs/scale.md, checked against the catalogue of real databases."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from chassis.database import migrations
from tests.support.postgres import TestPostgres

ROOT = Path(__file__).resolve().parents[3]

OF_THE_WHOLE_DATABASE = {
    "schema_migration": "which migrations were applied",
    "change_feed": "one row: the feed's id and the last change that retention deleted",
}
"""Tables without rows of organizations: each node would have a copy."""

EXCEPTIONS = {
    # A token names its key, not its organization: this index finds the organization.
    "api_key_by_key_id": ["key_id"],
    # A sign-in starts with an e-mail address: its domain determines the organization.
    "sso_domains_by_domain": ["domain"],
}
"""Unique indexes without the organization first. When distributed, each becomes its own table."""

KEYS = """
    SELECT c.relname AS table, i.relname AS index,
           (SELECT array_agg(coalesce(a.attname::text, '(expression)') ORDER BY k.place)
              FROM unnest(x.indkey) WITH ORDINALITY AS k (number, place)
              LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.number
           ) AS columns
      FROM pg_index AS x
      JOIN pg_class AS c ON c.oid = x.indrelid
      JOIN pg_class AS i ON i.oid = x.indexrelid
     WHERE x.indisunique AND c.relnamespace = 'public'::regnamespace
"""
REFERENCES = """
    SELECT k.conname AS name, t.relname AS table, k.confrelid::regclass::text AS referenced,
           (SELECT array_agg(a.attname::text ORDER BY n.place)
              FROM unnest(k.conkey) WITH ORDINALITY AS n (number, place)
              JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = n.number) AS own,
           (SELECT array_agg(a.attname::text ORDER BY n.place)
              FROM unnest(k.confkey) WITH ORDINALITY AS n (number, place)
              JOIN pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = n.number) AS theirs
      FROM pg_constraint AS k
      JOIN pg_class AS t ON t.oid = k.conrelid
     WHERE k.contype = 'f'
"""
TABLES = """
    SELECT c.relname AS name, a.atttypid::regtype::text AS type, a.attnotnull AS required,
           EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary) AS has_key
      FROM pg_class AS c
      LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'organization_id'
     WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
       AND c.relnamespace = 'public'::regnamespace
"""


@contextmanager
def migrated(service: str, postgres: TestPostgres) -> Iterator[str]:
    """A database with all migrations of a service."""
    steps = migrations.read(ROOT / service / "store" / "migrations")

    def migrate(url: str) -> None:
        asyncio.run(migrations.apply(url, steps))

    with postgres.template(f"catalogue_{service}", migrate).database() as url:
        yield url


@pytest.fixture(scope="module", params=["usersvc", "keysvc"])
def database(request: pytest.FixtureRequest, postgres_cluster: TestPostgres) -> Iterator[str]:
    with migrated(request.param, postgres_cluster) as url:
        yield url


@pytest.fixture(scope="module")
def keysvc_database(postgres_cluster: TestPostgres) -> Iterator[str]:
    with migrated("keysvc", postgres_cluster) as url:
        yield url


async def ask(url: str, question: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        rows: list[asyncpg.Record] = await connection.fetch(question)
    finally:
        await connection.close()
    return rows


async def test_every_table_belongs_to_organizations_or_is_exempt(database):
    tables = {row["name"]: row for row in await ask(database, TABLES)}
    distributed = {name: row for name, row in tables.items() if name not in OF_THE_WHOLE_DATABASE}

    assert "schema_migration" in tables
    assert len(distributed) >= 3
    assert {
        name: (row["type"], row["required"], row["has_key"]) for name, row in distributed.items()
    } == dict.fromkeys(distributed, ("uuid", True, True))


async def test_organization_leads_every_unique_index(database):
    rows = [row for row in await ask(database, KEYS) if row["table"] not in OF_THE_WHOLE_DATABASE]

    others = {
        row["index"]: row["columns"] for row in rows if row["columns"][0] != "organization_id"
    }

    assert rows
    assert others == {name: columns for name, columns in EXCEPTIONS.items() if name in others}


async def test_organization_leads_both_sides_of_every_foreign_key(database):
    rows = await ask(database, REFERENCES)

    assert rows
    assert [
        row["name"]
        for row in rows
        if (row["own"][0], row["theirs"][0]) != ("organization_id", "organization_id")
    ] == []
    assert {row["referenced"] for row in rows} & OF_THE_WHOLE_DATABASE.keys() == set()


async def test_exempt_indexes_exist(keysvc_database):
    """A name without an index must be removed from the list."""
    found = {row["index"] for row in await ask(keysvc_database, KEYS)}

    assert EXCEPTIONS.keys() <= found
