"""Comparison of this machine's clock with that of the database.

Calls have absolute deadlines (`chassis.rpc.deadline`), so a replica whose clock is wrong refuses
calls as late, or carries out late ones. Such a replica leaves service, but only while another one
agrees with the database: otherwise the clock of the database is the wrong one.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Final
from uuid import uuid4

from chassis.clock import MAX_CLOCK_OFFSET, Clock, ClockReading
from chassis.database.pool import Database
from chassis.errors import DatabaseUnavailable
from chassis.observability.log import Logger
from chassis.observability.metrics import Metrics

INTERVAL_SECONDS: Final = 2.0
VALID_SECONDS: Final = 15.0
"""How long a reading counts. Without a database, a replica returns to service after this time."""


class ClockMonitor:
    """Measures the offset of this machine's clock every few seconds, and shares it with others.

    Each service has a table `clock_readings` for the offsets of its replicas.
    """

    def __init__(self, database: Database, clock: Clock, log: Logger) -> None:
        self._database = database
        self._clock = clock
        self._log = log
        self._replica_id = uuid4()
        self._reading: ClockReading | None = None
        self._another_agrees = False
        self._read_time = float("-inf")
        self._was_in_service = True

    @property
    def in_service(self) -> bool:
        """Whether calls may come here. False if only the clock of this replica is wrong."""
        is_excluded = self._differs and self._another_agrees
        return not (is_excluded and time.monotonic() - self._read_time < VALID_SECONDS)

    def observe(self, metrics: Metrics) -> None:
        """Publish the offset. There is no sample before the first measurement."""

        def by_peer() -> Mapping[str, float]:
            return {} if self._reading is None else {"database": self._reading.offset}

        metrics.gauges(
            "clock_offset_seconds",
            "How far this clock is ahead of another one, by its owner.",
            "peer",
            by_peer,
        )

    async def run(self) -> None:
        """Measure until cancelled. Continues when the database is unavailable."""
        while True:
            await self.measure()
            await asyncio.sleep(INTERVAL_SECONDS)

    async def measure(self) -> None:
        """Compare the clocks once, unless the database is unavailable."""
        differed = self._differs
        try:
            async with self._database.connection() as db:
                sent = self._clock()
                other = await db.fetchval("SELECT clock_timestamp()")
                reading = ClockReading.between(sent, other, self._clock())
                self._another_agrees = await db.fetchval(
                    _RECORD,
                    self._replica_id, reading.offset, MAX_CLOCK_OFFSET.total_seconds(),
                    VALID_SECONDS,
                )  # fmt: skip
        except DatabaseUnavailable:
            return
        self._reading, self._read_time = reading, time.monotonic()
        if (differed, self._was_in_service) != (self._differs, self.in_service):
            self._was_in_service = self.in_service
            self._log_change(reading)

    @property
    def _differs(self) -> bool:
        return self._reading is not None and self._reading.differs

    def _log_change(self, reading: ClockReading) -> None:
        write = self._log.warning if reading.differs else self._log.info
        write(
            "clock compared",
            peer="database",
            offset_seconds=round(reading.offset, 3),
            agrees=not reading.differs,
            in_service=self.in_service,
        )


# --- statements -------------------------------------------------------------------------

# The database's clock decides which readings are recent. Rows from the future are those from
# before its clock went back.
_RECORD: Final = """
    WITH recorded AS (
        INSERT INTO clock_readings (replica_id, offset_seconds, read_time)
        VALUES ($1, $2, clock_timestamp())
        ON CONFLICT ON CONSTRAINT clock_readings_pkey
           DO UPDATE SET offset_seconds = excluded.offset_seconds, read_time = excluded.read_time
    ), deleted AS (
        DELETE FROM clock_readings
         WHERE replica_id <> $1
           AND read_time NOT BETWEEN now() - interval '1 hour' AND now() + interval '1 hour'
    )
    SELECT EXISTS (SELECT
                     FROM clock_readings
                    WHERE replica_id <> $1
                      AND abs(offset_seconds) <= $3
                      AND read_time BETWEEN now() - make_interval(secs => $4)
                                        AND now() + interval '1 second')
"""
