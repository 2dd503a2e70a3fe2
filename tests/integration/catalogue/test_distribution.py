"""The rules of docs/scale.md, checked against the catalogue of real databases."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import asyncpg
import pytest

from tests.support.postgres import Template

ROOT = Path(__file__).resolve().parents[3]

GLOBAL_TABLES = {
    "schema_migration": "which migrations were applied",
    "change_feed": "one row: the feed's id and the last change that retention deleted",
    "database_identity": "one row: the service and the region of the data, and the database's id",
    "clock_readings": "the clock of each replica, compared with that of its own node",
}
"""Tables whose rows belong to no organization: each node would have a copy."""

EXEMPT_INDEXES = {
    # A token names its key, not its organization: this index finds the organization.
    "api_key_by_key_id": ["key_id"],
    # A sign-in starts with an e-mail address: its domain determines the organization.
    "sso_domains_by_domain": ["domain"],
}
"""Unique indexes that do not begin with the organization. Distributed, each becomes a table."""

UNIQUE_INDEXES = """
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
FOREIGN_KEYS = """
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


@pytest.fixture(scope="module", params=["usersvc", "keysvc"])
def database(request: pytest.FixtureRequest, templates: Mapping[str, Template]) -> Iterator[str]:
    with templates[request.param].database() as url:
        yield url


@pytest.fixture(scope="module")
def keysvc_database(templates: Mapping[str, Template]) -> Iterator[str]:
    with templates["keysvc"].database() as url:
        yield url


async def fetch_rows(url: str, query: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        rows: list[asyncpg.Record] = await connection.fetch(query)
    finally:
        await connection.close()
    return rows


async def test_every_table_belongs_to_organizations_or_is_exempt(database):
    tables = {row["name"]: row for row in await fetch_rows(database, TABLES)}
    distributed = {name: row for name, row in tables.items() if name not in GLOBAL_TABLES}

    assert "schema_migration" in tables
    assert len(distributed) >= 3
    assert {
        name: (row["type"], row["required"], row["has_key"]) for name, row in distributed.items()
    } == dict.fromkeys(distributed, ("uuid", True, True))


async def test_organization_leads_every_unique_index(database):
    rows = [
        row
        for row in await fetch_rows(database, UNIQUE_INDEXES)
        if row["table"] not in GLOBAL_TABLES
    ]

    others = {
        row["index"]: row["columns"] for row in rows if row["columns"][0] != "organization_id"
    }

    assert rows
    assert others == {name: columns for name, columns in EXEMPT_INDEXES.items() if name in others}


async def test_organization_leads_both_sides_of_every_foreign_key(database):
    rows = await fetch_rows(database, FOREIGN_KEYS)

    assert rows
    assert [
        row["name"]
        for row in rows
        if (row["own"][0], row["theirs"][0]) != ("organization_id", "organization_id")
    ] == []
    assert {row["referenced"] for row in rows} & GLOBAL_TABLES.keys() == set()


async def test_exempt_indexes_exist(keysvc_database):
    """A name without an index must be removed from the list."""
    found = {row["index"] for row in await fetch_rows(keysvc_database, UNIQUE_INDEXES)}

    assert EXEMPT_INDEXES.keys() <= found
