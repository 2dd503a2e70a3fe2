"""A lower bound: the gateway and usersvc in one process, without the gRPC call between them.

`python -m tools.benchmarks.baselines.single_process` reads the gateway's settings and
USERSVC_DATABASE_URL.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from cloudacademy.keys.v1 import keys_pb2_grpc
from cloudacademy.users.v1 import activity_pb2_grpc

from chassis import process
from chassis.clock import system_clock
from chassis.concurrency.fair_semaphore import FairSemaphore
from chassis.concurrency.notifier import Notifier
from chassis.database.notifications import NotificationFeed
from chassis.database.pool import Database
from chassis.observability import log
from gateway import settings as gateway_settings
from gateway.api.app import ScimEndpoint, application
from gateway.api.endpoints import endpoints
from gateway.api.groups import Groups
from gateway.api.query.cursors import Cursors
from gateway.api.query.walks import Walks
from gateway.api.resource_types import ResourceTypes
from gateway.api.users import Users
from gateway.auth.authenticator import Authenticator, Caller
from gateway.auth.failed_auth import FailedAuthLimiter
from gateway.auth.key_cache import KeyCache, watch_keys
from gateway.backend.client import UserClient, key_channel
from gateway.backend.groups import GroupClient
from gateway.backend.schemas import SchemaClient
from gateway.backend.walks import WalkClient
from gateway.http.body import BodyMemory
from gateway.http.compute_worker import ComputeWorker
from gateway.http.response_memory import ResponseMemory
from gateway.http.server import Runner
from gateway.limits.admission import AdmissionControl
from gateway.limits.rate_limiter import RateLimiter
from gateway.limits.rejections import RejectionStats, no_slot
from gateway.provisioning_log.writer import RefusalLog
from usersvc.rpc.groups import GroupServicer
from usersvc.rpc.schemas import SchemaServicer
from usersvc.rpc.users import UserServicer
from usersvc.rpc.walks import WalkServicer
from usersvc.store.groups.store import GroupStore
from usersvc.store.listing.lists import Lists
from usersvc.store.schemas import CHANNEL, SchemaStore
from usersvc.store.users.store import UserStore
from usersvc.store.walks import WalkStore


class _Context:
    def __init__(self, metadata: tuple[tuple[str, str], ...]) -> None:
        self._metadata = metadata

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata


class Direct:
    """A stub that calls the servicer directly."""

    def __init__(self, servicer: object) -> None:
        self._servicer = servicer

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._servicer, name)

        async def call(request: object, **options: Any) -> Any:
            return await method(request, _Context(options.get("metadata", ())))

        return call


async def serve(stop: process.Stop) -> None:
    settings = gateway_settings.read(os.environ)
    logger = log.configure("gateway", settings.log_level)
    async with (
        Database(os.environ["USERSVC_DATABASE_URL"], "single-process") as database,
        grpc.aio.insecure_channel("127.0.0.1:1") as unconnected,
        key_channel(settings.keysvc) as keys,
    ):
        lists, schemas, notifier = Lists(database), SchemaStore(database), Notifier()
        users, groups = UserClient(unconnected), GroupClient(unconnected)
        schema_client, walks = SchemaClient(unconnected), WalkClient(unconnected)
        walks._stub = Direct(WalkServicer(WalkStore(database)))
        direct = Direct(UserServicer(UserStore(database, lists, notifier), schemas, system_clock))
        users._stub = users._unbatched_stub = direct
        groups._stub = groups._unbatched_stub = Direct(
            GroupServicer(GroupStore(database, lists, notifier), system_clock)
        )
        feed = NotificationFeed(database, CHANNEL, 1.0, logger)
        schema_client._stub = Direct(SchemaServicer(schemas, feed, system_clock))
        key_stub = keys_pb2_grpc.KeyServiceStub(keys)
        cache: KeyCache[Caller] = KeyCache()
        failed_auth_limiter = FailedAuthLimiter(settings.unknown_keys)
        endpoint = ScimEndpoint(
            endpoints(
                {"Users": Users(users), "Groups": Groups(groups)},
                Cursors(settings.keys.shared, system_clock),
                Walks(walks),
                logger,
            ),
            Authenticator(key_stub, cache, failed_auth_limiter, settings.tenant_urls, system_clock),
            ResourceTypes(schema_client),
            settings.tenant_url,
            log=logger,
            refusal_log=RefusalLog(
                activity_pb2_grpc.ActivityServiceStub(unconnected), system_clock, logger
            ),
            admission=AdmissionControl(
                RateLimiter(settings.rate),
                FairSemaphore(settings.max_requests, no_slot, batched_release=True),
                RejectionStats(logger),
            ),
            bodies=BodyMemory(),
            worker=ComputeWorker(),
            memory=ResponseMemory(),
        )
        watching = asyncio.create_task(watch_keys(key_stub, logger, cache, failed_auth_limiter))

        runner = Runner(application(endpoint, lambda: True), logger)
        await runner.listen(settings.listen)
        await stop.wait()
        await runner.cleanup()
        watching.cancel()


if __name__ == "__main__":
    process.run(serve)
