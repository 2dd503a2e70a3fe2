"""A pool of connections to one PostgreSQL database."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final
from uuid import UUID

import asyncpg

from chassis.database import identity
from chassis.database.commit_monitor import CHECK_SECONDS, STALL, CommitMonitor
from chassis.database.connection import UNAVAILABLE, Connection, StatementState
from chassis.database.identity import Owner
from chassis.database.migrations import Migration
from chassis.errors import CommitUnconfirmed, DatabaseUnavailable, WritesStalled
from chassis.observability.metrics import Metrics
from chassis.observability.tracing import Tracing

POOL_SIZE: Final = 8  # a larger pool did not help on two cores, and a service has replicas
ACQUIRE_SECONDS: Final = 5.0
STATEMENT_SECONDS: Final = 10.0
CONNECT_SECONDS: Final = 5.0


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class _RollbackError(Exception):
    """Rolls back a transaction that ran without an error."""


async def _skip_reset(_: asyncpg.Connection) -> None:
    """Replaces asyncpg's reset of a returned connection, which costs a statement (RESET ALL, …).

    There is nothing to reset: settings, locks and cursors are local to a transaction, and a
    listener unlistens or terminates its connection. asyncpg still rolls back an open transaction.
    """


class Database:
    """A connection pool for a database that may be unavailable at times.

    The pool opens without a database, and connects on demand. Errors that mean that the database is
    unavailable are raised as DatabaseUnavailable. With `must_be_verified` the database counts as
    unavailable until `allow_use`, so that no statement runs on the wrong one.

    A write that is given up is never cancelled, because its commit may be waiting for the
    synchronous standby (docs/adr/0028). Its connection is dropped. While commits wait for too long,
    writes are refused at once (WritesStalled), so that few connections are dropped and reads find
    free ones.
    """

    def __init__(
        self,
        dsn: str,
        application_name: str,
        pool_size: int = POOL_SIZE,
        tracing: Tracing | None = None,
        *,
        must_be_verified: bool = False,
    ) -> None:
        self._tracing = tracing
        self._monitor = CommitMonitor(dsn, application_name, self._drop_writes)
        self._writes: dict[StatementState, tuple[float, asyncpg.Connection]] = {}
        self._check: asyncio.TimerHandle | None = None
        self._releases: set[asyncio.Task[None]] = set()
        self._may_be_used = not must_be_verified
        self._pool = asyncpg.create_pool(
            dsn,
            min_size=0,
            max_size=pool_size,
            timeout=CONNECT_SECONDS,
            command_timeout=STATEMENT_SECONDS,
            reset=_skip_reset,
            connection_class=Connection,
            max_inactive_connection_lifetime=60.0,
            # No other settings: connection poolers reject them.
            server_settings={"application_name": application_name},
        )

    async def __aenter__(self) -> "Database":
        await self._pool
        await self._monitor.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._check is not None:
            self._check.cancel()
        self._monitor.close()
        try:
            await asyncio.wait_for(self._pool.close(), timeout=STATEMENT_SECONDS)
        except TimeoutError:
            self._pool.terminate()

    def observe(self, metrics: Metrics) -> None:
        """Publish the size and the use of the pool."""
        pool = self._pool

        def by_state() -> Mapping[str, int]:
            idle = pool.get_idle_size()
            return {"idle": idle, "used": pool.get_size() - idle}

        metrics.gauges(
            "db_client_connection_count",
            "Open connections of the pool, by state.",
            "db_client_connection_state",
            by_state,
        )
        metrics.gauge("db_client_connection_max", "Size limit of the pool.", pool.get_max_size)
        metrics.gauge(
            "db_writes_stalled",
            "1 while writes are refused, because commits wait for the synchronous standby.",
            lambda: self.is_stalled,
        )

    @property
    def is_stalled(self) -> bool:
        """Whether writes are refused, because commits wait for the synchronous standby."""
        return self._monitor.is_stalled

    async def identify(self, owner: Owner, migrations: Sequence[Migration]) -> UUID:
        """The id of the database. Refuses (WrongDatabase) one with another owner or schema."""
        try:
            async with self._acquired() as connection:
                return await identity.verify(connection, owner, migrations)
        except UNAVAILABLE as error:
            raise DatabaseUnavailable from error

    def allow_use(self) -> None:
        """Allow statements: the database has been verified."""
        self._may_be_used = True

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection for statements that only read, without a transaction."""
        if not self._may_be_used:
            raise DatabaseUnavailable
        try:
            async with self._acquired() as connection:
                if self._tracing is None:
                    yield connection
                else:
                    with connection.query_logger(self._tracing.record_statement):
                        yield connection
        except UNAVAILABLE as error:
            if _is_cancelled():  # on a dropped connection, a rollback fails
                raise asyncio.CancelledError from error
            if isinstance(error, ValueError):  # an argument of the wrong type: an internal error
                raise
            if isinstance(error.__context__, TimeoutError):  # a rollback on the dropped connection
                raise DatabaseUnavailable from error.__context__
            raise DatabaseUnavailable from error

    @asynccontextmanager
    async def _acquired(self) -> AsyncIterator[asyncpg.Connection]:
        connection = await self._pool.acquire(timeout=ACQUIRE_SECONDS)
        try:
            yield connection
        except BaseException:
            await self._release_after_error(connection)
            raise
        await self._pool.release(connection)

    async def _release_after_error(self, connection: asyncpg.Connection) -> None:
        """Return a connection to the pool, in a task of its own whose error is ignored.

        A cancelled statement may still run, and asyncpg waits for its end. That fails if the
        database is frozen: asyncpg then terminates the connection and raises an error. If the
        caller is cancelled in the meantime, nobody would retrieve that error from asyncpg's task,
        and asyncio would log it.
        """
        task = asyncio.ensure_future(self._pool.release(connection))
        self._releases.add(task)
        task.add_done_callback(self._released)
        await asyncio.wait((task,))

    def _released(self, task: "asyncio.Task[None]") -> None:
        self._releases.discard(task)
        if not task.cancelled():
            task.exception()

    @asynccontextmanager
    async def writer(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection for a statement that writes, without a transaction.

        After an error or a cancellation, returns when the statement can no longer begin its commit.
        Refuses WritesStalled and CommitUnconfirmed.
        """
        state: StatementState | None = None
        try:
            self._refuse_if_stalled()
            async with self.connection() as connection:
                self._refuse_if_stalled()
                state = connection.state
                self._begin(state, connection)
                try:
                    yield connection
                finally:
                    del self._writes[state]
        except (Exception, asyncio.CancelledError) as error:
            if state is not None and state.was_dropped:
                await self._monitor.wait_for_end()
                if self._monitor.is_stalled and isinstance(error, DatabaseUnavailable):
                    raise CommitUnconfirmed from error
            raise
        if state.was_unconfirmed:
            raise CommitUnconfirmed

    @asynccontextmanager
    async def transaction(self, *, rollback: bool = False) -> AsyncIterator[asyncpg.Connection]:
        """A connection in a transaction that writes; it ends with the block.

        With `rollback` this is a dry run: the transaction is rolled back at the end. Refuses as
        `writer` does.
        """
        with suppress(_RollbackError):
            async with self.writer() as connection, connection.transaction():
                yield connection
                if rollback:
                    raise _RollbackError

    def _refuse_if_stalled(self) -> None:
        if self._monitor.is_stalled:
            raise WritesStalled

    def _begin(self, state: StatementState, connection: asyncpg.Connection) -> None:
        """Observe how long a write takes."""
        loop = asyncio.get_running_loop()
        state.was_unconfirmed = False
        self._writes[state] = loop.time(), connection
        if self._check is None:
            self._check = loop.call_later(CHECK_SECONDS, self._check_oldest)

    def _check_oldest(self) -> None:
        """Ask PostgreSQL for the reason if a write takes long."""
        self._check = None
        loop = asyncio.get_running_loop()
        for began, _ in self._writes.values():  # the first is the oldest
            if loop.time() - began >= STALL.total_seconds():
                self._monitor.follow()
            self._check = loop.call_later(CHECK_SECONDS, self._check_oldest)
            return

    def _drop_writes(self) -> None:
        """Free the connections of writes whose commits wait for the synchronous standby."""
        for state, (_, connection) in self._writes.items():
            state.was_dropped = True
            connection.terminate()

    async def is_available(self) -> bool:
        """Whether the database answers a statement right now."""
        try:
            async with self.connection() as connection:
                await connection.fetchval("SELECT 1", timeout=2.0)
        except DatabaseUnavailable:
            return False
        return True
