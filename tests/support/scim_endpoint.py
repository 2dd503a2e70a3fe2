"""The gateway's SCIM endpoint in this process, on a real socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from chassis.concurrency.fair_semaphore import FairSemaphore
from chassis.config.settings import Address
from chassis.observability.log import Logger
from gateway.api.app import ScimEndpoint, application
from gateway.api.resource_types import ResourceTypes
from gateway.api.routing import RouteTable
from gateway.auth.authenticator import Authenticator
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


@asynccontextmanager
async def serving(
    table: RouteTable,
    authenticator: Authenticator,
    usersvc: grpc.aio.Channel,
    *,
    log: Logger,
    refusals: RefusalLog,
) -> AsyncIterator[tuple[str, int]]:
    """Serve these routes as `gateway.wiring` does; yields the host and the port."""
    slots = FairSemaphore(_CONCURRENT_REQUESTS, no_slot, batched_release=True)
    endpoint = ScimEndpoint(
        table,
        authenticator,
        ResourceTypes(SchemaClient(usersvc)),
        "http://127.0.0.1",
        log=log,
        refusal_log=refusals,
        admission=AdmissionControl(RateLimiter(_UNLIMITED), slots, RejectionStats(log)),
        bodies=BodyMemory(),
        worker=ComputeWorker(),
        memory=ResponseMemory(),
    )
    runner = Runner(application(endpoint, _ready), log)
    await runner.listen(Address("127.0.0.1", 0))
    try:
        host, port = runner.addresses[0]
        yield host, port
    finally:
        await runner.cleanup()


async def _ready() -> bool:
    return True
