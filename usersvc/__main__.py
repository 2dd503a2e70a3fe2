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

from chassis.clock import system_clock
from chassis.concurrency.notifier import Notifier
from chassis.config.settings import SettingsError
from chassis.database import migrations
from chassis.database.pool import Database
from chassis.errors import Refusal
from chassis.observability import log
from chassis.process import keep_memory_private, run
from chassis.startup import StartError
from usersvc import settings
from usersvc.commands import COMMANDS, CommandContext
from usersvc.store.changes import ChangeStore
from usersvc.store.erasure import ErasureStore
from usersvc.store.sessions import SessionStore
from usersvc.wiring import NAME, serve

MIGRATIONS: Final = Path(__file__).parent / "store" / "migrations"


async def migrate(database_url: str) -> None:
    """Bring the database's schema up to this release's."""
    for migration in await migrations.apply(database_url, migrations.read(MIGRATIONS)):
        print(f"applied {migration.name}")


async def operate(database_url: str, arguments: argparse.Namespace) -> None:
    """Carry out an operator's command."""
    async with Database(database_url, "usersvc-operator", pool_size=1) as database:
        desk = CommandContext(
            SessionStore(database, Notifier()),
            ChangeStore(database),
            ErasureStore(database, Notifier()),
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
            logger = log.configure(NAME, config.log_level)
            run(lambda stop: serve(config, logger, stop))
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
