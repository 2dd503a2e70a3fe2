"""What an organization's schemas make of its users is asked for once in a while."""

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
from tests.support.servers import listening


def badge(organization_id: str) -> pb.Schema:
    attribute = pb.Attribute(
        name="badge",
        type=pb.Attribute.TYPE_STRING,
        mutability=pb.Attribute.MUTABILITY_READ_WRITE,
        returned=pb.Attribute.RETURNED_DEFAULT,
    )
    return pb.Schema(urn=f"urn:{organization_id}:badge", name="Badge", attributes=[attribute])


class Registry(schemas_pb2_grpc.SchemaServiceServicer):
    """A service with schemas that a test decides; it remembers for whom it was asked."""

    def __init__(self) -> None:
        self.schemas: dict[str, list[pb.Schema]] = {}
        self.asked: list[str] = []

    async def ListSchemas(self, request, context):  # noqa: N802 - the contract's name
        self.asked.append(request.organization_id)
        if request.organization_id == "away":
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        return pb.ListSchemasResponse(schemas=self.schemas.get(request.organization_id, []))


class Seconds:
    """A monotonic clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@asynccontextmanager
async def asking(registry: Registry, seconds: Seconds) -> AsyncIterator[ResourceTypes]:
    server = grpc.aio.server()
    schemas_pb2_grpc.add_SchemaServiceServicer_to_server(registry, server)
    async with (
        listening(server) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield ResourceTypes(SchemaClient(channel), monotonic=seconds)


@pytest.fixture
async def types(registry: Registry, seconds: Seconds) -> AsyncIterator[ResourceTypes]:
    async with asking(registry, seconds) as types:
        yield types


async def test_an_organization_without_schemas_has_the_users_of_all(types):
    assert await types.user("acme", "r") is USER


async def test_an_organization_has_its_own_attributes_and_no_others(types, registry):
    registry.schemas = {"acme": [badge("acme")], "globex": [badge("globex")]}

    acme, globex = await types.user("acme", "r"), await types.user("globex", "r")

    assert acme.find("urn:acme:badge:badge") is not None
    assert acme.find("urn:globex:badge:badge") is None
    assert globex.find("urn:globex:badge:badge") is not None
    assert USER.find("badge") is None


async def test_what_is_kept_serves_for_its_lifetime_and_not_a_second_longer(
    types, registry, seconds
):
    await types.user("acme", "r")
    registry.schemas["acme"] = [badge("acme")]

    seconds.now += LIFETIME_SECONDS - 1
    assert await types.user("acme", "r") is USER
    seconds.now += 1
    assert (await types.user("acme", "r")).extension_urn("urn:acme:badge") == "urn:acme:badge"
    assert registry.asked == ["acme", "acme"]


async def test_a_type_stays_the_same_object_as_long_as_its_schemas_stay_the_same(
    types, registry, seconds
):
    registry.schemas["acme"] = [badge("acme")]
    first = await types.user("acme", "r")
    seconds.now += LIFETIME_SECONDS
    second = await types.user("acme", "r")

    assert first is second
    assert registry.asked == ["acme", "acme"]


async def test_requests_at_once_ask_once(types, registry):
    registry.schemas["acme"] = [badge("acme")]

    found = await asyncio.gather(*(types.user("acme", "r") for _ in range(20)))

    assert len({id(each) for each in found}) == 1
    assert registry.asked == ["acme"]


async def test_a_service_that_is_away_is_503_and_nothing_is_kept_of_it(types, registry):
    for _ in range(2):
        with pytest.raises(RefusedError) as refused:
            await types.user("away", "r")
        assert refused.value.status == 503
    assert registry.asked == ["away", "away"]


async def test_only_so_many_organizations_are_kept(types, registry, monkeypatch):
    monkeypatch.setattr(resource_types, "MAX_ORGANIZATIONS", 2)
    for name in ("a", "b", "c", "b", "a"):
        await types.user(name, "r")

    assert registry.asked == ["a", "b", "c", "a"]
