"""The services of usersvc in this process, behind a real socket."""

import asyncio
import secrets
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import grpc
import structlog
from cloudacademy.batch.v1.batch_pb2_grpc import add_BatchServiceServicer_to_server
from cloudacademy.users.v1.activity_pb2_grpc import add_ActivityServiceServicer_to_server
from cloudacademy.users.v1.changes_pb2_grpc import add_ChangeServiceServicer_to_server
from cloudacademy.users.v1.groups_pb2_grpc import add_GroupServiceServicer_to_server
from cloudacademy.users.v1.schemas_pb2_grpc import add_SchemaServiceServicer_to_server
from cloudacademy.users.v1.sessions_pb2_grpc import add_SessionServiceServicer_to_server
from cloudacademy.users.v1.users_pb2_grpc import UserServiceStub, add_UserServiceServicer_to_server

from chassis.concurrency.notifier import Bell
from chassis.database.pool import Database
from chassis.rpc.interceptor import WRITE_SECONDS, Envelope
from chassis.rpc.local_dispatcher import InnerCalls
from tests.support.clocks import StoppedClock
from usersvc.__main__ import FEED_CONNECTIONS
from usersvc.background.feed import ChangeFeed
from usersvc.rpc.activities import ActivitiesServicer
from usersvc.rpc.batching.servicer import CARRIERS, BatchServicer
from usersvc.rpc.changes import STREAM_SECONDS, ChangesServicer
from usersvc.rpc.groups import GroupsServicer
from usersvc.rpc.schemas import SchemasServicer
from usersvc.rpc.sessions import SessionsServicer
from usersvc.rpc.users import UsersServicer
from usersvc.store.activities import ActivityStore
from usersvc.store.changes import ChangeStore, Listener
from usersvc.store.groups import GroupStore
from usersvc.store.listing.lists import Lists
from usersvc.store.schemas import SchemaStore
from usersvc.store.sessions import SessionStore
from usersvc.store.users import UserStore


@asynccontextmanager
async def open_port(
    url: str,
    clock: StoppedClock,
    *,
    stream_seconds: Mapping[str, float] = STREAM_SECONDS,
    write_seconds: float = WRITE_SECONDS,
) -> AsyncIterator[int]:
    """The port of a running process's worth of services."""
    log = structlog.wrap_logger(structlog.PrintLogger(sys.stderr))  # pytest shows it for failures
    stop = asyncio.Event()
    async with (
        Database(url, "usersvc") as database,
        Database(url, "usersvc-changes", FEED_CONNECTIONS) as feed_database,
        asyncio.TaskGroup() as tasks,
    ):
        envelope = Envelope(
            log, carriers=CARRIERS, stream_seconds=stream_seconds, write_seconds=write_seconds
        )
        server, inner = grpc.aio.server(interceptors=[envelope]), InnerCalls(envelope)
        add_BatchServiceServicer_to_server(BatchServicer(inner, stop), server)
        lists, schema_store, bell = Lists(database), SchemaStore(database), Bell()
        users = UsersServicer(UserStore(database, lists, bell), schema_store, clock)
        add_UserServiceServicer_to_server(users, server)
        add_UserServiceServicer_to_server(users, inner)
        groups = GroupsServicer(GroupStore(database, lists, bell), clock)
        add_GroupServiceServicer_to_server(groups, server)
        add_SchemaServiceServicer_to_server(SchemasServicer(schema_store, clock), server)
        sessions = SessionsServicer(SessionStore(database, bell), clock, secrets.token_bytes)
        add_SessionServiceServicer_to_server(sessions, server)
        activities = ActivitiesServicer(ActivityStore(database), clock)
        add_ActivityServiceServicer_to_server(activities, server)
        change_store = ChangeStore(feed_database)
        feed = ChangeFeed(change_store, Listener(feed_database), bell, clock, log)
        add_ChangeServiceServicer_to_server(ChangesServicer(feed, change_store), server)
        tasks.create_task(feed.follow(stop))
        tasks.create_task(feed.end(stop))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield port
        finally:
            stop.set()
            await server.stop(None)


@asynccontextmanager
async def open_channel(url: str, clock: StoppedClock) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to a running process's worth of services, over a real socket."""
    async with (
        open_port(url, clock) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield channel


@asynccontextmanager
async def running_service(url: str, clock: StoppedClock) -> AsyncIterator[UserServiceStub]:
    """The service of users, as `serve` wires it."""
    async with open_channel(url, clock) as channel:
        yield UserServiceStub(channel)
