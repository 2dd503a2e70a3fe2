"""Wires usersvc: the stores, the gRPC services and the background tasks of one process."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cloudacademy.batch.v1 import batch_pb2_grpc
from cloudacademy.peers.v1 import peers_pb2_grpc
from cloudacademy.users.v1 import (
    activity_pb2_grpc,
    changes_pb2_grpc,
    groups_pb2,
    groups_pb2_grpc,
    schemas_pb2_grpc,
    sessions_pb2_grpc,
    users_pb2,
    users_pb2_grpc,
    walks_pb2,
    walks_pb2_grpc,
)

from chassis.clock import Clock, system_clock
from chassis.concurrency.notifier import Notifier
from chassis.concurrency.supervisor import Supervisor
from chassis.database import migrations
from chassis.database.clock_monitor import ClockMonitor
from chassis.database.identity import Owner
from chassis.database.notifications import NotificationFeed
from chassis.database.pool import Database
from chassis.database.preparation import prepare
from chassis.database.verification import Verification
from chassis.observability.log import Logger
from chassis.observability.metrics import Metrics
from chassis.observability.tracing import tracing
from chassis.process import Stop
from chassis.rpc.channel import accepts_calls
from chassis.rpc.interceptor import WRITE_SECONDS
from chassis.rpc.peers import UNLOGGED_METHODS, PeerServicer
from chassis.rpc.server import Server
from usersvc.background.feed import ChangeFeed
from usersvc.background.retention import Step, run_retention
from usersvc.domain.session_token import RandomBytes
from usersvc.rpc.activities import ActivityServicer
from usersvc.rpc.authorization import CALLERS
from usersvc.rpc.batching.servicer import BATCH_METHODS, BatchServicer
from usersvc.rpc.changes import STREAM_SECONDS, ChangeServicer
from usersvc.rpc.groups import GroupServicer
from usersvc.rpc.schemas import SchemaServicer
from usersvc.rpc.sessions import SessionServicer
from usersvc.rpc.users import UserServicer
from usersvc.rpc.walks import WalkServicer
from usersvc.settings import Settings
from usersvc.store.activities.counts import ActivityCounts, slots
from usersvc.store.activities.log import ActivityStore
from usersvc.store.activities.refusals import RefusalStore
from usersvc.store.activities.rollup import ActivityRollup
from usersvc.store.change_partitions import ChangePartitions
from usersvc.store.changes import ChangeStore, Listener
from usersvc.store.directory_counts import DirectoryCountStore
from usersvc.store.groups.store import GroupStore
from usersvc.store.idempotency import CreateRequestStore
from usersvc.store.identities import DeletedIdentityStore
from usersvc.store.listing.lists import Lists
from usersvc.store.listing.name_index import NameIndex
from usersvc.store.schemas import CHANNEL as SCHEMA_CHANNEL
from usersvc.store.schemas import SchemaStore
from usersvc.store.sessions import SessionStore
from usersvc.store.users.store import UserStore
from usersvc.store.walks import WalkStore

NAME: Final = "usersvc"
MIGRATIONS: Final = Path(__file__).parent / "store" / "migrations"
FEED_CONNECTIONS: Final = 5
"""Two connections for LISTEN: changes, and changes of schemas. The others serve change streams and
snapshots, so that these cannot exhaust the pool that serves all other calls."""
ROLLUP_SECONDS: Final = 10.0
SCHEMA_HEARTBEAT_SECONDS: Final = 1.0  # the contract says 2; the rest is for the statement


async def serve(
    settings: Settings,
    log: Logger,
    stop: Stop,
    clock: Clock = system_clock,
    random_bytes: RandomBytes = secrets.token_bytes,
    *,
    stream_seconds: Mapping[str, float] = STREAM_SECONDS,
    write_seconds: float = WRITE_SECONDS,
    rollup_seconds: float = ROLLUP_SECONDS,
) -> None:
    """Serve until `stop` is set.

    `stream_seconds` limits the duration of streams, by method. `write_seconds` limits how long a
    streamed message may wait for its reader. New rows are added up every `rollup_seconds`.
    """
    async with (
        tracing(NAME) as traces,
        Database(settings.database_url, NAME, tracing=traces, must_be_verified=True) as database,
        Database(
            settings.listen_url or settings.database_url,
            f"{NAME}-changes",
            FEED_CONNECTIONS,
            must_be_verified=True,
        ) as feed_database,
        Supervisor(log) as tasks,
    ):
        metrics, notifier = Metrics(), Notifier()
        clocks = ClockMonitor(database, clock, log)
        verification = Verification(
            Owner(NAME, settings.region), migrations.read(MIGRATIONS), database, feed_database, log
        )
        stores = Stores.on(
            database,
            feed_database,
            notifier,
            reads_across_organizations=settings.reads_across_organizations,
        )
        feed = ChangeFeed(stores.changes, Listener(feed_database), notifier, clock, log)
        schemas = NotificationFeed(feed_database, SCHEMA_CHANNEL, SCHEMA_HEARTBEAT_SECONDS, log)
        server = Server(
            settings.server,
            CALLERS,
            log,
            tasks,
            prepare=lambda: prepare(verification, clocks),
            in_service=lambda: clocks.in_service,
            accepts_calls_name=accepts_calls(NAME, settings.region),
            metrics=metrics,
            tracing=traces,
            logged_fields=("organization_id",),
            batch_methods=BATCH_METHODS,
            unlogged_methods=UNLOGGED_METHODS,
            stream_seconds=stream_seconds,
            write_seconds=write_seconds,
        )
        for component in (database, tasks, feed, clocks):
            component.observe(metrics)
        metrics.gauge("schema_watch_streams", "Open WatchSchemas streams.", lambda: schemas.streams)
        _add_batched_services(server, stores, clock, stop)
        servicer = SchemaServicer(stores.schemas, schemas, clock)
        schemas_pb2_grpc.add_SchemaServiceServicer_to_server(servicer, server.grpc)
        _add_services(server, stores, feed, clock, random_bytes)
        peers_pb2_grpc.add_PeerServiceServicer_to_server(
            PeerServicer(NAME, settings.region, clock), server.grpc
        )
        retention_steps, rollup_steps = _retention_steps(stores), _rollup_steps(stores)
        tasks.start("clock comparison", clocks.run)
        tasks.start("change feed", lambda: feed.follow(stop), drain_event=stop)
        tasks.start("schema changes", lambda: schemas.follow(stop), drain_event=stop)
        tasks.start("end of change streams", lambda: feed.end_streams_on(stop), drain_event=stop)
        tasks.start(
            "retention", lambda: run_retention(retention_steps, log, stop), drain_event=stop
        )
        tasks.start(
            "roll-up",
            lambda: run_retention(rollup_steps, log, stop, rollup_seconds),
            drain_event=stop,
        )
        await server.run(stop)


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores of all tables of usersvc."""

    users: UserStore
    groups: GroupStore
    schemas: SchemaStore
    sessions: SessionStore
    changes: ChangeStore
    change_partitions: ChangePartitions
    activities: ActivityStore
    activity_counts: ActivityCounts
    activity_rollup: ActivityRollup
    directory_counts: DirectoryCountStore
    name_index: NameIndex
    refusals: RefusalStore
    create_requests: CreateRequestStore
    deleted_identities: DeletedIdentityStore
    walks: WalkStore

    @classmethod
    def on(
        cls,
        database: Database,
        feed_database: Database,
        notifier: Notifier,
        *,
        reads_across_organizations: bool,
    ) -> "Stores":
        """Create the stores on a database. The change feed has its own connections."""
        lists = Lists(database)
        activity_slots = slots(database)
        return cls(
            users=UserStore(
                database,
                lists,
                notifier,
                reads_across_organizations=reads_across_organizations,
            ),
            groups=GroupStore(database, lists, notifier),
            schemas=SchemaStore(database),
            sessions=SessionStore(database, notifier),
            changes=ChangeStore(feed_database),
            change_partitions=ChangePartitions(feed_database),
            activities=ActivityStore(database, activity_slots),
            activity_counts=ActivityCounts(database, activity_slots),
            activity_rollup=ActivityRollup(database),
            directory_counts=DirectoryCountStore(database),
            name_index=NameIndex(database),
            refusals=RefusalStore(database),
            create_requests=CreateRequestStore(database),
            deleted_identities=DeletedIdentityStore(database),
            walks=WalkStore(database),
        )


def _add_batched_services(server: Server, stores: Stores, clock: Clock, stop: Stop) -> None:
    """Add the services whose calls may come in batches, and the batch service."""
    users = UserServicer(stores.users, stores.schemas, clock)
    groups = GroupServicer(stores.groups, clock)
    users_pb2_grpc.add_UserServiceServicer_to_server(users, server.grpc)
    walks = WalkServicer(stores.walks)
    groups_pb2_grpc.add_GroupServiceServicer_to_server(groups, server.grpc)
    walks_pb2_grpc.add_WalkServiceServicer_to_server(walks, server.grpc)
    server.dispatcher.add(users_pb2.DESCRIPTOR.services_by_name["UserService"], users)
    server.dispatcher.add(groups_pb2.DESCRIPTOR.services_by_name["GroupService"], groups)
    server.dispatcher.add(walks_pb2.DESCRIPTOR.services_by_name["WalkService"], walks)
    batch = BatchServicer(server.dispatcher, stop)
    batch_pb2_grpc.add_BatchServiceServicer_to_server(batch, server.grpc)


def _add_services(
    server: Server, stores: Stores, feed: ChangeFeed, clock: Clock, random_bytes: RandomBytes
) -> None:
    sessions = SessionServicer(stores.sessions, clock, random_bytes)
    sessions_pb2_grpc.add_SessionServiceServicer_to_server(sessions, server.grpc)
    changes = ChangeServicer(feed, stores.changes)
    changes_pb2_grpc.add_ChangeServiceServicer_to_server(changes, server.grpc)
    activities = ActivityServicer(stores.activities, stores.activity_counts, stores.refusals, clock)
    activity_pb2_grpc.add_ActivityServiceServicer_to_server(activities, server.grpc)


def _retention_steps(stores: Stores) -> Mapping[str, Step]:
    """The steps that delete expired rows, by the kind of row."""
    return {
        "changes": stores.change_partitions.maintain,
        "refusals": stores.refusals.delete_expired,
        "counts and names of the log": stores.activity_rollup.delete_expired,
        "create requests": stores.create_requests.delete_expired,
        "sessions": stores.sessions.delete_expired,
        "deleted identities": stores.deleted_identities.delete_expired,
        "walks": stores.walks.delete_expired,
    }


def _rollup_steps(stores: Stores) -> Mapping[str, Step]:
    """The steps that add up and index new rows, so that pages do not have to read them."""
    return {
        "directory counts": stores.directory_counts.roll_up,
        "log roll-up": stores.activity_rollup.roll_up,
        "index of names": stores.name_index.merge,
    }
