"""A pool of connections to one PostgreSQL database."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

import asyncpg

from chassis.database.commit_monitor import CHECK_SECONDS, STALL, CommitMonitor
from chassis.database.connection import UNAVAILABLE, Connection, StatementState
from chassis.errors import CommitUnconfirmed, DatabaseUnavailable, WritesStalled
from chassis.observability.metrics import Metrics
from chassis.observability.tracing import Tracing

POOL_SIZE: Final = 8  # a larger pool was not faster on two cores, and a service has replicas
ACQUIRE_SECONDS: Final = 5.0
STATEMENT_SECONDS: Final = 10.0
CONNECT_SECONDS: Final = 5.0


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class _RollbackError(Exception):
    """Ends a dry run: asyncpg then rolls back a transaction that had no error."""


async def _skip_reset(_: asyncpg.Connection) -> None:
    """Replaces asyncpg's reset of a returned connection, which costs a statement (RESET ALL, …).

    There is nothing to reset: settings, locks and cursors are local to a transaction, and a
    listener unlistens or terminates its connection. asyncpg still rolls back an open transaction.
    """


class Database:
    """A connection pool for a database that may be unavailable at times.

    The pool connects on demand, so it opens even while the database is unavailable. Errors that are
    in `UNAVAILABLE` are raised as DatabaseUnavailable. With `must_be_verified`, the database counts
    as unavailable until `allow_use` is called, so that no statement runs on a wrong database.

    When a client gives up a write, the pool drops the connection. It never cancels the write in
    PostgreSQL, because the commit may be waiting for the synchronous standby (docs/adr/0028).
    While commits are stalled, writes are refused at once (WritesStalled), so that few connections
    are dropped and reads find free ones.
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
        self._check_timer: asyncio.TimerHandle | None = None
        self._release_tasks: set[asyncio.Task[None]] = set()
        self._is_usable = not must_be_verified
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
        if self._check_timer is not None:
            self._check_timer.cancel()
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

    @asynccontextmanager
    async def unverified_connection(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection with which to verify the database, before `allow_use`."""
        try:
            async with self._acquired() as connection:
                yield connection
        except UNAVAILABLE as error:
            raise DatabaseUnavailable from error

    def allow_use(self) -> None:
        """Allow statements, once the database has been verified."""
        self._is_usable = True

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection for statements that only read, without a transaction."""
        if not self._is_usable:
            raise DatabaseUnavailable
        try:
            async with self._acquired() as connection:
                if self._tracing is None:
                    yield connection
                else:
                    with connection.query_logger(self._tracing.record_statement):
                        yield connection
        except UNAVAILABLE as error:
            if _is_cancelled():  # the rollback failed on the dropped connection
                raise asyncio.CancelledError from error
            if isinstance(error, ValueError):  # asyncpg rejected an argument: an internal error
                raise
            if isinstance(error.__context__, TimeoutError):  # the rollback failed after a timeout
                raise DatabaseUnavailable from error.__context__
            raise DatabaseUnavailable from error

    @asynccontextmanager
    async def _acquired(self) -> AsyncIterator[asyncpg.Connection]:
        try:
            connection = await self._pool.acquire(timeout=ACQUIRE_SECONDS)
        except asyncpg.PostgresError as error:  # the connection was refused, for whatever reason
            raise DatabaseUnavailable from error
        try:
            yield connection
        except BaseException:
            await self._release_after_error(connection)
            raise
        await self._pool.release(connection)

    async def _release_after_error(self, connection: asyncpg.Connection) -> None:
        """Return a connection to the pool, in a separate task whose error is ignored.

        A cancelled statement may still run, and asyncpg waits for its end. If the database is
        frozen, the wait fails: asyncpg terminates the connection and raises an error. If the caller
        is cancelled during the wait, asyncio would log that error, unless this task retrieved it.
        """
        task = asyncio.ensure_future(self._pool.release(connection))
        self._release_tasks.add(task)
        task.add_done_callback(self._release_done)
        await asyncio.wait((task,))

    def _release_done(self, task: "asyncio.Task[None]") -> None:
        self._release_tasks.discard(task)
        if not task.cancelled():
            task.exception()

    @asynccontextmanager
    async def writer(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection for a statement that writes, without a transaction.

        After an error or a cancellation, it returns only when the statement can no longer begin its
        commit, or after a time limit. Raises WritesStalled if writes are refused at present, and
        CommitUnconfirmed if the synchronous standby has not confirmed the commit.
        """
        state: StatementState | None = None
        try:
            self._refuse_if_stalled()
            async with self.connection() as connection:
                self._refuse_if_stalled()
                state = connection.state
                self._register_write(state, connection)
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
        """A connection in a transaction that writes; the transaction ends with the block.

        With `rollback` this is a dry run: the transaction is rolled back at the end. Raises the
        errors of `writer`.
        """
        with suppress(_RollbackError):
            async with self.writer() as connection, connection.transaction():
                yield connection
                if rollback:
                    raise _RollbackError

    def _refuse_if_stalled(self) -> None:
        if self._monitor.is_stalled:
            raise WritesStalled

    def _register_write(self, state: StatementState, connection: asyncpg.Connection) -> None:
        """Record the start of a write, and start the timer that looks for slow writes."""
        loop = asyncio.get_running_loop()
        state.was_unconfirmed = False
        self._writes[state] = loop.time(), connection
        if self._check_timer is None:
            self._check_timer = loop.call_later(CHECK_SECONDS, self._check_oldest)

    def _check_oldest(self) -> None:
        """Ask PostgreSQL whether commits are stalled, if the oldest write has run for `STALL`."""
        self._check_timer = None
        loop = asyncio.get_running_loop()
        for started_at, _ in self._writes.values():  # the first is the oldest
            if loop.time() - started_at >= STALL.total_seconds():
                self._monitor.start_polling()
            self._check_timer = loop.call_later(CHECK_SECONDS, self._check_oldest)
            return

    def _drop_writes(self) -> None:
        """Drop the connections of all writes in progress, so that the pool can open new ones."""
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
