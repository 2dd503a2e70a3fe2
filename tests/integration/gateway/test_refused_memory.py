"""Refused requests leave no objects in memory, counted with garbage collection disabled."""

import asyncio
import gc
import secrets
import time
import types
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import grpc
import pytest
from cloudacademy.keys.v1 import keys_pb2, keys_pb2_grpc
from cloudacademy.users.v1.activity_pb2_grpc import ActivityServiceStub
from multidict import CIMultiDictProxy

from chassis.clock import system_clock
from chassis.errors import Refusal
from chassis.observability import log
from chassis.rpc.status import to_trailing_metadata
from gateway.api.app import PREFIX
from gateway.api.endpoints import endpoints
from gateway.api.groups import Groups
from gateway.api.query.cursors import Cursors
from gateway.api.query.walks import Walks
from gateway.api.users import Users
from gateway.auth import failed_auth
from gateway.auth.authenticator import Authenticator, Caller
from gateway.auth.failed_auth import FailedAuthLimiter
from gateway.auth.key_cache import KeyCache
from gateway.backend.client import UserClient
from gateway.backend.groups import GroupClient
from gateway.backend.walks import WalkClient
from gateway.provisioning_log.writer import RefusalLog
from gateway.signing.shared_secrets import SharedSecrets
from keysvc.domain.errors import KEY_UNKNOWN
from tests.support import raw_http, scim_endpoint
from tests.support.servers import listening
from tests.support.waiting import eventually, pace, quiescent

REQUESTS = 200
CLIENTS = 20
SECONDS = 20.0
COUNTED_TYPES = (
    asyncio.Task,
    types.FrameType,
    types.CoroutineType,
    BaseException,
    CIMultiDictProxy,
)
"""Types of which each request creates objects; they stay in memory if the request leaks."""


class Keys(keys_pb2_grpc.KeyServiceServicer):
    """A keysvc that knows one token."""

    async def Authenticate(self, request, context):  # noqa: N802 - the contract's name
        if request.token == "right":
            return keys_pb2.AuthenticateResponse(organization_id="acme", key_id="key")
        # Not `abort`: the gRPC server keeps its exception in a reference cycle.
        context.set_code(grpc.StatusCode.UNAUTHENTICATED)
        context.set_trailing_metadata(to_trailing_metadata(Refusal(KEY_UNKNOWN)))
        return keys_pb2.AuthenticateResponse()


@asynccontextmanager
async def serving(burst: int) -> AsyncIterator[tuple[str, int]]:
    """The gateway's HTTP server; no usersvc answers."""
    logger = log.configure("gateway", "error")
    server = grpc.aio.server()
    keys_pb2_grpc.add_KeyServiceServicer_to_server(Keys(), server)
    async with (
        listening(server) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as keys,
        grpc.aio.insecure_channel("127.0.0.1:1") as nowhere,
    ):
        cache: KeyCache[Caller] = KeyCache()
        limiter = FailedAuthLimiter(burst)
        stub = keys_pb2_grpc.KeyServiceStub(keys)
        resources = {
            "Users": Users(UserClient(nowhere)),
            "Groups": Groups(GroupClient(nowhere)),
        }
        walks = Walks(WalkClient(nowhere))
        table = endpoints(
            resources, Cursors(SharedSecrets((b"x" * 32,)), system_clock), walks, logger
        )
        authenticator = Authenticator(stub, cache, limiter, {}, system_clock)
        refusals = RefusalLog(ActivityServiceStub(nowhere), system_clock, logger)
        watch = asyncio.create_task(_heartbeat(cache, limiter))
        try:
            async with scim_endpoint.serving(
                table, authenticator, nowhere, log=logger, refusals=refusals
            ) as address:
                yield address
        finally:
            watch.cancel()
    await server.stop(None)


async def _heartbeat(*caches) -> None:
    while True:
        for cache in caches:
            cache.apply(
                keys_pb2.WatchKeysResponse(heartbeat=keys_pb2.WatchKeysResponse.Heartbeat())
            )
        await pace(0.2)  # the interval of the heartbeats of keysvc


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def live_objects() -> Counter[str]:
    found: Counter[str] = Counter()
    for live in gc.get_objects():
        for kind in COUNTED_TYPES:
            if isinstance(live, kind):
                found[kind.__name__] += 1
    return found


async def send(address: tuple[str, int], tokens: list[str], path: str = "/Users") -> Counter[int]:
    """Send requests with large heads one after the other on a new connection."""
    statuses: Counter[int] = Counter()
    connection = await raw_http.connect(address)
    for token in tokens:
        lines = [
            f"GET {PREFIX}{path} HTTP/1.1",
            "Host: a",
            f"Authorization: Bearer {token}",
            *(f"X-{n}: {'x' * 4_000}" for n in range(3)),
        ]
        connection.send("\r\n".join([*lines, "", ""]).encode())
        statuses[(await connection.response()).status] += 1
    connection.close()
    await connection.writer.wait_closed()
    return statuses


def unknown_tokens() -> list[str]:
    return [secrets.token_hex(16) for _ in range(REQUESTS // CLIENTS)]


async def _flood(address: tuple[str, int], kind: str) -> Counter[int]:
    match kind:
        case "different keys":
            sent = [unknown_tokens() for _ in range(CLIENTS)]
        case "one key concurrently":
            sent = [unknown_tokens()] * CLIENTS
        case "remembered keys":
            token = unknown_tokens()[0]
            sent = [[token] * (REQUESTS // CLIENTS)] * CLIENTS
        case _:
            sent = [["right"] * (REQUESTS // CLIENTS)] * CLIENTS
    statuses: Counter[int] = Counter()
    for counted in await asyncio.gather(*(send(address, tokens) for tokens in sent)):
        statuses += counted
    return statuses


@pytest.mark.parametrize(
    ("kind", "burst", "expected"),
    [
        ("different keys", 10_000, {401}),
        ("different keys", 1, {401, 429, 503}),
        ("one key concurrently", 10_000, {401}),
        ("remembered keys", 10_000, {401}),
        ("no usersvc", 10_000, {503}),
    ],
)
async def test_refused_requests_leave_no_objects(
    kind: str, burst: int, expected: set[int], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(failed_auth, "PACE_SECONDS", 0.001)
    async with serving(burst) as address:
        await _flood(address, kind)
        with without_garbage_collection():
            await _flood(address, kind)
            await quiescent(lambda: len(asyncio.all_tasks()))
            before = live_objects()
            statuses = await _flood(address, kind)
            grown = await _grown(before)

    assert statuses.keys() <= expected
    assert statuses.total() == REQUESTS
    assert grown.total() < REQUESTS / 10, grown


async def _grown(before: Counter[str]) -> Counter[str]:
    """The objects that were added since, after a limited wait until they are few."""
    end = time.monotonic() + SECONDS
    await eventually(
        lambda: (live_objects() - before).total() < REQUESTS / 10 or time.monotonic() > end,
        2 * SECONDS,
    )
    return live_objects() - before
