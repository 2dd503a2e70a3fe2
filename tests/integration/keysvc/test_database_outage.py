"""Behaviour without a database, from the start or during an outage."""

import asyncio
from collections.abc import Callable

import grpc
import pytest
from cloudacademy.keys.v1 import keys_pb2 as pb
from grpc_health.v1 import health_pb2, health_pb2_grpc

from keysvc.domain import key_token
from keysvc.domain.organizations import Region
from tests.support.databases import migrate_keysvc
from tests.support.keysvc.replicas import (
    MovableClock,
    Replica,
    refused,
    running_replica,
    until,
    watching,
)
from tests.support.postgres import temporary_postgres
from tests.support.waiting import eventually

NO_DATABASE = "postgresql://nobody@127.0.0.1:1/nothing"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
ID = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e11"


async def health(replica: Replica) -> int:
    stub = health_pb2_grpc.HealthStub(replica.channel)
    status: int = (await stub.Check(health_pb2.HealthCheckRequest())).status
    return status


async def wait_for_health(replica: Replica, status: int) -> None:
    async def has_status() -> bool:
        return await health(replica) == status

    await eventually(has_status)


def corrupted(token: str) -> str:
    return token[:-1] + ("1" if token[-1] == "0" else "0")


@pytest.mark.parametrize(
    ("region", "change", "reason", "metadata"),
    [
        (Region.US, corrupted, "KEY_MALFORMED", {}),
        (Region.US, lambda token: f"Bearer {token}", "KEY_MALFORMED", {}),
        (Region.EU, corrupted, "KEY_MALFORMED", {}),
        (Region.EU, str, "KEY_OF_OTHER_REGION", {"region": "eu"}),
        (Region.US, str, "DATABASE_UNAVAILABLE", {}),
    ],
)
async def test_only_a_well_formed_token_of_the_region_needs_the_database(
    clock: MovableClock,
    region: Region,
    change: Callable[[str], str],
    reason: str,
    metadata: dict[str, str],
):
    token = key_token.generate(region, bytes).text
    async with running_replica(NO_DATABASE, clock, follows=False) as replica:
        with refused(reason) as refusal:
            await replica.authenticate(change(token))

    assert refusal().metadata == metadata


async def test_key_of_another_region_is_refused_with_the_site_of_its_region(clock: MovableClock):
    token = key_token.generate(Region.US, bytes).text
    async with running_replica(NO_DATABASE, clock, Region.EU, follows=False) as replica:
        with refused("KEY_OF_OTHER_REGION") as refusal:
            await replica.authenticate(token)

    assert refusal().code == grpc.StatusCode.UNAUTHENTICATED
    assert refusal().metadata == {"region": "us"}
    assert refusal().detail == (
        "This API key belongs to cloudacademy.com. Set the Tenant URL in your identity provider to "
        "the one that cloudacademy.com shows under Settings & Integrations → Integrations."
    )


async def test_service_without_a_database_is_not_serving_and_refuses(clock: MovableClock):
    async with running_replica(NO_DATABASE, clock, follows=False) as replica:
        assert await health(replica) == NOT_SERVING
        with refused("DATABASE_UNAVAILABLE") as refusal:
            await replica.organizations.GetOrganization(
                pb.GetOrganizationRequest(organization_id=ID)
            )

    assert refusal().code == grpc.StatusCode.UNAVAILABLE


async def test_service_recovers_when_its_database_returns(clock: MovableClock):
    with temporary_postgres() as postgres:
        url = postgres.cluster.create_role_and_database("keys", "keys_owner", "secret")
        await asyncio.to_thread(migrate_keysvc, url)
        async with running_replica(url, clock) as replica:
            generated = await replica.generate(await replica.create())
            await wait_for_health(replica, SERVING)
            async with watching(replica) as watcher:
                await asyncio.to_thread(postgres.cluster.stop)
                await until(watcher.task.done)
                with refused("DATABASE_UNAVAILABLE"):
                    await replica.authenticate(generated.token)
                assert await health(replica) == SERVING  # otherwise all replicas leave service

            await asyncio.to_thread(postgres.cluster.start)
            await until(lambda: replica.logged("feed connected") == 2)
            response = await replica.authenticate(generated.token)
            async with watching(replica) as new_watcher:
                await replica.revoke(generated.key)
                await until(lambda: len(new_watcher.events) == 2)

    assert watcher.error is not None
    assert watcher.error.reason == "DATABASE_UNAVAILABLE"
    assert response.key_id == generated.key.id
    assert new_watcher.events == [
        ("reset", ""),
        ("organization_change", generated.key.organization_id),
    ]


async def test_use_during_a_database_outage_is_written_afterwards(clock: MovableClock):
    with temporary_postgres() as postgres:
        url = postgres.cluster.create_role_and_database("keys", "keys_owner", "secret")
        await asyncio.to_thread(migrate_keysvc, url)
        async with running_replica(url, clock) as replica:
            acme = await replica.create()
            generated = await replica.generate(acme)
            await replica.authenticate(generated.token, "192.0.2.1")
            await asyncio.to_thread(postgres.cluster.stop)
            await until(lambda: replica.logged("feed disconnected") == 1)
            await asyncio.to_thread(postgres.cluster.start)
            await until(lambda: replica.logged("feed connected") == 2)

        async with running_replica(url, clock) as replica:
            assert [key.last_used_address for key in await replica.list(acme)] == ["192.0.2.1"]
