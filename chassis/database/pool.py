"""A pool of connections to one PostgreSQL database."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

import asyncpg

from chassis.errors import DatabaseUnavailable
from chassis.observability.metrics import Metrics
from chassis.observability.tracing import Tracing

POOL_SIZE: Final = 8  # more did not help on two cores; a service has several replicas
ACQUIRE_SECONDS: Final = 5.0
STATEMENT_SECONDS: Final = 10.0
CONNECT_SECONDS: Final = 5.0

# The database is away, or says that it cannot work now: shutting down, starting,
# failing over to a standby, out of connections, out of disk; not set up yet, or its
# password is just being changed.
_AWAY: Final = (
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
    # A deadlock, with a migration say: nothing was done, and the next try will be well.
    asyncpg.TransactionRollbackError,
)


class _UndoneError(Exception):
    """Ends a transaction that was only tried."""


async def _as_it_was(_: asyncpg.Connection) -> None:
    """Spares each statement a second one, RESET ALL and so on, when its connection goes back.

    Nothing that outlives a transaction is ever set: settings, locks and cursors are local to one,
    and who listens unlistens or ends the connection. What is open is rolled back all the same.
    """


class Database:
    """A database that may come and go.

    It opens without the database being there, and connects as it is needed.
    Everything that means "away" is refused as DatabaseUnavailable.
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
            reset=_as_it_was,
            max_inactive_connection_lifetime=60.0,
            # Nothing else: poolers refuse connections that ask for more.
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
        """Let the metrics tell how full the pool is."""
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
        """A connection for statements that each stand alone."""
        try:
            async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
                if self._tracing is None:
                    yield connection
                else:
                    with connection.query_logger(self._tracing.statement):
                        yield connection
        except _AWAY as error:
            if isinstance(error, ValueError):  # an argument of the wrong type: our fault
                raise
            raise DatabaseUnavailable from error

    @asynccontextmanager
    async def transaction(self, *, rollback: bool = False) -> AsyncIterator[asyncpg.Connection]:
        """A connection for statements that happen together or not at all.

        With `rollback` they are tried, and then undone.
        """
        with suppress(_UndoneError):
            async with self.connection() as connection, connection.transaction():
                yield connection
                if rollback:
                    raise _UndoneError

    async def is_available(self) -> bool:
        """Whether the database answers a statement right now."""
        try:
            async with self.connection() as connection:
                await connection.fetchval("SELECT 1", timeout=2.0)
        except DatabaseUnavailable:
            return False
        return True
