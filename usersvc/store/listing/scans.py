"""Scans: statements that may read all rows. They get little time, and few run at once."""

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
"""The maximum number of concurrent scans. All other calls share the remaining connections."""
SHARE: Final = 2
"""The maximum number of concurrent scans of one organization."""
SCAN_SECONDS: Final = 3.0

Connection = Any  # asyncpg is untyped
Row = Any


@dataclass(frozen=True, slots=True)
class Scan:
    """A statement, its organization, and the refusal when it does not end in time."""

    organization_id: UUID
    statement: str
    arguments: Sequence[object]
    too_costly: RefusalKind[()] = FILTER_TOO_COSTLY


class Scans:
    """Runs scans of one kind. No organization can occupy all slots or the whole queue."""

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
        """Fetch the rows of a scan. Refuses `scan.too_costly` if it does not end in time.

        Refuses OVERLOADED if the queue is full, or after waiting as long as a scan may take.
        """
        async with self._slots.slot(str(scan.organization_id)):
            return await self.fetch_indexed(scan, connection)

    async def fetch_indexed(
        self, scan: Scan, connection: AbstractAsyncContextManager[Connection]
    ) -> list[Row]:
        """Fetch the rows without a slot, for statements that an index usually serves."""
        began = False
        try:
            async with connection as db:
                began = True
                rows: list[Row] = await db.fetch(
                    scan.statement, *scan.arguments, timeout=self._seconds
                )
                return rows
        except DatabaseUnavailable as error:
            late = began and isinstance(error.__cause__, TimeoutError)
            # An unreachable database also causes a timeout, which is not the statement's fault.
            if late and await self._database.is_available():
                raise Refusal(scan.too_costly) from error
            raise
