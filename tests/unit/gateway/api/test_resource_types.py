"""The User type of an organization, cached until the watch reports a change."""

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
import structlog
from cloudacademy.users.v1 import schemas_pb2 as pb
from cloudacademy.users.v1 import schemas_pb2_grpc
from structlog.testing import LogCapture

from gateway.api.resource_types import LIFETIME_SECONDS, MAX_BYTES, ResourceTypes
from gateway.backend.errors import RefusedError
from gateway.backend.schemas import SchemaClient
from gateway.scim.schema import USER
from tests.support.clocks import Clock
from tests.support.servers import listening
from tests.support.waiting import eventually

Event = pb.WatchSchemasResponse
RESET = Event(reset=Event.Reset())
HEARTBEAT = Event(heartbeat=Event.Heartbeat())


def change(organization_id: str) -> Event:
    return Event(organization_change=Event.OrganizationChange(organization_id=organization_id))


def schema(urn: str, *names: str, **fields: object) -> pb.Schema:
    settled = {
        "type": pb.Attribute.TYPE_STRING,
        "mutability": pb.Attribute.MUTABILITY_READ_WRITE,
        "returned": pb.Attribute.RETURNED_DEFAULT,
    }
    attributes = [pb.Attribute(name=name, **{**settled, **fields}) for name in names]
    return pb.Schema(urn=urn, name="Badge", attributes=attributes)


def badge_schema(organization_id: str) -> pb.Schema:
    return schema(f"urn:{organization_id}:badge", "badge")


def many_schemas(organization_id: str, **fields: object) -> list[pb.Schema]:
    """As many attributes as an organization may have."""
    names = [f"costCenterNumber{number}" for number in range(100)]
    return [schema(f"urn:{organization_id}:2.0:S{n}", *names, **fields) for n in range(20)]


class Registry(schemas_pb2_grpc.SchemaServiceServicer):
    """A service whose schemas the test sets; it records the organization of each request."""

    def __init__(self) -> None:
        self.schemas: dict[str, list[pb.Schema]] = {}
        self.requests: list[str] = []
        self.answers = asyncio.Event()
        self.answers.set()

    async def ListSchemas(self, request, context):  # noqa: N802 - the contract's name
        self.requests.append(request.organization_id)
        response = pb.ListSchemasResponse(schemas=self.schemas.get(request.organization_id, []))
        await self.answers.wait()
        if request.organization_id == "unavailable":
            await context.abort(grpc.StatusCode.UNAVAILABLE, "unavailable")
        return response


class WatchedRegistry(Registry):
    """A service that also has a watch, whose events the test sends; None ends the stream."""

    def __init__(self) -> None:
        super().__init__()
        self.streams: list[asyncio.Queue[Event | None]] = []

    async def WatchSchemas(self, request, context):  # noqa: N802 - the contract's name
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        self.streams.append(events)
        while event := await events.get():
            yield event


@pytest.fixture
def registry() -> Registry:
    return Registry()


@asynccontextmanager
async def connected_types(
    registry: Registry, clock: Clock, max_bytes: int = MAX_BYTES
) -> AsyncIterator[ResourceTypes]:
    server = grpc.aio.server()
    schemas_pb2_grpc.add_SchemaServiceServicer_to_server(registry, server)
    async with (
        listening(server) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield ResourceTypes(SchemaClient(channel), max_bytes, clock)


@pytest.fixture
async def types(registry: Registry, clock: Clock) -> AsyncIterator[ResourceTypes]:
    async with connected_types(registry, clock) as types:
        yield types


async def test_organization_without_schemas_has_the_standard_user_type(types):
    assert await types.user("acme", "r") is USER


async def test_user_type_has_the_attributes_of_its_organization_only(types, registry):
    registry.schemas = {"acme": [badge_schema("acme")], "globex": [badge_schema("globex")]}

    acme, globex = await types.user("acme", "r"), await types.user("globex", "r")

    assert acme.find("urn:acme:badge:badge") is not None
    assert acme.find("urn:globex:badge:badge") is None
    assert globex.find("urn:globex:badge:badge") is not None
    assert USER.find("badge") is None


async def test_cached_user_type_expires_after_its_lifetime(types, registry, clock):
    await types.user("acme", "r")
    registry.schemas["acme"] = [badge_schema("acme")]

    clock.seconds += LIFETIME_SECONDS - 1
    assert await types.user("acme", "r") is USER
    clock.seconds += 1
    assert (await types.user("acme", "r")).extension_urn("urn:acme:badge") == "urn:acme:badge"
    assert registry.requests == ["acme", "acme"]


async def test_unchanged_schemas_keep_the_same_type_object(types, registry, clock):
    registry.schemas["acme"] = [badge_schema("acme")]
    first = await types.user("acme", "r")
    clock.seconds += LIFETIME_SECONDS
    second = await types.user("acme", "r")

    assert first is second
    assert registry.requests == ["acme", "acme"]


async def test_concurrent_requests_share_one_call(types, registry):
    registry.schemas["acme"] = [badge_schema("acme")]

    found = await asyncio.gather(*(types.user("acme", "r") for _ in range(20)))

    assert len({id(each) for each in found}) == 1
    assert registry.requests == ["acme"]


async def test_unavailable_service_gives_503_that_is_not_cached(types, registry):
    for _ in range(2):
        with pytest.raises(RefusedError) as refused:
            await types.user("unavailable", "r")
        assert refused.value.status == 503
    assert registry.requests == ["unavailable", "unavailable"]


async def test_type_is_used_while_the_watch_is_live(types, registry, clock):
    types.apply(RESET)
    await types.user("acme", "r")
    for _ in range(10):
        clock.seconds += LIFETIME_SECONDS - 1
        types.apply(HEARTBEAT)
        await types.user("acme", "r")

    assert (registry.requests, types.connected) == (["acme"], True)


async def test_type_expires_when_the_watch_is_silent_for_its_lifetime(types, registry, clock):
    types.apply(RESET)
    await types.user("acme", "r")
    clock.seconds += 3 * LIFETIME_SECONDS / 2
    types.apply(HEARTBEAT)

    clock.seconds += LIFETIME_SECONDS - 1
    await types.user("acme", "r")
    fetched = len(registry.requests)
    clock.seconds += 1
    await types.user("acme", "r")

    assert (fetched, len(registry.requests), types.connected) == (1, 2, False)


async def test_change_evicts_the_type_of_its_organization_only(types, registry):
    types.apply(RESET)
    before = [await types.user(name, "r") for name in ("acme", "globex")]
    registry.schemas["acme"] = [badge_schema("acme")]
    types.apply(change("acme"))

    acme, globex = [await types.user(name, "r") for name in ("acme", "globex")]

    assert before == [USER, USER]
    assert (acme.extension_urn("urn:acme:badge"), globex) == ("urn:acme:badge", USER)
    assert registry.requests == ["acme", "globex", "acme"]


async def test_new_stream_confirms_each_type_by_one_request(types, registry):
    registry.schemas["acme"] = [badge_schema("acme")]
    types.apply(RESET)
    first = await types.user("acme", "r")
    types.apply(RESET)
    confirmed = [await types.user("acme", "r") for _ in range(3)]

    assert {id(each) for each in confirmed} == {id(first)}
    assert registry.requests == ["acme", "acme"]


async def begin_call_and_change_schemas(types, registry, event):
    """Begin a call that does not end before `registry.answers` is set; then add a schema."""
    types.apply(RESET)
    registry.answers.clear()
    call = asyncio.create_task(types.user("acme", "r"))
    await eventually(lambda: registry.requests)
    registry.schemas["acme"] = [badge_schema("acme")]
    types.apply(event)
    return call


@pytest.mark.parametrize("event", [change("acme"), RESET], ids=["change", "reset"])
async def test_schemas_fetched_during_a_change_are_not_cached(types, registry, event):
    old = await begin_call_and_change_schemas(types, registry, event)
    registry.answers.set()

    assert await old is USER
    assert await types.user("acme", "r") is not USER
    assert registry.requests == ["acme", "acme"]


@pytest.mark.parametrize("event", [change("acme"), RESET], ids=["change", "reset"])
async def test_request_after_a_change_does_not_join_an_older_call(types, registry, event):
    old = await begin_call_and_change_schemas(types, registry, event)
    new = asyncio.create_task(types.user("acme", "r"))
    await eventually(lambda: len(registry.requests) == 2)
    registry.answers.set()

    assert await old is USER
    assert await new is await types.user("acme", "r") is not USER
    assert registry.requests == ["acme", "acme"]


async def test_watch_evicts_changed_types_and_reconnects(clock):
    registry, capture = WatchedRegistry(), LogCapture()
    async with connected_types(registry, clock) as types:
        watching = asyncio.create_task(types.watch(structlog.wrap_logger(None, [capture])))
        for number in (1, 2):
            await eventually(lambda number=number: len(registry.streams) == number)
            await registry.streams[-1].put(RESET)
            await eventually(lambda: types.connected)
            await types.user("acme", "r")
            registry.schemas["acme"] = [badge_schema(f"acme{number}")]
            await registry.streams[-1].put(change("acme"))

            async def changed(urn: str = f"urn:acme{number}:badge") -> bool:
                return (await types.user("acme", "r")).extension_urn(urn) is not None

            await eventually(changed)
            await registry.streams[-1].put(None)
        watching.cancel()

    assert [entry["connected"] for entry in capture.entries] == [True]


async def test_types_expire_beside_a_usersvc_without_a_watch(registry, clock):
    capture = LogCapture()
    async with connected_types(registry, clock) as types:
        watching = asyncio.create_task(types.watch(structlog.wrap_logger(None, [capture])))
        await eventually(lambda: capture.entries)
        for _ in range(3):
            await types.user("acme", "r")
            await types.user("acme", "r")
            clock.seconds += LIFETIME_SECONDS
        watching.cancel()

    assert [entry["status_code"] for entry in capture.entries] == ["UNIMPLEMENTED"]
    assert (registry.requests, types.connected) == (["acme"] * 3, False)


async def test_thousands_of_organizations_need_one_request_each(types, registry):
    organizations = [f"organization {number}" for number in range(2_000)]
    types.apply(RESET)
    for _ in range(3):
        for each in organizations:
            assert await types.user(each, "r") is USER

    assert registry.requests == organizations
    assert (types.misses, types.hits) == (2_000, 4_000)


async def test_full_cache_evicts_the_least_recently_used_type(registry, clock):
    registry.schemas = {name: many_schemas(name) for name in "abc"}
    async with connected_types(registry, clock) as types:
        await types.user("a", "r")
        size = types.size_bytes
    registry.requests.clear()

    async with connected_types(registry, clock, max_bytes=2 * size) as types:
        for name in "abacab":
            await types.user(name, "r")

    assert registry.requests == ["a", "b", "c", "b"]
    assert types.size_bytes == 2 * size


async def test_type_larger_than_the_cache_is_used_without_caching(registry, clock):
    registry.schemas = {"acme": many_schemas("acme")}
    async with connected_types(registry, clock, max_bytes=10_000) as types:
        found = [await types.user("acme", "r") for _ in range(2)]

    assert all(each.extension_urn("urn:acme:2.0:S19") for each in found)
    assert (registry.requests, types.size_bytes) == (["acme", "acme"], 0)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"description": "d" * 1_000},
        {"required": True, "returned": pb.Attribute.RETURNED_REQUEST},
        {"canonical_values": ["Engineering"] * 50},
    ],
    ids=["plain", "descriptions", "required", "canonical values"],
)
async def test_estimated_size_is_close_to_the_memory_of_types(types, registry, fields):
    registry.schemas = {str(number): many_schemas(str(number), **fields) for number in range(4)}
    await types.user("0", "r")
    before = types.size_bytes
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(1, 4):
            await types.user(str(number), "r")
        gc.collect()
        allocated = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()

    assert 0.8 <= (types.size_bytes - before) / allocated <= 1.5


async def test_organizations_share_what_is_derived_from_standard_schemas(types, registry):
    registry.schemas = {name: [badge_schema(name)] for name in ("acme", "globex")}

    acme, globex = await types.user("acme", "r"), await types.user("globex", "r")

    assert acme.standard_paths is globex.standard_paths is USER.standard_paths
