"""Refused requests: their responses, and their entries in the provisioning log."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import aiohttp
import grpc
import structlog
from cloudacademy.users.v1 import activity_pb2, activity_pb2_grpc, schemas_pb2, schemas_pb2_grpc

from gateway.api.app import PREFIX
from gateway.api.request import RefusedPart, ScimRequest
from gateway.api.routing import Endpoint, RouteTable
from gateway.auth.authenticator import Caller
from gateway.http.responses import ScimResponse
from gateway.provisioning_log.writer import RefusalLog
from gateway.scim.errors import ScimError
from tests.support.scim_endpoint import authenticator, serving
from tests.support.servers import listening

ACME = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e12"
KEY_ID = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e13"
TOKEN = "a-token"
SECRET = "hunter2"
PARTS = 60


def now() -> datetime:
    return datetime(2026, 11, 25, 12, tzinfo=UTC)


class Services(activity_pb2_grpc.ActivityServiceServicer, schemas_pb2_grpc.SchemaServiceServicer):
    """Stores the refused requests that it receives; it has no schemas."""

    def __init__(self) -> None:
        self.stored: list[activity_pb2.Activity] = []

    async def RecordRefusals(self, request, context):  # noqa: N802 - the contract's name
        self.stored += request.activities
        return activity_pb2.RecordRefusalsResponse()

    async def ListSchemas(self, request, context):  # noqa: N802 - the contract's name
        return schemas_pb2.ListSchemasResponse()


async def refuse(request: ScimRequest) -> ScimResponse:
    """Read the body and refuse the request."""
    document = await request.parsed(dict)
    raise ScimError(400, "invalidValue", f"No {len(document)} members.")


async def refuse_parts(request: ScimRequest) -> ScimResponse:
    """Accept the request and refuse each of its parts."""
    part = RefusedPart("POST", "/Users", {"password": SECRET}, ScimError(409, None, "No."))
    request.refused.extend([part] * PARTS)
    return ScimResponse(200, b"{}")


@dataclass
class Gateway:
    """A gateway with two endpoints, in this process."""

    url: str
    services: Services
    refusals: RefusalLog
    lines: list[dict[str, object]] = field(default_factory=list)

    async def post(self, path: str, body: bytes) -> int:
        """Send a body; the status of the response."""
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/scim+json"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.url + path, data=body, headers=headers) as response,
        ):
            return response.status

    async def logged(self) -> list[activity_pb2.Activity]:
        """The entries that have reached the provisioning log."""
        stop = asyncio.Event()
        stop.set()
        await self.refusals.write(stop)
        return self.services.stored


@asynccontextmanager
async def serving_grpc(services: Services) -> AsyncIterator[grpc.aio.Channel]:
    server = grpc.aio.server()
    activity_pb2_grpc.add_ActivityServiceServicer_to_server(services, server)
    schemas_pb2_grpc.add_SchemaServiceServicer_to_server(services, server)
    async with (
        listening(server) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield channel


@asynccontextmanager
async def gateway(clock: Callable[[], datetime] = now) -> AsyncIterator[Gateway]:
    services = Services()
    lines: list[dict[str, object]] = []
    log = structlog.wrap_logger(
        structlog.ReturnLogger(), processors=[lambda _, __, line: lines.append(line) or line]
    )
    async with serving_grpc(services) as channel:
        refusals = RefusalLog(activity_pb2_grpc.ActivityServiceStub(channel), clock, log)
        table = RouteTable(
            {"Users": Endpoint({"POST": refuse}), "Bulk": Endpoint({"POST": refuse_parts})}
        )
        known = authenticator(TOKEN, Caller(ACME, KEY_ID), channel, now)
        async with serving(table, known, channel, log=log, refusals=refusals) as address:
            url = "http://{}:{}".format(*address) + PREFIX
            yield Gateway(url, services, refusals, lines)


def nested(depth: int) -> bytes:
    return b'{"password":1,"path":' * depth + f'"{SECRET}"'.encode() + b"}" * depth


async def test_refused_body_of_any_depth_is_logged_without_its_password():
    depths = (2, 32, 240, 300, 900, 5_000)
    async with gateway() as running:
        for depth in depths:
            assert await running.post("/Users", nested(depth)) == 400
        logged = await running.logged()
        assert len(logged) == len(depths)
        assert SECRET not in str(logged)
        bodies = [each.refusal.body for each in logged]
        assert bodies == ['{"password":"not kept","path":"not kept"}'] * 2 + ["not kept"] * 4
        assert running.refusals.dropped == 0
    assert not [
        line
        for line in running.lines
        if line["event"] in ("internal error", "log entry not created")
    ]


async def test_parsed_body_of_any_size_is_logged_redacted():
    body = rb'{"p\u0061ssword": "hunter2", "a": "%s", "userName": "ann"}' % (b"b" * 900_000)
    async with gateway() as running:
        assert await running.post("/Users", body) == 400
        (logged,) = await running.logged()
    assert logged.resource_name == "ann"
    assert logged.refusal.body.startswith('{"password":"not kept","a":"bbb')


async def test_refused_parts_of_a_request_are_logged_without_password():
    async with gateway() as running:
        assert await running.post("/Bulk", b"{}") == 200
        logged = await running.logged()
    assert [each.refusal.body for each in logged] == ['{"password":"not kept"}'] * PARTS


async def test_error_in_the_provisioning_log_changes_no_response():
    def broken() -> datetime:
        raise RuntimeError("no clock")

    async with gateway(broken) as running:
        assert await running.post("/Users", b"{}") == 400
        assert await running.post("/Bulk", b"{}") == 200
        assert await running.logged() == []
        assert running.refusals.dropped == 2
    events = [line["event"] for line in running.lines]
    assert events.count("log entry not created") == 2
    assert "internal error" not in events
