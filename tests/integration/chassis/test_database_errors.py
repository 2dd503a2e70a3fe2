"""Errors of PostgreSQL that mean that the database is unavailable."""

from collections.abc import Iterator

import asyncpg
import pytest

from chassis.database.pool import Database
from chassis.errors import DatabaseUnavailable
from tests.support.postgres import Template, TestPostgres

CLOSINGS = (
    'ALTER DATABASE "{database}" ALLOW_CONNECTIONS false;',
    'REVOKE CONNECT ON DATABASE "{database}" FROM "{role}";',
    'ALTER ROLE "{role}" NOLOGIN;',
    'ALTER ROLE "{role}" CONNECTION LIMIT 0;',
    "ALTER ROLE \"{role}\" VALID UNTIL '2020-01-01';",
    'ALTER DATABASE "{database}" RENAME TO "{database}_old";',
)
STATEMENTS = {
    "lock_timeout": "LOCK TABLE records",
    "statement_timeout": "SELECT pg_sleep(100)",
    "transaction_timeout": "SELECT pg_sleep(100)",
}


@pytest.fixture
def template(postgres_cluster: TestPostgres) -> Template:
    return postgres_cluster.template("errors", lambda _: None)


@pytest.fixture
def url(template: Template) -> Iterator[str]:
    with template.database() as url:
        yield url
    template.cluster.query(
        "ALTER ROLE :\"role\" LOGIN CONNECTION LIMIT -1 VALID UNTIL 'infinity';"
        'ALTER ROLE :"role" RESET ALL;',
        role=template.owner,
    )


@pytest.mark.parametrize("closing", CLOSINGS, ids=lambda closing: closing.replace('"', ""))
async def test_refused_connection_is_an_unavailable_database(
    template: Template, url: str, closing: str
):
    database = url.rpartition("/")[2]
    template.cluster.query(closing.format(database=database, role=template.owner))

    async with Database(url, "test") as pool:
        with pytest.raises(DatabaseUnavailable):
            async with pool.connection() as connection:
                await connection.fetchval("SELECT 1")


@pytest.mark.parametrize("setting", STATEMENTS)
async def test_time_limit_of_an_operator_is_an_unavailable_database(
    template: Template, url: str, setting: str
):
    locking = await asyncpg.connect(url)
    try:
        await locking.execute("CREATE TABLE records (id int)")
        await locking.execute("BEGIN; LOCK TABLE records")
        template.cluster.query(f"ALTER ROLE \"{template.owner}\" SET {setting} = '10ms';")

        async with Database(url, "test") as pool:
            with pytest.raises(DatabaseUnavailable):
                async with pool.transaction() as connection:
                    await connection.execute(STATEMENTS[setting])
    finally:
        await locking.close()


async def test_session_ended_in_an_idle_transaction_is_unavailable_database(
    template: Template, url: str
):
    template.cluster.query(
        f"ALTER ROLE \"{template.owner}\" SET idle_in_transaction_session_timeout = '10ms';"
    )

    async def use_until_ended(pool: Database) -> None:
        async with pool.transaction() as connection:
            while not connection.is_closed():
                template.cluster.query("SELECT 1;")
                await connection.fetchval("SELECT 1")

    async with Database(url, "test") as pool:
        with pytest.raises(DatabaseUnavailable):
            await use_until_ended(pool)
