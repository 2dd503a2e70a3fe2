"""`python -m usersvc serve` answers requests; `python -m usersvc migrate` prepares the database."""

import argparse
import asyncio
import os
import sys
from pathlib import Path
from typing import Final

from cloudacademy.users.v1 import (
    changes_pb2_grpc,
    groups_pb2_grpc,
    schemas_pb2_grpc,
    users_pb2_grpc,
)

from chassis import log, migrations
from chassis.bell import Bell
from chassis.clock import system_clock
from chassis.database import Database
from chassis.metrics import Metrics
from chassis.process import StartError, Stop, run
from chassis.server import Server
from chassis.settings import SettingsError
from chassis.tracing import tracing
from usersvc import settings
from usersvc.callers import CALLERS
from usersvc.change_feed import ChangeFeed
from usersvc.change_store import ChangeStore, Listener
from usersvc.changes_servicer import ChangesServicer
from usersvc.group_store import GroupStore
from usersvc.groups_servicer import GroupsServicer
from usersvc.list_store import Lists
from usersvc.schema_store import SchemaStore
from usersvc.schemas_servicer import SchemasServicer
from usersvc.settings import Settings
from usersvc.user_store import UserStore
from usersvc.users_servicer import UsersServicer

FEED_CONNECTIONS: Final = 4
"""One listens; the others read for streams and snapshots, which keep nobody else waiting."""
MIGRATIONS: Final = Path(__file__).parent / "migrations"


async def serve(config: Settings, stop: Stop) -> None:
    """Answer requests until told to stop."""
    logger = log.configure("usersvc", config.log_level)
    async with (
        tracing("usersvc") as traces,
        Database(config.database_url, "usersvc", tracing=traces) as database,
        Database(
            config.listen_url or config.database_url, "usersvc-changes", FEED_CONNECTIONS
        ) as feed_database,
        asyncio.TaskGroup() as tasks,
    ):
        metrics = Metrics()
        database.observe(metrics)
        server = Server(
            config.server,
            CALLERS,
            database.answers,
            logger,
            metrics=metrics,
            tracing=traces,
            told=("organization_id",),
        )
        lists, schema_store, bell = Lists(database), SchemaStore(database), Bell()
        users = UsersServicer(UserStore(database, lists, bell), schema_store, system_clock)
        users_pb2_grpc.add_UserServiceServicer_to_server(users, server.grpc)
        groups = GroupsServicer(GroupStore(database, lists, bell), system_clock)
        groups_pb2_grpc.add_GroupServiceServicer_to_server(groups, server.grpc)
        schemas = SchemasServicer(schema_store, system_clock)
        schemas_pb2_grpc.add_SchemaServiceServicer_to_server(schemas, server.grpc)
        change_store = ChangeStore(feed_database)
        feed = ChangeFeed(change_store, Listener(feed_database), bell, system_clock, logger)
        feed.observe(metrics)
        changes = ChangesServicer(feed, change_store)
        changes_pb2_grpc.add_ChangeServiceServicer_to_server(changes, server.grpc)
        tasks.create_task(feed.follow(stop))
        tasks.create_task(feed.trim(stop))
        await server.run(stop)


async def migrate(database_url: str) -> None:
    """Bring the database's schema up to this release's."""
    for migration in await migrations.apply(database_url, migrations.read(MIGRATIONS)):
        print(f"applied {migration.name}")


def main() -> int:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(prog="usersvc", description=__doc__)
    parser.add_argument("command", choices=("serve", "migrate"))
    command = parser.parse_args().command
    try:
        config = settings.read(os.environ)
        if command == "migrate":
            asyncio.run(migrate(config.database_url))
        else:
            run(lambda stop: serve(config, stop))
    except SettingsError as error:
        return _complain(error, 2)
    except StartError as error:
        return _complain(error, 1)
    return 0


def _complain(error: Exception, code: int) -> int:
    print(f"usersvc: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
