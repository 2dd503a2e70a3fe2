"""Statements that may have to look at everything: little time, and few at once."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from uuid import UUID

from chassis.concurrency.fair_semaphore import QUEUE_PER_SLOT, FairSemaphore
from chassis.database.pool import Database
from chassis.errors import OVERLOADED, DatabaseUnavailable, Refusal, RefusalKind
from usersvc.domain.errors import FILTER_TOO_COSTLY

SCANS: Final = 3
"""How many run at once; the other connections stay for the rest."""
SHARE: Final = 2
"""How many of these are of one organization at most."""
SCAN_SECONDS: Final = 3.0

Connection = Any  # asyncpg is untyped
Row = Any


@dataclass(frozen=True, slots=True)
class Scan:
    """A statement, whose it is, and how it is refused when it does not end in time."""

    organization_id: UUID
    statement: str
    arguments: Sequence[object]
    too_costly: RefusalKind[()] = FILTER_TOO_COSTLY


class Scans:
    """Runs scans of one purpose; an organization never has all places, nor all of the queue."""

    def __init__(
        self,
        database: Database,
        *,
        number: int = SCANS,
        share: int = SHARE,
        seconds: float = SCAN_SECONDS,
        queue_per_slot: int = QUEUE_PER_SLOT,
    ) -> None:
        self._database = database
        self._seconds = seconds
        self._slots = FairSemaphore(
            number,
            partial(Refusal, OVERLOADED),
            seconds,
            share=share,
            queue=number * queue_per_slot,
        )

    async def fetch(
        self, scan: Scan, connection: AbstractAsyncContextManager[Connection]
    ) -> list[Row]:
        """The rows; refuses a scan that does not end in time as it says.

        Refuses OVERLOADED when too many wait already, or for longer than a scan takes.
        """
        async with self._slots.slot(str(scan.organization_id)):
            return await self.fetch_served(scan, connection)

    async def fetch_served(
        self, scan: Scan, connection: AbstractAsyncContextManager[Connection]
    ) -> list[Row]:
        """The same without a place, for what an index serves as a rule."""
        began = False
        try:
            async with connection as db:
                began = True
                rows: list[Row] = await db.fetch(
                    scan.statement, *scan.arguments, timeout=self._seconds
                )
                return rows
        except DatabaseUnavailable as away:
            late = began and isinstance(away.__cause__, TimeoutError)
            # A database that is away is late, too, and no fault of the statement.
            if late and await self._database.is_available():
                raise Refusal(scan.too_costly) from away
            raise
