"""An unavailable database takes no process out of service."""

import asyncio
from collections.abc import Iterator

import pytest

from deploy.local.postgres import Cluster
from deploy.local.region import TENANT_PATH
from tests.support.databases import migrate_keysvc, migrate_usersvc
from tests.support.keysvc.process import token_of_new_organization
from tests.support.postgres import temporary_postgres
from tests.support.service_processes import gateway_settings, running, service_settings
from tests.support.waiting import wait_until


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with temporary_postgres() as postgres:
        yield postgres.cluster


async def test_processes_stay_in_service_without_a_database(cluster: Cluster):
    users_url = cluster.create_role_and_database("users", "users_owner", "secret")
    keys_url = cluster.create_role_and_database("keys", "keys_owner", "secret")
    await asyncio.to_thread(migrate_usersvc, users_url)
    await asyncio.to_thread(migrate_keysvc, keys_url)
    await asyncio.to_thread(assert_stays_in_service, cluster, users_url, keys_url)


def assert_stays_in_service(cluster: Cluster, users_url: str, keys_url: str) -> None:
    headers = {"Authorization": f"Bearer {token_of_new_organization(keys_url)}"}
    with (
        running("usersvc", service_settings("usersvc", users_url), "serve") as usersvc,
        running("keysvc", service_settings("keysvc", keys_url), "serve") as keysvc,
        running("gateway", gateway_settings(usersvc.address, keysvc.address)) as gateway,
    ):

        def readiness() -> list[int]:
            services = [each.status("/readyz", admin=True) for each in (usersvc, keysvc)]
            return [*services, gateway.status("/readyz")]

        def request() -> tuple[int, str]:
            status, response_headers, _ = gateway.get(f"{TENANT_PATH}/Users", headers)
            return status, response_headers.get("Retry-After", "")

        wait_until(lambda: readiness() == [200, 200, 200])
        before = request()
        cluster.stop()
        keysvc.wait_for("feed disconnected")
        wait_until(lambda: request()[0] == 503)
        during = request(), gateway.status("/login"), readiness()
        cluster.start()
        wait_until(lambda: request()[0] == 200)

        assert before[0] == 200
        assert during == ((503, "2"), 200, [200, 200, 200])
        for process in (usersvc, keysvc):
            assert [each["ready"] for each in process.logged("health")] in ([True], [False, True])


async def test_service_started_without_a_database_becomes_ready_with_it(cluster: Cluster):
    url = cluster.create_role_and_database("users", "users_owner", "secret")
    await asyncio.to_thread(migrate_usersvc, url)
    await asyncio.to_thread(assert_becomes_ready, cluster, url)


def assert_becomes_ready(cluster: Cluster, url: str) -> None:
    cluster.stop()
    with running("usersvc", service_settings("usersvc", url), "serve") as usersvc:
        usersvc.wait_for("health", ready=False)
        alive = usersvc.status("/healthz", admin=True), usersvc.status("/readyz", admin=True)
        cluster.start()
        usersvc.wait_for("health", ready=True)
        assert alive == (200, 503)


async def test_service_started_without_its_database_refuses_a_wrong_one_later(cluster: Cluster):
    url = cluster.create_role_and_database("users", "users_owner", "secret")
    await asyncio.to_thread(migrate_keysvc, url)
    await asyncio.to_thread(assert_refuses_later, cluster, url)


def assert_refuses_later(cluster: Cluster, url: str) -> None:
    cluster.stop()
    with running("usersvc", service_settings("usersvc", url), "serve") as usersvc:
        usersvc.wait_for("listening")
        cluster.start()
        assert usersvc.exit_code() == 1
    assert "belongs to keysvc, not to usersvc" in usersvc.output
    assert all(not each["ready"] for each in usersvc.logged("health"))
