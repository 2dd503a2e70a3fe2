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
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from chassis import process
from chassis.clock import system_clock
from chassis.config.settings import SettingsError
from chassis.database import migrations
from chassis.database.pool import Database
from chassis.errors import Refusal
from chassis.observability.log import configure
from chassis.startup import StartError
from keysvc.commands import COMMANDS, CommandContext
from keysvc.domain.audit import OPERATOR
from keysvc.settings import Settings
from keysvc.store.audit import AuditStore
from keysvc.store.erasure import ErasureStore
from keysvc.store.keys import KeyStore
from keysvc.store.organizations import OrganizationStore
from keysvc.store.sso import SsoStore
from keysvc.wiring import NAME, serve

MIGRATIONS: Final = Path(__file__).parent / "store" / "migrations"


async def migrate(settings: Settings) -> dict[str, object]:
    """Bring the database's schema forward."""
    applied = await migrations.apply(settings.database_url, migrations.read(MIGRATIONS))
    return {"applied": [migration.name for migration in applied]}


async def operate(settings: Settings, arguments: argparse.Namespace) -> dict[str, object]:
    """Carry out an operator's command."""
    async with Database(settings.database_url, f"{NAME}-operator", pool_size=1) as database:
        desk = CommandContext(
            OrganizationStore(database),
            KeyStore(database),
            AuditStore(database),
            ErasureStore(database),
            SsoStore(database),
            settings.region,
            system_clock,
            secrets.token_bytes,
        )
        answer = await COMMANDS[arguments.command](desk, arguments)
    if not isinstance(answer, Message):
        return {**answer}
    shown: dict[str, object] = MessageToDict(answer, preserving_proto_field_name=True)
    return shown


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 1 refused, 2 called wrongly."""
    arguments = _parser().parse_args(argv)
    try:
        process.keep_memory_private()
        settings = Settings.read(os.environ)
        if arguments.command == "serve":
            log = configure(NAME, settings.log_level)
            process.run(lambda stop: serve(settings, log, stop))
            return 0
        work = migrate(settings) if arguments.command == "migrate" else operate(settings, arguments)
        print(orjson.dumps(asyncio.run(work)).decode())
    except SettingsError as error:
        return _complain(error, 2)
    except (Refusal, StartError, OSError) as error:
        return _complain(error, 1)
    return 0


def _complain(error: Exception, code: int) -> int:
    print(f"{NAME}: {error}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {NAME}", description=__doc__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands.add_parser("serve", help="serve until SIGTERM or SIGINT")
    commands.add_parser("migrate", help="bring the database's schema forward")

    create = commands.add_parser("create-organization", help="add an organization")
    create.add_argument("--display-name", required=True, metavar="NAME")
    create.add_argument("--id", metavar="UUID", help="repeating it with the same id is harmless")
    for name, what in (
        ("activate-integration", "let an organization's keys work"),
        ("deactivate-integration", "refuse all of an organization's keys"),
        ("generate-key", "make a key and show its token, once; older ones end in 8 hours"),
        ("list-keys", "show an organization's keys, newest first"),
        ("revoke-key", "end a key at once and for good"),
        ("list-audit-events", "show who did what with keys and sign-in, newest first"),
        ("erase-person", "take a person's names and addresses out of the audit trail"),
        ("get-sso-connection", "show how an organization's people sign in"),
        ("deactivate-sso-connection", "let nobody sign in by single sign-on; its set-up stays"),
    ):
        commands.add_parser(name, help=what).add_argument("organization", metavar="ORGANIZATION")
    release = commands.add_parser(
        "release-sso-domain", help="take an e-mail domain from its holder"
    )
    release.add_argument("domain", metavar="DOMAIN")
    for name in (
        "activate-integration",
        "deactivate-integration",
        "deactivate-sso-connection",
        "release-sso-domain",
    ):
        commands.choices[name].add_argument(
            "--by", default=OPERATOR, metavar="WHO", help="`operator` if not given"
        )
    commands.choices["erase-person"].add_argument(
        "person", metavar="PERSON", help="user id or name"
    )
    commands.choices["erase-person"].add_argument(
        "--also", action="append", default=[], metavar="NAME", help="another name or id of theirs"
    )
    commands.choices["erase-person"].add_argument(
        "--dry-run", action="store_true", help="only count what it would be"
    )
    commands.choices["generate-key"].add_argument("--created-by", required=True, metavar="WHO")
    commands.choices["revoke-key"].add_argument("key", metavar="KEY")
    commands.choices["revoke-key"].add_argument(
        "--revoked-by", default=OPERATOR, metavar="WHO", help="`operator` if not given"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
