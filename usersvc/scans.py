"""Statements that may have to look at everything: little time, and few at once."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final
from uuid import UUID

from chassis.database import Database
from chassis.places import WAITING_PER_PLACE, Places
from chassis.refusal import DatabaseUnavailable, Overloaded, Refusal

SCANS: Final = 3
"""How many run at once; the other connections stay for the rest."""
SHARE: Final = 2
"""How many of these are of one organization at most."""
SCAN_SECONDS: Final = 3.0

Connection = Any  # asyncpg is untyped
Row = Any


class Scans:
    """Runs such statements for one purpose; an organization never has all places, nor the queue.

    Refuses Overloaded when too many wait already, or for longer than a scan takes.
    """

    def __init__(
        self,
        database: Database,
        too_costly: Callable[[], Refusal],
        *,
        number: int = SCANS,
        share: int = SHARE,
        seconds: float = SCAN_SECONDS,
        waiting_per_place: int = WAITING_PER_PLACE,
    ) -> None:
        self._database = database
        self._too_costly = too_costly
        self._seconds = seconds
        self._places = Places(
            number, Overloaded, seconds, share=share, room=number * waiting_per_place
        )

    async def fetch(
        self,
        organization_id: UUID,
        connection: AbstractAsyncContextManager[Connection],
        statement: str,
        arguments: Sequence[object],
    ) -> list[Row]:
        """The rows of a statement; refuses it as too costly when it does not end in time."""
        async with self._places.place(str(organization_id)):
            return await self.limited(connection, statement, arguments)

    async def limited(
        self,
        connection: AbstractAsyncContextManager[Connection],
        statement: str,
        arguments: Sequence[object],
    ) -> list[Row]:
        """The same without a place, for what an index serves as a rule."""
        began = False
        try:
            async with connection as db:
                began = True
                rows: list[Row] = await db.fetch(statement, *arguments, timeout=self._seconds)
                return rows
        except DatabaseUnavailable as away:
            late = began and isinstance(away.__cause__, TimeoutError)
            # A database that is away is late, too, and no fault of the statement.
            if late and await self._database.answers():
                raise self._too_costly() from away
            raise
