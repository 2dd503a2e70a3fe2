"""Every long-lived task of the three services survives an unexpected error."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from cloudacademy.keys.v1 import keys_pb2, keys_pb2_grpc
from cloudacademy.users.v1 import changes_pb2, schemas_pb2, users_pb2
from cloudacademy.users.v1.changes_pb2_grpc import ChangeServiceStub
from cloudacademy.users.v1.schemas_pb2_grpc import SchemaServiceStub
from cloudacademy.users.v1.users_pb2_grpc import UserServiceStub
from grpc_health.v1 import health_pb2, health_pb2_grpc

import usersvc.background.retention
from chassis.concurrency.waiting import wait_for_event
from chassis.database.clock_monitor import ClockMonitor
from chassis.database.notifications import NotificationFeed
from chassis.rpc.connection_check import ConnectionCheck
from chassis.rpc.rotating_channel import RotatingChannel
from chassis.rpc.server import Server
from gateway.api.resource_types import ResourceTypes
from gateway.auth.key_cache import KeyCache
from gateway.backend.peers import Peers
from gateway.domain_proofs.checker import DomainChecker
from gateway.http.connections import Connections
from gateway.provisioning_log.writer import RefusalLog
from keysvc.store.keys import KeyStore
from tests.support.chassis.echoes import until
from tests.support.supervision.region import SERVICES, URN, Region, Service, running_region
from tests.support.usersvc.expired_changes import insert_expired_change
from tests.support.waiting import eventually
from usersvc.background.feed import ChangeFeed
from usersvc.store.changes import ListenConnection
from usersvc.store.directory_counts import DirectoryCountStore
from usersvc.store.sessions import SessionStore

SERVING = health_pb2.HealthCheckResponse.SERVING


class FailingMethod:
    """Replaces a method of a collaborator: when armed, its next call in a task fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: type, method: str) -> None:
        self.is_armed = False
        self.calls_since = 0
        original = getattr(owner, method)

        def call(*arguments: Any, **keywords: Any) -> Any:
            # A callback of a connection, such as one for a notification, runs outside of tasks.
            if self.is_armed and asyncio.current_task() is not None:
                self.is_armed = False
                self.calls_since = 0
                raise RuntimeError("unexpected")
            self.calls_since += 1
            return original(*arguments, **keywords)

        monkeypatch.setattr(owner, method, call)


async def do_nothing(_: Region) -> None:
    """Nothing to do: the task calls the method by itself."""


# Actions that make a task call the failing method.


async def use_key(region: Region) -> None:
    await region.authenticate()


async def create_user(region: Region, name: str = "ann") -> None:
    async with region.channel(region.usersvc, "gateway") as channel:
        await UserServiceStub(channel).CreateUser(
            users_pb2.CreateUserRequest(
                organization_id=ORGANIZATION, user=users_pb2.User(user_name=name)
            ),
            timeout=10,
        )


async def refuse_request(region: Region) -> None:
    assert await region.request("POST", "/Users", {"userName": 1}) == 400


async def rotate_certificate(region: Region) -> None:
    region.issue("gateway")


ORGANIZATION = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e12"


# Checks that a task works again.


async def revocation_reaches_a_watch(region: Region) -> None:
    async def wait_for_revocation() -> None:
        async with region.channel(region.keysvc, "gateway") as channel:
            watch = keys_pb2_grpc.KeyServiceStub(channel).WatchKeys(keys_pb2.WatchKeysRequest())
            async for event in watch:
                if event.HasField("reset"):
                    await region.revoke_key()
                if event.HasField("organization_change"):
                    return

    await until(lambda: len(region.keysvc.logged("feed connected")) == 2)
    async with asyncio.timeout(20):
        await wait_for_revocation()


async def schema_reaches_a_watch(region: Region) -> None:
    async def heard() -> None:
        async with region.channel(region.usersvc, "gateway") as channel:
            watch = SchemaServiceStub(channel).WatchSchemas(schemas_pb2.WatchSchemasRequest())
            async for event in watch:
                if event.HasField("reset"):
                    await region.create_schema(ORGANIZATION)
                if event.HasField("organization_change"):
                    return

    await until(lambda: len(region.usersvc.logged("feed connected")) == 2)
    async with asyncio.timeout(20):
        await heard()


async def schema_reaches_the_gateway(region: Region) -> None:
    async def listed() -> bool:
        return await region.request("GET", f"/Schemas/{URN}") == 200

    await region.create_schema(region.organization_id)
    await eventually(listed)


async def use_is_written(region: Region) -> None:
    statement = "SELECT count(*) FROM api_key WHERE last_used_time IS NOT NULL"
    await eventually(lambda: region.fetch("keysvc", statement))


async def changes_are_followed(region: Region) -> None:
    async with region.channel(region.usersvc) as channel:
        request = changes_pb2.WatchChangesRequest(organization_id=ORGANIZATION)
        call = ChangeServiceStub(channel).WatchChanges(request, timeout=20)
        await call.read()
        await create_user(region, "bob")
        async with asyncio.timeout(20):
            while not (await call.read()).changes:
                pass
        call.cancel()


async def streams_end_with_the_process(region: Region) -> None:
    async with region.channel(region.usersvc) as channel:
        request = changes_pb2.WatchChangesRequest(organization_id=ORGANIZATION)
        call = ChangeServiceStub(channel).WatchChanges(request, timeout=60)
        await call.read()
        region.usersvc.stop.set()
        async with asyncio.timeout(20):
            assert (await call.code()).name == "OK"


async def old_changes_are_dropped(region: Region) -> None:
    db = await asyncpg.connect(region.urls["usersvc"])
    await insert_expired_change(db, ORGANIZATION, days=38)
    await db.close()

    async def is_deleted() -> bool:
        return await region.fetch("usersvc", "SELECT count(*) FROM changes") == 0

    await eventually(is_deleted)


async def revocation_reaches_the_gateway(region: Region) -> None:
    assert await region.request("GET", "/Users") == 200
    await region.revoke_key()

    async def refused() -> bool:
        return await region.request("GET", "/Users") == 401

    await eventually(refused)


async def refusals_are_stored(region: Region) -> None:
    await refuse_request(region)

    async def is_stored() -> bool:
        return await region.fetch("usersvc", "SELECT count(*) FROM refusals") == 2

    await eventually(is_stored)


async def both_channels_are_rotated(region: Region) -> None:
    async def is_rotated() -> bool:
        assert await region.request("GET", "/Users") == 200
        return ROTATED == [True, True]

    await eventually(is_rotated)


ROTATED: list[bool] = []


def count_rotations(monkeypatch: pytest.MonkeyPatch) -> None:
    ROTATED.clear()
    original = RotatingChannel._rotate

    async def rotate(channel: RotatingChannel) -> bool:
        is_rotated = await original(channel)
        ROTATED.append(is_rotated)
        return is_rotated

    monkeypatch.setattr(RotatingChannel, "_rotate", rotate)


async def is_ready(region: Region, service: Service) -> bool:
    return (await region.admin(service, "/readyz"))[0] == 200


@dataclass(frozen=True)
class Case:
    """A task, the method that fails, and the check that the task works again."""

    service: str
    task: str
    owner: type
    method: str
    assert_works: Callable[[Region], Awaitable[None]] | None = None
    """None: the method is called again."""
    trigger: Callable[[Region], Awaitable[None]] = do_nothing
    services: tuple[str, ...] = SERVICES


KEYSVC, USERSVC = ("keysvc",), ("usersvc",)
CASES = [
    Case("keysvc", "health", Server, "_is_ready", services=KEYSVC),
    Case(
        "keysvc", "key changes", NotificationFeed, "_publish",
        revocation_reaches_a_watch, services=KEYSVC,
    ),
    Case("keysvc", "key uses", KeyStore, "record_use", use_is_written, use_key, KEYSVC),
    Case("keysvc", "clock comparison", ClockMonitor, "measure", services=KEYSVC),
    Case("usersvc", "health", Server, "_is_ready", services=USERSVC),
    Case("usersvc", "clock comparison", ClockMonitor, "measure", services=USERSVC),
    Case(
        "usersvc", "change feed", ListenConnection, "watermark",
        changes_are_followed, create_user, USERSVC,
    ),
    Case(
        "usersvc", "schema changes", NotificationFeed, "_publish",
        schema_reaches_a_watch, services=USERSVC,
    ),
    Case(
        "usersvc", "end of change streams", ChangeFeed, "end_streams_on",
        streams_end_with_the_process, services=USERSVC,
    ),
    Case(
        "usersvc", "retention", SessionStore, "delete_expired",
        old_changes_are_dropped, services=USERSVC,
    ),
    Case("usersvc", "roll-up", DirectoryCountStore, "roll_up", services=USERSVC),
    Case("gateway", "clock comparison", Peers, "_compare_clocks"),
    Case("gateway", "key watch", KeyCache, "apply", revocation_reaches_the_gateway),
    Case("gateway", "schema watch", ResourceTypes, "apply", schema_reaches_the_gateway),
    Case("gateway", "refusal log", RefusalLog, "_send_batch", refusals_are_stored, refuse_request),
    Case("gateway", "domain checks", DomainChecker, "_check_due"),
    Case("gateway", "slow clients", Connections, "sweep"),
    Case("gateway", "connection check for usersvc", ConnectionCheck, "problem"),
    Case("gateway", "connection check for keysvc", ConnectionCheck, "problem"),
    Case(
        "gateway", "certificate renewal for usersvc", RotatingChannel, "_rotate",
        both_channels_are_rotated, rotate_certificate,
    ),
    Case(
        "gateway", "certificate renewal for keysvc", RotatingChannel, "_rotate",
        both_channels_are_rotated, rotate_certificate,
    ),
]  # fmt: skip
FAILING_AT_START = {"end of change streams"}
"""Tasks whose method is called at their start only."""


@pytest.fixture(autouse=True)
def _retention_is_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        usersvc.background.retention, "wait_for_event", lambda event, _: wait_for_event(event, 0.05)
    )


async def assert_process_responds(region: Region, case: Case) -> None:
    """Assert that the process of the task still responds."""
    service = region.services[case.service]
    assert not service.task.done()
    assert (await region.admin(service, "/metrics"))[0] == 200
    if case.service == "gateway":
        assert await region.request("GET", "/Users") == 200
    else:
        async with region.channel(service) as channel:
            check = health_pb2_grpc.HealthStub(channel).Check
            response = await check(health_pb2.HealthCheckRequest(), timeout=10)
            assert response.status == SERVING


def task_names(region: Region, service: Service) -> set[str]:
    """The names of a service's tasks, with service names instead of addresses."""
    addresses = {service.port: service.name for service in (region.keysvc, region.usersvc)}
    return {
        name.replace(f"localhost:{name.rpartition(':')[2]}", addresses[name.rpartition(":")[2]])
        if ":" in name
        else name
        for name in service.tasks.tasks
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.service}: {case.task}")
async def test_failed_task_recovers_and_its_process_still_responds(
    case: Case,
    tmp_path: Path,
    keys_url: str,
    users_url: str,
    monkeypatch: pytest.MonkeyPatch,
):
    count_rotations(monkeypatch)
    failing_method = FailingMethod(monkeypatch, case.owner, case.method)
    failing_method.is_armed = case.task in FAILING_AT_START
    async with running_region(tmp_path, keys_url, users_url, monkeypatch, case.services) as region:
        service = region.services[case.service]
        await wait_until_ready(region, case)
        if case.task not in FAILING_AT_START:
            if case.task.startswith("certificate"):
                break_rotation(monkeypatch, region, case)
            else:
                failing_method.is_armed = True
        await case.trigger(region)
        failing = await wait_for_failure(service, case)
        await assert_process_responds(region, case)
        _, metrics = await region.admin(service, "/metrics")
        if case.assert_works is None:
            await eventually(
                lambda: as_async(failing_method.calls_since > 0 and not failing_method.is_armed)
            )
        else:
            await case.assert_works(region)

        assert service.tasks.tasks[failing].failures == 1
        assert f'background_task_failures_total{{task="{failing}"}} 1.0' in metrics
        failures = [each for each in service.logged("task failed") if each["task"] == failing]
        assert len(failures) == 1
        assert "RuntimeError" in failures[0]["traceback"]


async def as_async(value: bool) -> bool:
    return value


async def wait_until_ready(region: Region, case: Case) -> None:
    for name in case.services:
        if name != "gateway":
            await eventually(lambda name=name: is_ready(region, region.services[name]))
    if "gateway" in case.services:

        async def responds() -> bool:
            return await region.request("GET", "/Users") == 200

        await eventually(responds)


def break_rotation(monkeypatch: pytest.MonkeyPatch, region: Region, case: Case) -> None:
    """Let the rotation of the channel to one service fail once."""
    target = f"localhost:{region.services[case.task.rpartition(' ')[2]].port}"
    original, errors = RotatingChannel._rotate, [RuntimeError("unexpected")]

    def rotate(channel: RotatingChannel) -> Awaitable[bool]:
        if channel._name == target and errors:
            raise errors.pop()
        return original(channel)

    monkeypatch.setattr(RotatingChannel, "_rotate", rotate)


async def wait_for_failure(service: Service, case: Case) -> str:
    """Wait until a task fails; return its name."""
    await eventually(lambda: as_async(bool(service.logged("task failed"))))
    return str(service.logged("task failed")[0]["task"])


async def test_cases_cover_every_task_of_every_service(
    tmp_path: Path, keys_url: str, users_url: str, monkeypatch: pytest.MonkeyPatch
):
    async with running_region(tmp_path, keys_url, users_url, monkeypatch) as region:
        found = {
            (service.name, name)
            for service in region.services.values()
            for name in task_names(region, service)
        }
    assert found == {(case.service, case.task) for case in CASES}
