"""The user type of an organization; its schemas are cached for a limited time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from cloudacademy.users.v1 import schemas_pb2 as pb
from cloudacademy.users.v1 import schemas_pb2_grpc

from gateway.api import resource_types
from gateway.api.resource_types import LIFETIME_SECONDS, ResourceTypes
from gateway.backend.errors import RefusedError
from gateway.backend.schemas import SchemaClient
from gateway.scim.schema import USER
from tests.support.clocks import Clock
from tests.support.servers import listening


def badge_schema(organization_id: str) -> pb.Schema:
    attribute = pb.Attribute(
        name="badge",
        type=pb.Attribute.TYPE_STRING,
        mutability=pb.Attribute.MUTABILITY_READ_WRITE,
        returned=pb.Attribute.RETURNED_DEFAULT,
    )
    return pb.Schema(urn=f"urn:{organization_id}:badge", name="Badge", attributes=[attribute])


class Registry(schemas_pb2_grpc.SchemaServiceServicer):
    """A service whose schemas the test sets; it records the organization of each request."""

    def __init__(self) -> None:
        self.schemas: dict[str, list[pb.Schema]] = {}
        self.requests: list[str] = []

    async def ListSchemas(self, request, context):  # noqa: N802 - the contract's name
        self.requests.append(request.organization_id)
        if request.organization_id == "unavailable":
            await context.abort(grpc.StatusCode.UNAVAILABLE, "unavailable")
        return pb.ListSchemasResponse(schemas=self.schemas.get(request.organization_id, []))


@pytest.fixture
def registry() -> Registry:
    return Registry()


@asynccontextmanager
async def connected_types(registry: Registry, clock: Clock) -> AsyncIterator[ResourceTypes]:
    server = grpc.aio.server()
    schemas_pb2_grpc.add_SchemaServiceServicer_to_server(registry, server)
    async with (
        listening(server) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield ResourceTypes(SchemaClient(channel), monotonic=clock)


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


async def test_cache_of_user_types_is_bounded(types, registry, monkeypatch):
    monkeypatch.setattr(resource_types, "MAX_ORGANIZATIONS", 2)
    for name in ("a", "b", "c", "b", "a"):
        await types.user(name, "r")

    assert registry.requests == ["a", "b", "c", "a"]
