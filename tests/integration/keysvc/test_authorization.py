"""Authorization of callers by certificate, over real connections."""

from pathlib import Path

import grpc
import pytest
import structlog
from cloudacademy.keys.v1 import keys_pb2 as pb
from cloudacademy.keys.v1 import keys_pb2_grpc

from chassis.config.settings import Address, ServerSettings
from chassis.rpc.certificates import Certificates
from chassis.rpc.channel import connect
from chassis.rpc.status import from_rpc_error
from tests.support.chassis.authorities import Authority
from tests.support.keysvc.replicas import MovableClock, running_replica

LOG = structlog.wrap_logger(structlog.ReturnLogger())
REFUSED = "CALLER_NOT_ADMITTED"


@pytest.mark.parametrize(
    ("name", "outcomes"),
    [
        ("gateway", ("KEY_MALFORMED", "reset", REFUSED)),
        ("operator", (REFUSED, REFUSED, "OK")),
        ("billing", (REFUSED, REFUSED, "OK")),
        ("search", (REFUSED, REFUSED, REFUSED)),
    ],
)
async def test_each_caller_may_call_only_its_listed_methods(
    keys_url: str, clock: MovableClock, tmp_path: Path, name: str, outcomes: tuple[str, ...]
):
    authority = Authority()
    tls = ServerSettings(Address("127.0.0.1", 0), authority.issue(tmp_path / "server", "keysvc"))
    certificates = Certificates(authority.issue(tmp_path / "caller", name), LOG)
    async with running_replica(keys_url, clock, server=tls) as replica:
        target = replica.address.replace("127.0.0.1", "localhost")
        async with connect(target, {}, certificates) as channel:
            assert (
                await authenticate(channel),
                await watch(channel),
                await list_organizations(channel),
            ) == outcomes


async def authenticate(channel: grpc.aio.Channel) -> str:
    try:
        request = pb.AuthenticateRequest(token="no key")
        await keys_pb2_grpc.KeyServiceStub(channel).Authenticate(request, timeout=5)
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error).reason
    return "OK"


async def watch(channel: grpc.aio.Channel) -> str:
    stream = keys_pb2_grpc.KeyServiceStub(channel).WatchKeys(pb.WatchKeysRequest(), timeout=5)
    try:
        first = await anext(aiter(stream))
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error).reason
    stream.cancel()
    event: str = first.WhichOneof("event")
    return event


async def list_organizations(channel: grpc.aio.Channel) -> str:
    try:
        request = pb.ListOrganizationsRequest()
        await keys_pb2_grpc.OrganizationServiceStub(channel).ListOrganizations(request, timeout=5)
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error).reason
    return "OK"
