"""The command line of usersvc: `serve`, `migrate` and the operator's commands."""

import argparse
import asyncio
import os
import secrets
import sys
from collections.abc import Sequence

import orjson

from chassis.clock import system_clock
from chassis.concurrency.notifier import Notifier
from chassis.config.settings import SettingsError
from chassis.database import migrations
from chassis.database.identity import Owner
from chassis.database.pool import Database
from chassis.database.verification import identify
from chassis.errors import Refusal
from chassis.observability import log
from chassis.process import keep_memory_private, run
from chassis.startup import StartError
from usersvc import settings
from usersvc.commands import COMMANDS, CommandContext
from usersvc.store.changes import ChangeStore
from usersvc.store.erasure import ErasureStore
from usersvc.store.sessions import SessionStore
from usersvc.wiring import MIGRATIONS, NAME, serve


async def migrate(database_url: str, region: str) -> None:
    """Apply the migrations that the database lacks, and print the name of each."""
    owner, all_migrations = Owner(NAME, region), migrations.read(MIGRATIONS)
    for migration in await migrations.apply(database_url, all_migrations, owner):
        print(f"applied {migration.name}")


async def run_command(config: settings.Settings, arguments: argparse.Namespace) -> None:
    """Run an operator's command on the database and print its result as JSON."""
    async with Database(config.database_url, "usersvc-operator", pool_size=1) as database:
        await identify(database, Owner(NAME, config.region), migrations.read(MIGRATIONS))
        context = CommandContext(
            SessionStore(database, Notifier()),
            ChangeStore(database),
            ErasureStore(database, Notifier()),
            system_clock,
            secrets.token_bytes,
        )
        result = await COMMANDS[arguments.command](context, arguments)
    print(orjson.dumps(result).decode())


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line. Exit codes: 0 success, 1 refused, 2 wrong settings or arguments."""
    arguments = _parser().parse_args(argv)
    try:
        keep_memory_private()
        config = settings.read(os.environ)
        if arguments.command == "serve":
            logger = log.configure(NAME, config.log_level)
            run(lambda stop: serve(config, logger, stop))
        elif arguments.command == "migrate":
            asyncio.run(migrate(config.database_url, config.region))
        else:
            asyncio.run(run_command(config, arguments))
    except SettingsError as error:
        return _fail(error, 2)
    except (StartError, Refusal) as error:
        return _fail(error, 1)
    return 0


def _fail(error: Exception, code: int) -> int:
    print(f"usersvc: {error}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m usersvc", description=__doc__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands.add_parser("serve", help="serve until SIGTERM or SIGINT")
    commands.add_parser("migrate", help="apply the migrations that the database lacks")

    commands.add_parser(
        "renew-feed", help="invalidate all tokens of the change feed, needed after a restore"
    )

    create = commands.add_parser(
        "create-administrator", help="give a new or an existing user the administrator role"
    )
    create.add_argument("organization", metavar="ORGANIZATION")
    create.add_argument("--user-name", required=True, metavar="NAME")
    create.add_argument("--given-name", default="", metavar="NAME", help="for a new user")
    create.add_argument("--family-name", default="", metavar="NAME", help="for a new user")

    link = commands.add_parser(
        "sign-in-link", help="create a link that signs a user in once, within 15 minutes"
    )
    link.add_argument("organization", metavar="ORGANIZATION")
    link.add_argument("user_name", metavar="USER_NAME")
    link.add_argument(
        "--base-url", required=True, metavar="URL", help="the portal's URL in the user's browser"
    )

    end = commands.add_parser(
        "end-sessions", help="end all sessions and sign-in links of an organization or a user"
    )
    end.add_argument("organization", metavar="ORGANIZATION")
    end.add_argument("user_name", metavar="USER_NAME", nargs="?", default="")

    erase = commands.add_parser(
        "erase-person", help="erase all personal data of a user, even of one deleted before"
    )
    erase.add_argument("organization", metavar="ORGANIZATION")
    erase.add_argument("user", metavar="USER", help="the user's id or user name")
    erase.add_argument(
        "--also",
        action="append",
        default=[],
        metavar="NAME",
        help="another id, name or address of the person, needed most for a deleted user",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
