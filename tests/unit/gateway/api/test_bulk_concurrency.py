"""Operations of a bulk request that are in progress in usersvc at the same time."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import grpc
import structlog
from cloudacademy.users.v1 import (
    activity_pb2_grpc,
    schemas_pb2,
    schemas_pb2_grpc,
    users_pb2,
    users_pb2_grpc,
)

from chassis.clock import system_clock
from gateway.api.app import PREFIX
from gateway.api.concurrent_steps import MAX_CONCURRENT
from gateway.api.endpoints import endpoints
from gateway.api.groups import Groups
from gateway.api.query.cursors import Cursors
from gateway.api.query.walks import Walks
from gateway.api.users import Users
from gateway.auth.authenticator import Caller
from gateway.backend.client import UserClient
from gateway.backend.groups import GroupClient
from gateway.backend.walks import WalkClient
from gateway.limits.rate_limiter import Rate
from gateway.provisioning_log.writer import RefusalLog
from gateway.signing.shared_secrets import SharedSecrets
from tests.support.bulk_requests import REQUEST, post
from tests.support.random_bulk_requests import patch
from tests.support.scim_endpoint import authenticator, serving
from tests.support.servers import listening

TOKEN = "a-token"
CALLER = Caller("0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e12", "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e13")


class UserService(users_pb2_grpc.UserServiceServicer, schemas_pb2_grpc.SchemaServiceServicer):
    """Creates users, and answers no creation before `awaited` of them were in progress at once."""

    def __init__(self, awaited: int) -> None:
        self._awaited = awaited
        self.started = self.in_progress = self.most = 0
        self.views: list[users_pb2.UserView] = []
        self.changed = asyncio.Condition()

    async def CreateUser(self, request, context):  # noqa: N802 - the contract's name
        self.started += 1
        self.in_progress += 1
        self.most = max(self.most, self.in_progress)
        try:
            await self._notify()
            await self.until(lambda: self.most >= self._awaited)
        finally:
            self.in_progress -= 1
            await asyncio.shield(self._notify())
        request.user.id = f"0190a5b4-4c7e-7d3a-9a53-{self.started:012}"
        request.user.etag = "1"
        return users_pb2.CreateUserResponse(user=request.user)

    async def UpdateUser(self, request, context):  # noqa: N802 - the contract's name
        self.views.append(request.view)
        return users_pb2.UpdateUserResponse(user={"id": request.user.id, "etag": "2"})

    async def ListSchemas(self, request, context):  # noqa: N802 - the contract's name
        return schemas_pb2.ListSchemasResponse()

    async def answer_all(self) -> None:
        """Answer the creations in progress, and from now on each one immediately."""
        self._awaited = 0
        await self._notify()

    async def until(self, condition: Any) -> None:
        """Wait until a condition holds after a change of the counters."""
        async with self.changed:
            await self.changed.wait_for(condition)

    async def _notify(self) -> None:
        async with self.changed:
            self.changed.notify_all()


@dataclass(frozen=True)
class Gateway:
    """A gateway in this process."""

    url: str
    session: aiohttp.ClientSession

    async def bulk(self, number: int, **members: object) -> aiohttp.ClientResponse:
        """Create users by one request; all of them must be created."""
        operations = [post(str(each)) for each in range(number)]
        response, results = await self.send(*operations, **members)
        assert [each["status"] for each in results] == ["201"] * number
        return response

    async def send(
        self, *operations: object, **members: object
    ) -> tuple[aiohttp.ClientResponse, list[dict[str, Any]]]:
        """Send a bulk request; returns the response and the results."""
        body = {"schemas": [REQUEST], "Operations": operations, **members}
        async with self.session.post(self.url + "/Bulk", json=body) as response:
            document = json.loads(await response.read())
            return response, document["Operations"]


@asynccontextmanager
async def gateway(users: UserService, **limits: Any) -> AsyncIterator[Gateway]:
    server = grpc.aio.server()
    users_pb2_grpc.add_UserServiceServicer_to_server(users, server)
    schemas_pb2_grpc.add_SchemaServiceServicer_to_server(users, server)
    log = structlog.get_logger()
    async with (
        listening(server) as usersvc,
        grpc.aio.insecure_channel(f"127.0.0.1:{usersvc}") as channel,
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session,
    ):
        resources = {"Users": Users(UserClient(channel)), "Groups": Groups(GroupClient(channel))}
        walks = Walks(WalkClient(channel))
        table = endpoints(resources, Cursors(SharedSecrets((b"0" * 64,)), system_clock), walks, log)
        refusals = RefusalLog(activity_pb2_grpc.ActivityServiceStub(channel), system_clock, log)
        known = authenticator(TOKEN, CALLER, channel)
        async with serving(table, known, channel, log=log, refusals=refusals, **limits) as (
            host,
            port,
        ):
            yield Gateway(f"http://{host}:{port}{PREFIX}", session)


async def test_operations_on_different_users_are_in_progress_at_the_same_time():
    users = UserService(MAX_CONCURRENT)
    async with gateway(users) as running:
        await running.bulk(3 * MAX_CONCURRENT)
    assert (users.started, users.most) == (3 * MAX_CONCURRENT, MAX_CONCURRENT)


async def test_operations_use_no_more_slots_than_the_organization_may_hold():
    users = UserService(3)
    async with gateway(users, slots=6) as running:  # one organization holds at most half
        await running.bulk(9)
    assert users.most == 3


async def test_operations_run_one_at_a_time_while_no_other_slot_is_free():
    users = UserService(1)
    async with gateway(users, slots=2) as running:
        await running.bulk(5)
    assert users.most == 1


async def test_operations_run_one_at_a_time_if_failures_are_counted():
    users = UserService(1)
    async with gateway(users) as running:
        await running.bulk(5, failOnErrors=1)
    assert users.most == 1


async def test_no_operation_starts_after_the_client_is_gone():
    users = UserService(MAX_CONCURRENT + 1)  # never so many at once: no creation is answered
    async with gateway(users) as running:
        sending = asyncio.create_task(running.bulk(3 * MAX_CONCURRENT))
        await users.until(lambda: users.in_progress == MAX_CONCURRENT)
        sending.cancel()
        # The gateway reads the end of that connection before a request that is sent later.
        await running.session.get(running.url + "/ServiceProviderConfig")
        await users.answer_all()
        await running.bulk(3 * MAX_CONCURRENT)
    assert users.started == MAX_CONCURRENT + 3 * MAX_CONCURRENT


async def test_cpu_time_of_concurrent_operations_counts_as_requests():
    users, number, burst = UserService(1), 400, 10_000
    async with gateway(users, rate=Rate(0.001, burst)) as running:
        response = await running.bulk(number)
    (remaining,) = re.findall(r";r=(\d+);", response.headers["RateLimit"])
    # An operation takes 0.1 ms or more, and each 2.5 ms count as a request.
    assert int(remaining) < burst - number - 10


async def test_change_in_a_bulk_request_does_not_read_the_groups_of_the_user():
    users = UserService(1)
    async with gateway(users) as running:
        _, results = await running.send(patch("/Users/1", "replace", "title", "Chief"))
    (result,) = results
    assert (result["status"], result["version"]) == ("200", 'W/"2"')
    assert result["location"].endswith("/Users/1")
    assert users.views == [users_pb2.USER_VIEW_BASIC]
