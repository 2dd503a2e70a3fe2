"""A service, its migration and its commands refuse the wrong database before they use it."""

from collections.abc import Iterator

import asyncpg
import pytest

from chassis.database import migrations
from tests.support.forked_commands import run_forked
from tests.support.postgres import Template
from tests.support.service_processes import running, service_settings
from tests.support.stack import ROOT

OTHER = {"usersvc": "keysvc", "keysvc": "usersvc"}
SERVICES = sorted(OTHER)
COMMANDS = {
    "usersvc": ("renew-feed",),
    "keysvc": ("create-organization", "--display-name", "Acme"),
}
NEWER = 9_999


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def own_url(templates: dict[str, Template], service: str) -> Iterator[str]:
    with templates[service].database() as url:
        yield url


@pytest.fixture
def other_url(templates: dict[str, Template], service: str) -> Iterator[str]:
    with templates[OTHER[service]].database() as url:
        yield url


@pytest.fixture
def empty_url(templates: dict[str, Template]) -> Iterator[str]:
    with templates["empty"].database() as url:
        yield url


async def execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def fingerprint(url: str) -> list[tuple[str, int]]:
    """The tables of a database and the number of rows that were ever written to each."""
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname !~ '^(pg_|sql_)'"
            " ORDER BY relname"
        )
        return [
            (table, await connection.fetchval(f'SELECT count(*) FROM "{table}"'))
            for (table,) in tables
        ]
    finally:
        await connection.close()


def refusal(service: str, settings: dict[str, str], *arguments: str) -> str:
    """The text of a process that must refuse to start; it must never listen."""
    code, output, error_output = run_forked(
        service,
        {f"{service.upper()}_LISTEN": "127.0.0.1:0", **settings},
        *(arguments or ("serve",)),
    )
    assert code == 1, output + error_output
    assert '"listening"' not in output
    return error_output.splitlines()[-1]


async def test_empty_database_is_refused_with_the_command_to_run(service: str, empty_url: str):
    text = refusal(service, service_settings(service, empty_url))

    assert "has no schema" in text
    assert f"python -m {service} migrate" in text
    assert await fingerprint(empty_url) == []


@pytest.mark.parametrize("arguments", ["serve", "migrate", "command"])
async def test_database_of_the_other_service_is_refused_and_unchanged(
    service: str, other_url: str, arguments: str
):
    before = await fingerprint(other_url)
    words = COMMANDS[service] if arguments == "command" else (arguments,)

    text = refusal(service, service_settings(service, other_url), *words)

    assert f"belongs to {OTHER[service]}, not to {service}" in text
    assert f"{service.upper()}_DATABASE_URL" in text
    assert await fingerprint(other_url) == before


@pytest.mark.parametrize("command", ["serve", "migrate"])
async def test_other_service_of_an_older_release_is_recognized(
    service: str, other_url: str, command: str
):
    await execute(
        other_url,
        "DROP TABLE database_identity",
        "DELETE FROM schema_migration WHERE version > 3",
    )
    assert "belongs to another service" in refusal(
        service, service_settings(service, other_url), command
    )


async def test_older_schema_is_refused_with_the_missing_migration(service: str, own_url: str):
    connection = await asyncpg.connect(own_url)
    name = await connection.fetchval(
        "DELETE FROM schema_migration WHERE version = (SELECT max(version) FROM schema_migration)"
        " RETURNING name"
    )
    await connection.close()

    text = refusal(service, service_settings(service, own_url))

    assert f"lacks {name}" in text
    assert f"python -m {service} migrate" in text


async def test_migration_that_is_not_complete_is_refused(service: str, own_url: str):
    await execute(own_url, "UPDATE schema_migration SET apply_time = NULL WHERE version = 2")
    assert "older than this release" in refusal(service, service_settings(service, own_url))


async def test_newer_schema_is_served_and_not_migrated(service: str, own_url: str):
    await execute(
        own_url,
        "INSERT INTO schema_migration (version, name, digest)"
        f" VALUES ({NEWER}, '{NEWER}_next.sql', '')",
    )

    text = refusal(service, service_settings(service, own_url), "migrate")
    with running(service, service_settings(service, own_url), "serve") as process:
        process.wait_for("health", ready=True)

    assert f"newer than this release: it has {NEWER}_next.sql" in text


@pytest.mark.parametrize("arguments", ["serve", "migrate", "command"])
async def test_database_of_another_region_is_refused(service: str, own_url: str, arguments: str):
    with running(service, service_settings(service, own_url, "eu"), "serve") as process:
        process.wait_for("health", ready=True)
    before = await fingerprint(own_url)
    words = COMMANDS[service] if arguments == "command" else (arguments,)

    text = refusal(service, service_settings(service, own_url, "us"), *words)

    assert f"has the data of region eu, but {service.upper()}_REGION is us" in text
    assert await fingerprint(own_url) == before


async def test_region_of_earlier_organizations_is_that_of_the_database(
    empty_url: str,
):
    """Migration 4 added the identity of the database."""
    earlier = migrations.read(ROOT / "keysvc/store/migrations")[:3]
    await migrations.apply(empty_url, earlier)
    await execute(
        empty_url,
        "INSERT INTO organization (organization_id, display_name, region, create_time)"
        " VALUES (gen_random_uuid(), 'Acme', 'eu', now())",
    )

    text = refusal("keysvc", service_settings("keysvc", empty_url, "us"), "migrate")

    assert "has the data of region eu" in text


async def test_other_database_for_listen_is_refused(
    service: str, own_url: str, templates: dict[str, Template]
):
    with templates[service].database() as second_url:
        await execute(second_url, "UPDATE database_identity SET database_id = gen_random_uuid()")
        settings = service_settings(service, own_url)
        text = refusal(service, settings | {f"{service.upper()}_DATABASE_LISTEN_URL": second_url})
    assert "lead to different databases" in text


async def test_database_that_the_role_may_not_use_is_refused(service: str, own_url: str):
    connection = await asyncpg.connect(own_url)
    await connection.execute(
        f'REVOKE CONNECT ON DATABASE "{own_url.rpartition("/")[2]}" FROM CURRENT_USER'
    )
    await connection.close()

    text = refusal(service, service_settings(service, own_url))

    assert f"the database is not one of {service} (permission denied" in text


async def test_reason_of_an_unavailable_database_is_logged_once(service: str, own_url: str):
    missing = own_url + "_missing"
    with running(service, service_settings(service, missing), "serve") as process:
        process.wait_for("listening")
        entry = process.wait_for("database not verified")
        process.wait_for("health", ready=False)
        assert len(process.logged("database not verified")) == 1
    assert entry["error"].startswith("InvalidCatalogNameError: database")


async def test_service_serves_its_own_database_again(service: str, own_url: str):
    for _ in range(2):
        with running(service, service_settings(service, own_url), "serve") as process:
            process.wait_for("health", ready=True)
