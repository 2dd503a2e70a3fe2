"""The change feed, from a transaction to every stream of every replica."""

import asyncio
import time
from collections.abc import AsyncIterator

import grpc
import pytest
from cloudacademy.keys.v1 import keys_pb2 as pb

from chassis.rpc.server import DRAIN_SECONDS
from keysvc.__main__ import main
from tests.support.keysvc.proxies import proxy_before
from tests.support.keysvc.replicas import (
    MovableClock,
    Replica,
    Watcher,
    refused,
    running_replica,
    until,
    watching,
)

RESET = ("reset", "")


@pytest.fixture
async def second_replica(keys_url: str, clock: MovableClock) -> AsyncIterator[Replica]:
    """A second replica on the same database."""
    async with running_replica(keys_url, clock) as replica:
        yield replica


@pytest.fixture
def long_statement_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long timeout, so that a slow database on a busy machine counts as available."""
    monkeypatch.setattr("chassis.database.notifications.STATEMENT_TIMEOUT_SECONDS", 15.0)


@pytest.mark.usefixtures("long_statement_timeout")
async def test_revocation_reaches_streams_of_another_replica_immediately(
    keysvc: Replica, second_replica: Replica
):
    generated = await keysvc.generate(await keysvc.create())
    async with watching(second_replica) as watcher:
        await keysvc.revoke(generated.key)
        received_before = len(watcher.event_kinds)
        await until(lambda: len(watcher.events) == 2)

    assert watcher.events == [RESET, ("organization_change", generated.key.organization_id)]
    # At most one heartbeat comes in between: one that was in flight at the revocation.
    assert watcher.event_kinds.index("organization_change") <= received_before + 1


@pytest.mark.usefixtures("long_statement_timeout")
async def test_each_invalidating_change_is_sent_once_and_nothing_else(
    keysvc: Replica, second_replica: Replica
):
    async with watching(second_replica) as watcher:
        acme, initech = await keysvc.create("Acme"), await keysvc.create("Initech")
        generated = await keysvc.generate(acme)
        await keysvc.authenticate(generated.token)
        await keysvc.activate(initech)
        with refused("KEY_NOT_FOUND"):
            await keysvc.revoke(pb.Key(organization_id=initech, id=generated.key.id))
        await keysvc.deactivate(initech)
        with refused("INTEGRATION_NOT_ACTIVE"):
            await keysvc.generate(initech)
        await keysvc.revoke(generated.key)
        await keysvc.revoke(generated.key)
        await keysvc.activate(initech)
        await until(lambda: len(watcher.events) == 7)

    assert watcher.events == [RESET] + [
        ("organization_change", organization_id)
        for organization_id in (acme, initech, acme, initech, acme, initech)
    ]


@pytest.mark.usefixtures("long_statement_timeout")
async def test_change_by_a_command_reaches_streams(
    keysvc: Replica, keys_url: str, monkeypatch: pytest.MonkeyPatch
):
    acme = await keysvc.create()
    monkeypatch.setenv("KEYSVC_DATABASE_URL", keys_url)
    monkeypatch.setenv("KEYSVC_REGION", "us")
    async with watching(keysvc) as watcher:
        code = await asyncio.to_thread(main, ["deactivate-integration", acme])
        await until(lambda: len(watcher.events) == 2 or watcher.error is not None)

    assert (code, watcher.error) == (0, None)
    assert watcher.events == [RESET, ("organization_change", acme)]


@pytest.mark.usefixtures("long_statement_timeout")
async def test_idle_stream_gets_four_heartbeats_a_second(keysvc: Replica):
    async with watching(keysvc) as watcher:
        await until(lambda: len(watcher.times) >= 20)

    gaps = [after - before for before, after in zip(watcher.times, watcher.times[1:], strict=False)]
    assert watcher.events == [RESET]
    # A busy machine can delay heartbeats but not advance them.
    assert min(gaps) <= 0.25


async def test_stream_is_removed_when_its_caller_leaves(keysvc: Replica):
    async with watching(keysvc):
        pass

    await until(lambda: keysvc.logged("call") == 1)
    keysvc.stop.set()
    await until(lambda: keysvc.logged("feed disconnected") == 1)
    entries = [entry for entry in keysvc.log if entry["event"] == "feed disconnected"]
    assert [entry["streams"] for entry in entries] == [0]


async def test_graceful_stop_ends_streams_immediately_without_an_error(keysvc: Replica):
    async with watching(keysvc) as watcher:
        started = time.monotonic()
        keysvc.stop.set()
        await keysvc.task
        passed = time.monotonic() - started
        await asyncio.wait([watcher.task])

    assert watcher.error is None
    assert passed < DRAIN_SECONDS


async def test_dead_database_connection_stops_heartbeats_and_ends_streams(
    keys_url: str, clock: MovableClock
):
    async with proxy_before(keys_url) as (proxy, url), running_replica(url, clock) as replica:
        async with watching(replica) as watcher:
            await until(lambda: len(watcher.event_kinds) >= 4)
            proxy.partition()
            received_before = len(watcher.event_kinds)
            await until(watcher.task.done)
            with refused("DATABASE_UNAVAILABLE"):
                await replica.keys.WatchKeys(pb.WatchKeysRequest()).read()

        proxy.heal()
        await until(lambda: replica.logged("feed connected") == 2)
        async with watching(replica) as new_watcher:
            acme = await replica.create()
            await until(lambda: len(new_watcher.events) == 2)

    # No heartbeat followed the last responses of the database, so the caller noticed the outage.
    assert len(watcher.event_kinds) <= received_before + 2
    assert watcher.error is not None
    assert watcher.error.reason == "DATABASE_UNAVAILABLE"
    assert new_watcher.events == [RESET, ("organization_change", acme)]


async def test_stream_is_refused_while_the_feed_is_not_connected(clock: MovableClock):
    no_database = "postgresql://nobody@127.0.0.1:1/nothing"
    async with running_replica(no_database, clock, follows=False) as replica:
        watcher = Watcher(replica)
        await asyncio.wait([watcher.task])

    assert watcher.events == []
    assert watcher.error is not None
    assert watcher.error.reason == "DATABASE_UNAVAILABLE"
    assert watcher.error.code == grpc.StatusCode.UNAVAILABLE
