"""The gateway's SCIM endpoint in this process, on a real socket."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from cloudacademy.keys.v1 import keys_pb2
from cloudacademy.keys.v1.keys_pb2_grpc import KeyServiceStub

from chassis.clock import Clock, system_clock
from chassis.concurrency.fair_semaphore import FairSemaphore
from chassis.config.settings import Address
from chassis.observability.log import Logger
from gateway.api.app import ScimEndpoint, application
from gateway.api.resource_types import ResourceTypes
from gateway.api.routing import RouteTable
from gateway.auth.authenticator import Authenticator, Caller
from gateway.auth.failed_auth import FailedAuthLimiter
from gateway.auth.key_cache import KeyCache
from gateway.backend.schemas import SchemaClient
from gateway.http.body import BodyMemory
from gateway.http.compute_worker import ComputeWorker
from gateway.http.response_memory import ResponseMemory
from gateway.http.server import Runner
from gateway.limits.admission import AdmissionControl
from gateway.limits.rate_limiter import Rate, RateLimiter
from gateway.limits.rejections import RejectionStats, no_slot
from gateway.provisioning_log.writer import RefusalLog

_UNLIMITED = Rate(1e6, 10**6)
_CONCURRENT_REQUESTS = 64


def authenticator(
    token: str, caller: Caller, keysvc: grpc.aio.Channel, clock: Clock = system_clock
) -> Authenticator:
    """An authenticator that has verified a token already."""
    cache: KeyCache[Caller] = KeyCache(lambda: 0.0)
    cache.apply(keys_pb2.WatchKeysResponse())
    digest = hashlib.sha256(token.encode()).digest()
    cache.put(digest, caller, caller.organization_id, None, cache.generation())
    return Authenticator(KeyServiceStub(keysvc), cache, FailedAuthLimiter(10), {}, clock)


@asynccontextmanager
async def serving(
    table: RouteTable,
    authenticator: Authenticator,
    usersvc: grpc.aio.Channel,
    *,
    log: Logger,
    refusals: RefusalLog,
    rate: Rate = _UNLIMITED,
    slots: int = _CONCURRENT_REQUESTS,
) -> AsyncIterator[tuple[str, int]]:
    """Serve these routes as `gateway.wiring` does; yields the host and the port."""
    semaphore = FairSemaphore(slots, no_slot, batched_release=True)
    endpoint = ScimEndpoint(
        table,
        authenticator,
        ResourceTypes(SchemaClient(usersvc)),
        "http://127.0.0.1",
        log=log,
        refusal_log=refusals,
        admission=AdmissionControl(RateLimiter(rate), semaphore, RejectionStats(log)),
        bodies=BodyMemory(),
        worker=ComputeWorker(),
        memory=ResponseMemory(),
    )
    runner = Runner(application(endpoint, lambda: True), log)
    await runner.listen(Address("127.0.0.1", 0))
    try:
        host, port = runner.addresses[0]
        yield host, port
    finally:
        await runner.cleanup()
