"""Migrations of the services, for the template databases of tests."""

import asyncio
from pathlib import Path

from chassis.database import migrations
from keysvc.wiring import MIGRATIONS as KEYSVC_MIGRATIONS
from usersvc.wiring import MIGRATIONS as USERSVC_MIGRATIONS


def migrate_keysvc(url: str) -> None:
    """Bring a database to the newest schema of keysvc."""
    _migrate(url, KEYSVC_MIGRATIONS)


def migrate_usersvc(url: str) -> None:
    """Bring a database to the newest schema of usersvc."""
    _migrate(url, USERSVC_MIGRATIONS)


def _migrate(url: str, directory: Path) -> None:
    asyncio.run(migrations.apply(url, migrations.read(directory)))
