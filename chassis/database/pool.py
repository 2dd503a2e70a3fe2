"""A pool of connections to one PostgreSQL database."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

import asyncpg

from chassis.errors import DatabaseUnavailable
from chassis.observability.metrics import Metrics
from chassis.observability.tracing import Tracing

POOL_SIZE: Final = 8  # a larger pool did not help on two cores, and a service has replicas
ACQUIRE_SECONDS: Final = 5.0
STATEMENT_SECONDS: Final = 10.0
CONNECT_SECONDS: Final = 5.0

# The database cannot be reached or cannot work now: it is starting, shutting down or failing over
# to a standby, is out of connections or disk space, does not exist yet, or has a new password.
_UNAVAILABLE: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    # A deadlock, for example with a migration: nothing was done, and a retry succeeds.
    asyncpg.TransactionRollbackError,
)


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
    unavailable are raised as DatabaseUnavailable.
    """

    def __init__(
        self,
        dsn: str,
        application_name: str,
        pool_size: int = POOL_SIZE,
        tracing: Tracing | None = None,
    ) -> None:
        self._tracing = tracing
        self._pool = asyncpg.create_pool(
            dsn,
            min_size=0,
            max_size=pool_size,
            timeout=CONNECT_SECONDS,
            command_timeout=STATEMENT_SECONDS,
            reset=_skip_reset,
            max_inactive_connection_lifetime=60.0,
            # No other settings: connection poolers reject them.
            server_settings={"application_name": application_name},
        )

    async def __aenter__(self) -> "Database":
        await self._pool
        return self

    async def __aexit__(self, *_: object) -> None:
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

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection for statements without a transaction."""
        try:
            async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
                if self._tracing is None:
                    yield connection
                else:
                    with connection.query_logger(self._tracing.record_statement):
                        yield connection
        except _UNAVAILABLE as error:
            if isinstance(error, ValueError):  # an argument of the wrong type: an internal error
                raise
            raise DatabaseUnavailable from error

    @asynccontextmanager
    async def transaction(self, *, rollback: bool = False) -> AsyncIterator[asyncpg.Connection]:
        """A connection in a transaction, which ends with the block.

        With `rollback` this is a dry run: the transaction is rolled back at the end.
        """
        with suppress(_RollbackError):
            async with self.connection() as connection, connection.transaction():
                yield connection
                if rollback:
                    raise _RollbackError

    async def is_available(self) -> bool:
        """Whether the database answers a statement right now."""
        try:
            async with self.connection() as connection:
                await connection.fetchval("SELECT 1", timeout=2.0)
        except DatabaseUnavailable:
            return False
        return True
