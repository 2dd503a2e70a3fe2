"""Connections that never send a cancel request."""

import itertools
import secrets
from collections.abc import Mapping
from typing import Any, Final

import asyncpg

_PROCESS: Final = secrets.token_hex(8)
_NUMBERS: Final = itertools.count()

# The database cannot be reached or cannot work now: it is starting, shutting down or failing over
# to a standby, is out of connections or disk space, does not exist yet, or has a new password.
# `Database` also counts each other error with which PostgreSQL refuses a connection.
UNAVAILABLE: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,  # of the operating system, such as a failed read of a file
    asyncpg.ReadOnlySQLTransactionError,
    # A time limit that an operator has set for the role or the database.
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TransactionTimeoutError,
    # A deadlock, for example with a migration: nothing was done, and a retry succeeds.
    asyncpg.TransactionRollbackError,
)


class StatementState:
    """Whether a statement of one connection was given up, or committed without the standby."""

    __slots__ = ("was_dropped", "was_unconfirmed")

    def __init__(self) -> None:
        self.was_dropped = False
        """The connection was closed while a statement was in progress."""
        self.was_unconfirmed = False
        """PostgreSQL committed without the confirmation of the synchronous standby."""


class Connection(asyncpg.Connection):  # type: ignore[misc]
    """Closes itself where asyncpg would send a cancel request: on a timeout or a cancellation.

    A cancel request that reaches a COMMIT while it waits for the synchronous standby ends the wait:
    PostgreSQL commits locally, and others see a change that a failover will lose. A backend whose
    client has disconnected ends a statement that still executes, within
    `client_connection_check_interval`, but never the wait of a commit.
    See docs/adr/0028-commits-in-doubt.md.
    """

    def __init__(self, *arguments: Any, **keywords: Any) -> None:  # noqa: ANN401 - asyncpg's own
        super().__init__(*arguments, **keywords)
        self.state = StatementState()

    def _get_unique_id(self, prefix: str) -> str:
        """Replaces asyncpg's method, whose names for prepared statements repeat in each process.

        Behind a pooler that shares its connections, a process could execute the statement of
        another one. With these names PostgreSQL refuses it.
        """
        return f"{prefix}_{_PROCESS}_{next(_NUMBERS):x}"

    def _cancel_current_command(self, *_: object) -> None:
        """Replaces asyncpg's method, which all its cancellations call."""
        self.state.was_dropped = True
        # Not at once: asyncpg still uses the transport after this call.
        self._loop.call_soon(self.terminate)

    def _process_log_message(self, fields: Mapping[str, str], last_query: object) -> None:
        # "canceling wait for synchronous replication": an administrator cancelled the statement.
        if fields.get("C") == "01000" and "synchronous replication" in fields.get("M", ""):
            self.state.was_unconfirmed = True
        super()._process_log_message(fields, last_query)
