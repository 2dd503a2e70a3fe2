"""Health, overload and reflection of a server."""

import asyncio

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest as ReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionResponse as ReflectionResponse
from grpc_status import rpc_status

from chassis.config.settings import ServerSettings
from chassis.rpc.channel import connect
from chassis.rpc.status import from_rpc_error
from gateway.backend.errors import translate
from tests.support.chassis.echoes import (
    COUNT,
    ECHO,
    HOLD,
    OPEN,
    SERVICE,
    EchoServer,
    echo_server,
    until,
)
from tests.support.waiting import eventually

Status = health_pb2.HealthCheckResponse


async def statuses(channel: grpc.aio.Channel) -> set[str]:
    stub = health_pb2_grpc.HealthStub(channel)
    responses = [
        await stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=5)
        for name in ("", SERVICE)
    ]
    return {Status.ServingStatus.Name(response.status) for response in responses}


async def wait_for_status(channel: grpc.aio.Channel, status: str) -> None:
    async def has_status() -> bool:
        return await statuses(channel) == {status}

    await eventually(has_status)


async def test_health_follows_the_readiness_of_the_service():
    async with echo_server() as server, grpc.aio.insecure_channel(server.target) as channel:
        await wait_for_status(channel, "SERVING")
        server.in_service = False
        await wait_for_status(channel, "NOT_SERVING")
        server.in_service = True
        await wait_for_status(channel, "SERVING")


async def test_health_watchers_are_notified_when_the_server_stops():
    async with echo_server() as server, connect(server.target, {}) as channel:
        await wait_for_status(channel, "SERVING")
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        first = await anext(aiter(watch))
        server.stop.set()
        second = await anext(aiter(watch))
        watch.cancel()
    assert (first.status, second.status) == (Status.SERVING, Status.NOT_SERVING)


@pytest.mark.parametrize(
    "name",
    [
        "chassis.AcceptsCalls",
        "chassis.AcceptsCalls.echo.us",
        "chassis.TakesCalls",  # the names of the previous release, whose gateways still watch them
        "chassis.TakesCalls.echo.us",
    ],
)
async def test_clients_of_this_and_the_previous_release_are_served(name: str):
    async with (
        echo_server() as server,
        connect(server.target, {}, health_service=name) as channel,
    ):
        response = await channel.unary_unary(ECHO)(b"hello", timeout=20, wait_for_ready=True)
    assert response == b"hello"


@pytest.mark.parametrize("name", ["chassis.AcceptsCalls.other.us", "chassis.AcceptsCalls.echo.eu"])
async def test_client_of_another_service_or_region_is_not_served(name: str):
    async with (
        echo_server() as server,
        connect(server.target, {}, health_service=name) as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(ECHO)(b"hello", timeout=20)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_excess_calls_are_refused_and_mapped_to_503_with_retry_after():
    settings = ServerSettings(OPEN.listen, max_calls=2)
    async with echo_server(settings) as server, connect(server.target, {}) as channel:
        held = [asyncio.ensure_future(channel.unary_unary(HOLD)(b"x")) for _ in range(2)]
        await until(lambda: server.service.held == 2)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(ECHO)(b"", timeout=5)
        # Streams have slots of their own.
        assert await anext(aiter(channel.unary_stream(COUNT)(b"", timeout=5))) is not None
        await wait_for_status(channel, "SERVING")
        server.service.release.set()
        assert await asyncio.gather(*held) == [b"x", b"x"]
        assert await channel.unary_unary(ECHO)(b"y", timeout=5) == b"y"

    error = translate(caught.value)
    refusal = from_rpc_error(caught.value)
    assert (refusal.code.name, refusal.reason) == ("RESOURCE_EXHAUSTED", "OVERLOADED")
    details = rpc_status.from_call(caught.value).details
    assert error_details_pb2.RetryInfo.DESCRIPTOR.full_name in details[1].type_url
    assert server.logged("call")[0]["outcome"] == "OVERLOADED"
    assert (error.status, dict(error.headers)) == (503, {"Retry-After": "2"})


REFLECTION = "grpc.reflection.{}.ServerReflection"
VERSIONS = ("v1", "v1alpha")


async def reflect(server: EchoServer, version: str, **question: str) -> ReflectionResponse:
    """The answer of one version of the reflection service to one question."""
    async with connect(server.target, {}) as channel:
        call = channel.stream_stream(
            f"/{REFLECTION.format(version)}/ServerReflectionInfo",
            request_serializer=ReflectionRequest.SerializeToString,
            response_deserializer=ReflectionResponse.FromString,
        )(iter([ReflectionRequest(**question)]), timeout=5)
        try:
            return await call.read()
        finally:
            call.cancel()


@pytest.mark.parametrize("version", VERSIONS)
async def test_reflection_lists_the_services_and_both_versions(version: str):
    async with echo_server(ServerSettings(OPEN.listen, reflection=True)) as server:
        response = await reflect(server, version, list_services="")
    names = {service.name for service in response.list_services_response.service}
    assert names == {SERVICE, "grpc.health.v1.Health", *map(REFLECTION.format, VERSIONS)}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("symbol", "file"),
    [
        ("google.rpc.Status", "google/rpc/status.proto"),
        *(
            (f"google.rpc.{name}", "google/rpc/error_details.proto")
            for name in ("ErrorInfo", "BadRequest", "RetryInfo")
        ),
        (REFLECTION.format("v1"), "grpc/reflection/v1/reflection.proto"),
    ],
)
async def test_reflection_has_the_files_of_errors_and_of_itself(
    version: str, symbol: str, file: str
):
    async with echo_server(ServerSettings(OPEN.listen, reflection=True)) as server:
        response = await reflect(server, version, file_containing_symbol=symbol)
    files = {
        each.name: each
        for each in map(
            FileDescriptorProto.FromString, response.file_descriptor_response.file_descriptor_proto
        )
    }
    described = [
        f"{files[file].package}.{each.name}"
        for each in (*files[file].message_type, *files[file].service)
    ]
    assert symbol in described
    # The files are complete: a client can build them without any other file.
    pool = DescriptorPool()
    for each in reversed(files.values()):
        pool.Add(each)
    assert pool.FindFileContainingSymbol(symbol).name == file


@pytest.mark.parametrize("version", VERSIONS)
async def test_reflection_is_unimplemented_if_disabled(version: str):
    async with echo_server(ServerSettings(OPEN.listen, reflection=False)) as server:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await reflect(server, version, list_services="")
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
