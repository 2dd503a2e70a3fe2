"""Verification of a service's databases at its start."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final
from uuid import UUID

import asyncpg

from chassis.database import identity, pooler
from chassis.database.identity import Owner, WrongDatabase
from chassis.database.migrations import Migration
from chassis.database.pool import Database
from chassis.errors import DatabaseUnavailable
from chassis.observability.log import Logger

MAX_ERROR_CHARACTERS: Final = 300


async def identify(database: Database, owner: Owner, migrations: Sequence[Migration]) -> None:
    """Raises WrongDatabase if the owner or the schema of the database is another one."""
    with _refusals(owner):
        await _identify(database, owner, migrations)


@contextmanager
def _refusals(owner: Owner) -> Iterator[None]:
    """Raise WrongDatabase for errors that no repetition can change."""
    try:
        yield
    except DatabaseUnavailable as error:
        if isinstance(error.__cause__, asyncpg.InsufficientPrivilegeError):
            raise identity.not_permitted(owner, error.__cause__) from error
        raise
    except pooler.LOST_STATEMENT as error:
        raise pooler.loses_statements(owner) from error


async def _identify(database: Database, owner: Owner, migrations: Sequence[Migration]) -> UUID:
    async with database.unverified_connection() as connection:
        return await identity.verify(connection, owner, migrations)


class Verification:
    """Opens the pools of a service once they lead to the right database.

    `database` and `listening` must lead to the same one; a pooler may be in front of the first.
    """

    def __init__(
        self,
        owner: Owner,
        migrations: Sequence[Migration],
        database: Database,
        listening: Database,
        log: Logger,
    ) -> None:
        self._owner = owner
        self._migrations = migrations
        self._database = database
        self._listening = listening
        self._log = log
        self._logged_error = ""

    async def attempt(self) -> bool:
        """Verify the databases, and allow their use. Returns False if one is unavailable.

        Refuses (WrongDatabase) the database of another service, region or release, and a pooler
        that does not keep sessions where they are needed.
        """
        try:
            with _refusals(self._owner):
                await self._verify()
        except DatabaseUnavailable as error:
            self._log_error(error.__cause__)
            return False
        for database in (self._database, self._listening):
            database.allow_use()
        return True

    async def _verify(self) -> None:
        database_id, listening_id = [
            await _identify(database, self._owner, self._migrations)
            for database in (self._database, self._listening)
        ]
        if database_id != listening_id:
            raise WrongDatabase(
                f"{self._owner.listen_url_setting} and {self._owner.url_setting} lead to different "
                "databases: correct one of them"
            )
        async with (
            self._listening.unverified_connection() as first,
            self._database.unverified_connection() as second,
        ):
            await pooler.refuse_shared_session(first, second, self._owner)
        async with (
            self._database.unverified_connection() as first,
            self._database.unverified_connection() as second,
        ):
            await pooler.use_prepared_statement(first, second)

    def _log_error(self, error: BaseException | None) -> None:
        """Log why a database is unavailable: once, until the reason is another one."""
        text = f"{type(error).__name__}: {error}"[:MAX_ERROR_CHARACTERS]
        if text != self._logged_error:
            self._logged_error = text
            self._log.warning("database not verified", error=text)
