"""The command line of keysvc: `serve`, `migrate` and the commands for operators."""

import argparse
import asyncio
import os
import secrets
import sys
from collections.abc import Sequence

import orjson
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from chassis import process
from chassis.clock import system_clock
from chassis.config.settings import SettingsError
from chassis.database import migrations
from chassis.database.identity import Owner
from chassis.database.pool import Database
from chassis.database.verification import identify
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
from keysvc.store.sso_domains import SsoDomainStore
from keysvc.wiring import MIGRATIONS, NAME, serve


async def migrate(settings: Settings) -> dict[str, object]:
    """Apply the missing migrations."""
    owner, all_migrations = Owner(NAME, settings.region), migrations.read(MIGRATIONS)
    applied = await migrations.apply(settings.database_url, all_migrations, owner)
    return {"applied": [migration.name for migration in applied]}


async def operate(settings: Settings, arguments: argparse.Namespace) -> dict[str, object]:
    """Run a command for operators."""
    async with Database(settings.database_url, f"{NAME}-operator", pool_size=1) as database:
        await identify(database, Owner(NAME, settings.region), migrations.read(MIGRATIONS))
        context = CommandContext(
            OrganizationStore(database),
            KeyStore(database),
            AuditStore(database),
            ErasureStore(database),
            SsoStore(database),
            SsoDomainStore(database),
            settings.region,
            system_clock,
            secrets.token_bytes,
        )
        result = await COMMANDS[arguments.command](context, arguments)
    if not isinstance(result, Message):
        return {**result}
    fields: dict[str, object] = MessageToDict(result, preserving_proto_field_name=True)
    return fields


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code: 1 if refused, 2 for invalid settings or arguments."""
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
        return _print_error(error, 2)
    except (Refusal, StartError, OSError) as error:
        return _print_error(error, 1)
    return 0


def _print_error(error: Exception, code: int) -> int:
    print(f"{NAME}: {error}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {NAME}", description=__doc__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands.add_parser("serve", help="serve until SIGTERM or SIGINT")
    commands.add_parser("migrate", help="apply the missing schema migrations")

    create = commands.add_parser("create-organization", help="create an organization")
    create.add_argument("--display-name", required=True, metavar="NAME")
    create.add_argument(
        "--id", metavar="UUID", help="a repetition with the same id changes nothing"
    )
    for name, description in (
        ("activate-integration", "accept the keys of an organization"),
        ("deactivate-integration", "refuse all keys of an organization"),
        ("generate-key", "create a key and print its token once; older keys expire in 8 hours"),
        ("list-keys", "list the keys of an organization, newest first"),
        ("revoke-key", "revoke a key immediately and permanently"),
        ("list-audit-events", "list changes of keys and sign-in with their actors, newest first"),
        ("erase-person", "erase the names and addresses of a person from audit trail and keys"),
        ("get-sso-connection", "print the single sign-on connection of an organization"),
        ("deactivate-sso-connection", "switch single sign-on off and keep its setup"),
        ("verify-domain", "accept an e-mail domain without its record in the DNS"),
    ):
        commands.add_parser(name, help=description).add_argument(
            "organization", metavar="ORGANIZATION"
        )
    release = commands.add_parser(
        "release-sso-domain", help="remove an e-mail domain from its organization"
    )
    release.add_argument("domain", metavar="DOMAIN")
    release.add_argument(
        "--organization",
        default="",
        metavar="ORGANIZATION",
        help="the default is the one that has proven the domain",
    )
    commands.choices["verify-domain"].add_argument("domain", metavar="DOMAIN")
    commands.choices["verify-domain"].add_argument(
        "--reason", required=True, metavar="TEXT", help="is shown in the audit trail"
    )
    for name in (
        "activate-integration",
        "deactivate-integration",
        "deactivate-sso-connection",
        "release-sso-domain",
        "verify-domain",
    ):
        commands.choices[name].add_argument(
            "--by", default=OPERATOR, metavar="WHO", help="the default is `operator`"
        )
    commands.choices["erase-person"].add_argument(
        "person", metavar="PERSON", help="id or name of the user"
    )
    commands.choices["erase-person"].add_argument(
        "--also",
        action="append",
        default=[],
        metavar="NAME",
        help="another name or id of the same person",
    )
    commands.choices["erase-person"].add_argument(
        "--dry-run", action="store_true", help="only count the rows that would be erased"
    )
    commands.choices["generate-key"].add_argument("--created-by", required=True, metavar="WHO")
    commands.choices["revoke-key"].add_argument("key", metavar="KEY")
    commands.choices["revoke-key"].add_argument(
        "--revoked-by", default=OPERATOR, metavar="WHO", help="the default is `operator`"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
