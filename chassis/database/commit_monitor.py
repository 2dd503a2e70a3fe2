"""Observes, over a connection of its own, the statements whose clients have given up."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import asyncpg

from chassis.database.connection import UNAVAILABLE, Connection

STALL: Final = timedelta(seconds=3)
"""A commit that waits longer for the synchronous standby stalls all writes."""
CHECK_SECONDS: Final = 1.0
"""The interval in which the oldest write in progress is compared with `STALL`."""
POLL_SECONDS: Final = 0.25
END_POLL_SECONDS: Final = 0.02
END_SECONDS: Final = 0.9
"""The time limit for a dropped statement to end: the gateway waits one second for the response."""
CONNECT_SECONDS: Final = 2.0
_UNKNOWN: Final = (*UNAVAILABLE, asyncpg.PostgresError)
"""Errors after which nothing new is known."""


@dataclass(frozen=True, slots=True)
class Activity:
    """The active statements of this role in this database, by PostgreSQL's clock."""

    now: datetime
    executing_since: datetime | None
    """The start of the oldest statement that executes."""
    waiting_since: datetime | None
    """The start of the oldest statement whose commit waits for the synchronous standby."""

    @property
    def is_stalled(self) -> bool:
        """Whether commits wait for the standby for too long."""
        return self.waiting_since is not None and self.now - self.waiting_since >= STALL


class CommitMonitor:
    """Finds out whether dropped statements have ended, and whether commits are stalled.

    Backends are not looked up by their ids, because a connection pooler hides these.
    """

    def __init__(self, dsn: str, application_name: str, drop_writes: Callable[[], None]) -> None:
        """`drop_writes` drops the connections of all writes in progress, once they are stalled."""
        self._drop_writes = drop_writes
        self._pool = asyncpg.create_pool(
            dsn,
            min_size=0,
            max_size=1,
            timeout=CONNECT_SECONDS,
            command_timeout=CONNECT_SECONDS,
            max_inactive_connection_lifetime=10.0,
            connection_class=Connection,
            server_settings={"application_name": f"{application_name}-monitor"},
        )
        self._is_stalled = False
        self._waiting_since: datetime | None = None
        self._following: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Prepare to connect on demand."""
        await self._pool

    def close(self) -> None:
        """End the observation."""
        if self._following is not None:
            self._following.cancel()
        self._pool.terminate()

    @property
    def is_stalled(self) -> bool:
        """Whether writes would only wait, because commits wait for the synchronous standby."""
        return self._is_stalled

    def follow(self) -> None:
        """Observe the commits for as long as they are stalled."""
        if self._following is None or self._following.done():
            self._following = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        try:
            await self._update()
            while self._waiting_since is not None:
                await asyncio.sleep(POLL_SECONDS)
                await self._update()
        finally:
            self._is_stalled = False

    async def _update(self) -> None:
        with suppress(*_UNKNOWN):  # the last state remains
            activity = await self._read()
            # Seen twice: a statement that executes for long also waits briefly at its end.
            waits_still = activity.waiting_since == self._waiting_since
            is_stalled = activity.is_stalled and (self._is_stalled or waits_still)
            if is_stalled and not self._is_stalled:
                self._drop_writes()
            self._is_stalled = is_stalled
            self._waiting_since = activity.waiting_since if activity.is_stalled else None

    async def wait_for_end(self) -> None:
        """Wait until each statement that was dropped before has ended or is in its commit.

        Gives up after `END_SECONDS`. Statements whose commits wait for the standby remain in doubt.
        """
        with suppress(*_UNKNOWN):
            async with asyncio.timeout(END_SECONDS):
                activity = await self._read()
                dropped_before = activity.now
                while activity.executing_since and activity.executing_since < dropped_before:
                    await asyncio.sleep(END_POLL_SECONDS)
                    activity = await self._read()

    async def _read(self) -> Activity:
        return Activity(*await self._pool.fetchrow(_ACTIVITY))


# `query_start` is the start of the message that executes and, outside a transaction, commits.
_ACTIVITY: Final = """
    SELECT clock_timestamp(),
           min(query_start) FILTER (WHERE wait_event IS DISTINCT FROM 'SyncRep'),
           min(query_start) FILTER (WHERE wait_event = 'SyncRep')
      FROM pg_stat_activity
     WHERE datname = current_database()
       AND usename = current_user
       AND state = 'active'
       AND pid <> pg_backend_pid()
"""
