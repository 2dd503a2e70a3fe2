"""deploy/sql/forget_organization.sql deletes all rows of one organization and no others."""

import asyncio
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.support.postgres import Template

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "deploy/sql/forget_organization.sql"

FILL = {
    "usersvc": """
        INSERT INTO users (organization_id, user_id, create_time, update_time, user_name, emails)
             VALUES ($1, $2, now(), now(), 'ann', '[{"value": "ann@corp.test"}]');
        INSERT INTO groups (organization_id, group_id, create_time, update_time, display_name)
             VALUES ($1, $2, now(), now(), 'all'), ($1, $3, now(), now(), 'more');
        INSERT INTO group_users (organization_id, group_id, user_id) VALUES ($1, $2, $2);
        INSERT INTO group_groups (organization_id, group_id, member_group_id) VALUES ($1, $2, $3);
        INSERT INTO schemas (organization_id, urn, name, attributes, create_time)
             VALUES ($1, 'urn:x', 'x', '[]', now())
    """,
    "keysvc": """
        INSERT INTO organization (organization_id, display_name, region, create_time)
             VALUES ($1, 'Acme', 'us', now());
        INSERT INTO integration (organization_id, active, update_time) VALUES ($1, true, now());
        INSERT INTO api_key (organization_id, key_id, secret_digest, create_time, created_by)
             VALUES ($1, $2, sha256('x'), now(), 'me')
    """,
}


@contextmanager
def filled(service: str, templates: Mapping[str, Template]) -> Iterator[tuple[str, UUID, UUID]]:
    """A database with two organizations, and their ids."""
    with templates[service].database() as url:
        deleted, other = uuid4(), uuid4()
        asyncio.run(fill(url, FILL[service], deleted, other))
        yield url, deleted, other


async def fill(url: str, statements: str, *organizations: UUID) -> None:
    connection = await asyncpg.connect(url)
    for organization in organizations:
        values = (str(organization), str(uuid4()), str(uuid4()))
        script = statements
        for number, value in enumerate(values, 1):
            script = script.replace(f"${number}", f"'{value}'")
        await connection.execute(script)
    await connection.close()


async def rows_of(url: str, organization: UUID) -> dict[str, int]:
    """The number of rows per table of an organization."""
    connection = await asyncpg.connect(url)
    tables = await connection.fetch(
        """
        SELECT c.oid::regclass::text AS name
          FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
         WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
           AND c.relnamespace = 'public'::regnamespace
           AND a.attname = 'organization_id'
        """
    )
    count = "SELECT count(*) FROM {} WHERE organization_id = $1"
    found = {
        row["name"]: await connection.fetchval(count.format(row["name"]), organization)
        for row in tables
    }
    await connection.close()
    return found


@pytest.mark.parametrize("service", FILL)
def test_forget_organization_deletes_only_its_rows(service, templates: Mapping[str, Template]):
    with filled(service, templates) as (url, deleted, other):
        before = asyncio.run(rows_of(url, other))
        psql = templates[service].cluster.programs.path("psql")
        command = [psql, "--no-psqlrc", "--quiet", "--set", f"organization={deleted}"]

        subprocess.run([*command, "--file", str(SCRIPT), url], check=True, capture_output=True)

        assert len([name for name, rows in before.items() if rows]) >= 3
        assert set(asyncio.run(rows_of(url, deleted)).values()) == {0}
        assert asyncio.run(rows_of(url, other)) == before
