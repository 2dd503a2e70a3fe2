"""The process: `serve`, `migrate`, and the operator's commands."""

import argparse
import asyncio
import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import orjson
from cloudacademy.batch.v1 import batch_pb2_grpc
from cloudacademy.users.v1 import (
    activity_pb2_grpc,
    changes_pb2_grpc,
    groups_pb2,
    groups_pb2_grpc,
    schemas_pb2_grpc,
    sessions_pb2_grpc,
    users_pb2,
    users_pb2_grpc,
)

from chassis.clock import system_clock
from chassis.concurrency.notifier import Bell
from chassis.concurrency.supervisor import Supervisor
from chassis.config.settings import SettingsError
from chassis.database import migrations
from chassis.database.pool import Database
from chassis.errors import Refusal
from chassis.observability import log
from chassis.observability.metrics import Metrics
from chassis.observability.tracing import tracing
from chassis.process import Stop, keep_memory_private, run
from chassis.rpc.server import Server
from chassis.startup import StartError
from usersvc import settings
from usersvc.background.feed import ChangeFeed
from usersvc.background.retention import trim
from usersvc.commands import COMMANDS, Desk
from usersvc.rpc.activities import ActivitiesServicer
from usersvc.rpc.authorization import CALLERS
from usersvc.rpc.batching.servicer import CARRIERS, BatchServicer
from usersvc.rpc.changes import STREAM_SECONDS, ChangesServicer
from usersvc.rpc.groups import GroupsServicer
from usersvc.rpc.schemas import SchemasServicer
from usersvc.rpc.sessions import SessionsServicer
from usersvc.rpc.users import UsersServicer
from usersvc.settings import Settings
from usersvc.store.activities import ActivityStore
from usersvc.store.changes import ChangeStore, Listener
from usersvc.store.erasure import ErasureStore
from usersvc.store.groups import GroupStore
from usersvc.store.idempotency import RequestStore
from usersvc.store.identities import IdentityStore
from usersvc.store.listing.lists import Lists
from usersvc.store.schemas import SchemaStore
from usersvc.store.sessions import SessionStore
from usersvc.store.users import UserStore

FEED_CONNECTIONS: Final = 4
"""One listens; the others read for streams and snapshots, which keep nobody else waiting."""
MIGRATIONS: Final = Path(__file__).parent / "store" / "migrations"


async def serve(config: Settings, stop: Stop) -> None:
    """Answer requests until told to stop."""
    logger = log.configure("usersvc", config.log_level)
    async with (
        tracing("usersvc") as traces,
        Database(config.database_url, "usersvc", tracing=traces) as database,
        Database(
            config.listen_url or config.database_url, "usersvc-changes", FEED_CONNECTIONS
        ) as feed_database,
        Supervisor(logger) as tasks,
    ):
        metrics = Metrics()
        database.observe(metrics)
        tasks.observe(metrics)
        server = Server(
            config.server,
            CALLERS,
            database.answers,
            logger,
            tasks,
            metrics=metrics,
            tracing=traces,
            told=("organization_id",),
            carriers=CARRIERS,
            stream_seconds=STREAM_SECONDS,
        )
        lists, schema_store, bell = Lists(database), SchemaStore(database), Bell()
        users = UsersServicer(UserStore(database, lists, bell), schema_store, system_clock)
        users_pb2_grpc.add_UserServiceServicer_to_server(users, server.grpc)
        server.dispatcher.add(users_pb2.DESCRIPTOR.services_by_name["UserService"], users)
        groups = GroupsServicer(GroupStore(database, lists, bell), system_clock)
        groups_pb2_grpc.add_GroupServiceServicer_to_server(groups, server.grpc)
        server.dispatcher.add(groups_pb2.DESCRIPTOR.services_by_name["GroupService"], groups)
        batch = BatchServicer(server.dispatcher, stop)
        batch_pb2_grpc.add_BatchServiceServicer_to_server(batch, server.grpc)
        schemas = SchemasServicer(schema_store, system_clock)
        schemas_pb2_grpc.add_SchemaServiceServicer_to_server(schemas, server.grpc)
        session_store = SessionStore(database, bell)
        sessions = SessionsServicer(session_store, system_clock, secrets.token_bytes)
        sessions_pb2_grpc.add_SessionServiceServicer_to_server(sessions, server.grpc)
        change_store = ChangeStore(feed_database)
        feed = ChangeFeed(change_store, Listener(feed_database), bell, system_clock, logger)
        feed.observe(metrics)
        changes = ChangesServicer(feed, change_store)
        changes_pb2_grpc.add_ChangeServiceServicer_to_server(changes, server.grpc)
        tasks.start("change feed", lambda: feed.follow(stop), until=stop)
        tasks.start("end of change streams", lambda: feed.end(stop), until=stop)
        activity_store = ActivityStore(database)
        activities = ActivitiesServicer(activity_store, system_clock)
        activity_pb2_grpc.add_ActivityServiceServicer_to_server(activities, server.grpc)
        over = {
            "changes": change_store.trim,
            "refusals": activity_store.trim,
            "create requests": RequestStore(database).trim,
            "sessions": session_store.trim,
            "deleted identities": IdentityStore(database).trim,
        }
        tasks.start("retention", lambda: trim(over, system_clock, logger, stop), until=stop)
        await server.run(stop)


async def migrate(database_url: str) -> None:
    """Bring the database's schema up to this release's."""
    for migration in await migrations.apply(database_url, migrations.read(MIGRATIONS)):
        print(f"applied {migration.name}")


async def operate(database_url: str, arguments: argparse.Namespace) -> None:
    """Carry out an operator's command."""
    async with Database(database_url, "usersvc-operator", pool_size=1) as database:
        desk = Desk(
            SessionStore(database, Bell()),
            ChangeStore(database),
            ErasureStore(database, Bell()),
            system_clock,
            secrets.token_bytes,
        )
        done = await COMMANDS[arguments.command](desk, arguments)
    print(orjson.dumps(done).decode())


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line asks for; returns the exit code: 1 refused, 2 called wrongly."""
    arguments = _parser().parse_args(argv)
    try:
        keep_memory_private()
        config = settings.read(os.environ)
        if arguments.command == "serve":
            run(lambda stop: serve(config, stop))
        elif arguments.command == "migrate":
            asyncio.run(migrate(config.database_url))
        else:
            asyncio.run(operate(config.database_url, arguments))
    except SettingsError as error:
        return _complain(error, 2)
    except (StartError, Refusal) as error:
        return _complain(error, 1)
    return 0


def _complain(error: Exception, code: int) -> int:
    print(f"usersvc: {error}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m usersvc", description=__doc__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands.add_parser("serve", help="serve until SIGTERM or SIGINT")
    commands.add_parser("migrate", help="bring the database's schema forward")

    commands.add_parser(
        "renew-feed", help="make all tokens of the change feed invalid, as after a restore"
    )

    create = commands.add_parser(
        "create-administrator", help="make an administrator of a new user, or of one that is there"
    )
    create.add_argument("organization", metavar="ORGANIZATION")
    create.add_argument("--user-name", required=True, metavar="NAME")
    create.add_argument("--given-name", default="", metavar="NAME", help="of a new user")
    create.add_argument("--family-name", default="", metavar="NAME", help="of a new user")

    link = commands.add_parser(
        "sign-in-link", help="make a link by which a person signs in once, within 15 minutes"
    )
    link.add_argument("organization", metavar="ORGANIZATION")
    link.add_argument("user_name", metavar="USER_NAME")
    link.add_argument(
        "--base-url", required=True, metavar="URL", help="where the person's browser reaches us"
    )

    erase = commands.add_parser(
        "erase-person", help="remove all that is a person's, also of one who was deleted before"
    )
    erase.add_argument("organization", metavar="ORGANIZATION")
    erase.add_argument("user", metavar="USER", help="the user's id or user name")
    erase.add_argument(
        "--also",
        action="append",
        default=[],
        metavar="NAME",
        help="another id, name or address of the person, above all of one who was deleted",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
