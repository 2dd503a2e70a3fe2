"""Checks that a connection pooler keeps what a service needs from its sessions.

A pooler in transaction mode, such as PgBouncer's, gives each transaction any of its connections to
PostgreSQL. LISTEN then never works. Prepared statements work only if the pooler supports them.
"""

from typing import Final

import asyncpg

from chassis.database.identity import Owner, WrongDatabase

ATTEMPTS: Final = 5
"""An attempt can miss a fault, because another client uses the connection that would show it."""
_BACKEND: Final = "SELECT pg_backend_pid()"


LOST_STATEMENT: Final = (
    asyncpg.InvalidSQLStatementNameError,
    asyncpg.DuplicatePreparedStatementError,
)
"""Errors of a prepared statement that does not exist on the connection that executes it."""


async def use_prepared_statement(first: asyncpg.Connection, second: asyncpg.Connection) -> None:
    """Use a prepared statement. Raises LOST_STATEMENT behind a pooler that loses it.

    While a transaction of `second` uses the server connection on which `first` has prepared its
    statement, `first` gets another one.
    """
    for _ in range(ATTEMPTS):
        statement = await first.prepare(_BACKEND)
        await statement.fetchval()
        async with second.transaction():
            await second.fetchval(_BACKEND)
            await statement.fetchval()


def loses_statements(owner: Owner) -> WrongDatabase:
    """The refusal of a pooler that loses prepared statements."""
    return WrongDatabase(
        f"{owner.url_setting} leads through a pooler that loses prepared statements: use its "
        "session mode, or set max_prepared_statements (PgBouncer 1.21 or later)"
    )


async def refuse_shared_session(
    listening: asyncpg.Connection, other: asyncpg.Connection, owner: Owner
) -> None:
    """Refuse a pooler that gives the session of `listening`, which is idle, to `other`."""
    for _ in range(ATTEMPTS):
        session = await listening.fetchval(_BACKEND)
        async with other.transaction():
            if await other.fetchval(_BACKEND) == session:
                raise WrongDatabase(
                    "LISTEN does not work through a pooler in transaction mode: set "
                    f"{owner.listen_url_setting} to the address of the database without the pooler"
                )
