"""Verification of a service's databases at its start."""

from collections.abc import Sequence

from chassis.database.identity import Owner, WrongDatabase
from chassis.database.migrations import Migration
from chassis.database.pool import Database
from chassis.errors import DatabaseUnavailable


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
    ) -> None:
        self._owner = owner
        self._migrations = migrations
        self._database = database
        self._listening = listening

    async def attempt(self) -> bool:
        """Verify the databases, and allow their use. Returns False if one is unavailable.

        Refuses (WrongDatabase) the database of another service, region or release.
        """
        try:
            database_id = await self._database.identify(self._owner, self._migrations)
            listening_id = await self._listening.identify(self._owner, self._migrations)
        except DatabaseUnavailable:
            return False
        if database_id != listening_id:
            prefix = self._owner.service.upper()
            raise WrongDatabase(
                f"{prefix}_DATABASE_LISTEN_URL and {prefix}_DATABASE_URL lead to different "
                "databases: correct one of them"
            )
        for database in (self._database, self._listening):
            database.allow_use()
        return True
