"""Changes of custom schemas reach the gateway by push, through real services and PostgreSQL."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from chassis.errors import DatabaseUnavailable
from tests.support.supervision.region import URN, Region, running_region
from tests.support.waiting import eventually
from usersvc.rpc.schemas import SchemaServicer

REQUESTS = 20
LIFETIME = "gateway.api.resource_types.LIFETIME_SECONDS"

INSERT = """
    INSERT INTO schemas (organization_id, urn, name, attributes, create_time)
    VALUES ($1, $2, 'Badge', '[]', now())
"""
TERMINATE_LISTENERS = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
     WHERE application_name = 'usersvc-changes' AND datname = current_database()
"""

Running = Callable[..., AbstractAsyncContextManager[Region]]


@pytest.fixture
def running(
    tmp_path: Path, keys_url: str, users_url: str, monkeypatch: pytest.MonkeyPatch
) -> Running:
    """Starts all services; yields once the gateway has the schemas of its organization."""

    @asynccontextmanager
    async def run(*, connected: bool = True) -> AsyncIterator[Region]:
        async with running_region(tmp_path, keys_url, users_url, monkeypatch) as region:
            # The feed of usersvc may connect to the database after the first attempt.
            await eventually(lambda: connections(region)[-1:] == [connected])
            assert not await is_listed(region)
            yield region

    return run


@pytest.fixture
def _types_do_not_expire(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the watch can bring a change to the gateway."""
    monkeypatch.setattr(LIFETIME, 1e9)


async def is_listed(region: Region) -> bool:
    return await region.request("GET", f"/Schemas/{URN}") == 200


def fetches(region: Region) -> int:
    """How often the gateway requested schemas."""
    calls = region.usersvc.logged("call")
    return sum(each["method"].endswith("/ListSchemas") for each in calls)


def connections(region: Region) -> list[bool]:
    return [each["connected"] for each in region.gateway.logged("schema watch")]


@pytest.mark.usefixtures("_types_do_not_expire")
async def test_created_and_deleted_schema_reach_the_gateway_by_push(running: Running):
    async with running() as region:
        await region.create_schema(region.organization_id)
        await eventually(lambda: is_listed(region))
        await region.delete_schema(region.organization_id)

        async def is_gone() -> bool:
            return not await is_listed(region)

        await eventually(is_gone)


async def test_requests_fetch_schemas_once_while_nothing_changes(running: Running):
    async with running() as region:
        for _ in range(REQUESTS):
            assert await region.request("GET", "/Users") == 200

        assert fetches(region) == 1


@pytest.mark.usefixtures("_types_do_not_expire")
async def test_gateway_confirms_schemas_after_an_interrupted_watch(running: Running):
    async with running() as region:
        # Nothing announces this change, as if it had been lost with the connection.
        await region.fetch("usersvc", INSERT, region.organization_id, URN)
        cached = await is_listed(region)
        await region.fetch("usersvc", TERMINATE_LISTENERS)

        await eventually(lambda: is_listed(region))
        assert (cached, connections(region)[-3:]) == (False, [True, False, True])


async def test_types_expire_while_the_watch_is_refused(
    running: Running, monkeypatch: pytest.MonkeyPatch
):
    async def refuse(*_: object) -> AsyncIterator[object]:
        raise DatabaseUnavailable
        yield

    monkeypatch.setattr(SchemaServicer, "WatchSchemas", refuse)
    monkeypatch.setattr(LIFETIME, 0.5)
    async with running(connected=False) as region:
        await region.create_schema(region.organization_id)
        await eventually(lambda: is_listed(region))

        assert connections(region) == [False]
        assert region.gateway.logged("schema watch")[0]["status_code"] == "UNAVAILABLE"
