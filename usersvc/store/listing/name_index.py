"""Maintenance of the index by which name_search finds users."""

from typing import Final

from chassis.database.pool import Database


class NameIndex:
    """The trigram index of the names of users."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def merge(self) -> int:
        """Merge the pending entries of new and changed users. Returns the number of pages merged.

        A write appends its entries to a list. If nobody else merges the list before it reaches
        `gin_pending_list_limit`, the next write does, and takes up to a quarter of a second.
        """
        async with self._database.writer() as db:
            pages: int = await db.fetchval(_MERGE)
        return pages


# --- statements -------------------------------------------------------------------------

_MERGE: Final = "SELECT gin_clean_pending_list('users_names_idx')"
