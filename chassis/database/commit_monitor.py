"""Watches, over a separate connection, stalled commits and statements whose client has gone."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import asyncpg

from chassis.database.connection import UNAVAILABLE, Connection

STALL: Final = timedelta(seconds=3)
"""Writes count as stalled once a commit has waited this long for the synchronous standby."""
CHECK_SECONDS: Final = 1.0
"""How often the pool compares the age of the oldest write in progress with `STALL`."""
POLL_SECONDS: Final = 0.25
"""How often a stalled commit is looked for again."""
END_POLL_SECONDS: Final = 0.02
"""How often `wait_for_end` reads the active statements."""
END_SECONDS: Final = 0.9
"""The time limit of `wait_for_end`: the gateway waits only one second for the response."""
CONNECT_SECONDS: Final = 2.0
_READ_ERRORS: Final = (*UNAVAILABLE, asyncpg.PostgresError)
"""Errors of the monitor's own query. The last state then stays in force."""


@dataclass(frozen=True, slots=True)
class ActiveStatements:
    """The oldest active statements of this role in this database, by PostgreSQL's clock."""

    now: datetime
    executing_since: datetime | None
    """The start of the oldest transaction whose statement is not waiting for the standby."""
    waiting_since: datetime | None
    """The start of the oldest statement whose commit waits for the synchronous standby."""

    @property
    def is_stalled(self) -> bool:
        """Whether a commit has waited for the standby for at least `STALL`."""
        return self.waiting_since is not None and self.now - self.waiting_since >= STALL


class CommitMonitor:
    """Detects stalled commits, and the end of statements whose connection was dropped.

    It reads all statements of the role. It does not look up backends by process id, because a
    connection pooler hides the ids.
    """

    def __init__(self, dsn: str, application_name: str, drop_writes: Callable[[], None]) -> None:
        """`drop_writes` drops the connections of all writes in progress. A stall calls it once."""
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
        self._stalled_commit_since: datetime | None = None
        self._polling: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Open the pool, which connects on demand."""
        await self._pool

    def close(self) -> None:
        """Stop polling, and close the connection at once."""
        if self._polling is not None:
            self._polling.cancel()
        self._pool.terminate()

    @property
    def is_stalled(self) -> bool:
        """Whether writes must be refused, because commits wait for the synchronous standby."""
        return self._is_stalled

    def start_polling(self) -> None:
        """Poll the commits, in a task, until none is stalled."""
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll())

    async def _poll(self) -> None:
        try:
            await self._update()
            while self._stalled_commit_since is not None:
                await asyncio.sleep(POLL_SECONDS)
                await self._update()
        finally:
            self._is_stalled = False

    async def _update(self) -> None:
        with suppress(*_READ_ERRORS):  # the last state remains
            activity = await self._read()
            # Two polls must see the same commit, because its age is that of its statement: a long
            # statement, too, waits briefly for the standby at its end.
            waits_still = activity.waiting_since == self._stalled_commit_since
            is_stalled = activity.is_stalled and (self._is_stalled or waits_still)
            if is_stalled and not self._is_stalled:
                self._drop_writes()
            self._is_stalled = is_stalled
            self._stalled_commit_since = activity.waiting_since if activity.is_stalled else None

    async def wait_for_end(self) -> None:
        """Wait until each statement dropped before this call has ended or is in its commit.

        Statements that were sent together are one transaction: those that begin after this call
        count, too.

        Gives up after `END_SECONDS`. A commit that waits for the standby remains in doubt.
        """
        with suppress(*_READ_ERRORS):
            async with asyncio.timeout(END_SECONDS):
                activity = await self._read()
                dropped_before = activity.now
                while activity.executing_since and activity.executing_since < dropped_before:
                    await asyncio.sleep(END_POLL_SECONDS)
                    activity = await self._read()

    async def _read(self) -> ActiveStatements:
        return ActiveStatements(*await self._pool.fetchrow(_ACTIVITY))


# `query_start` is the start of the current message. Outside a transaction block, statements that
# were sent together have one `xact_start`, and are committed after the last one.
_ACTIVITY: Final = """
    SELECT clock_timestamp(),
           min(least(query_start, xact_start))
           FILTER (WHERE wait_event IS DISTINCT FROM 'SyncRep'),
           min(query_start) FILTER (WHERE wait_event = 'SyncRep')
      FROM pg_stat_activity
     WHERE datname = current_database()
       AND usename = current_user
       AND state = 'active'
       AND pid <> pg_backend_pid()
"""
