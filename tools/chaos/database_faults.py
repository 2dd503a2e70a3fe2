"""Faults that an operator, or a failover, can cause in a running PostgreSQL."""

import asyncio
import os
import secrets
import signal
from collections.abc import Mapping
from urllib.parse import urlsplit

import asyncpg

from tools.chaos.certificates import SERVICES
from tools.chaos.region import Region

TIMEOUTS = {
    "statement_timeout": "2ms",
    "lock_timeout": "1ms",
    "idle_in_transaction_session_timeout": "1ms",
    "transaction_timeout": "3ms",
    "idle_session_timeout": "100ms",
}
READ_ONLY = {"default_transaction_read_only": "on"}
SERIALIZABLE = {"default_transaction_isolation": "serializable"}
END_SECONDS = 1.0
"""The time between two ends of all sessions."""


async def set_short_timeouts(region: Region, seconds: float) -> bool:
    """Let PostgreSQL end statements, transactions and sessions after milliseconds."""
    return await _set(region, TIMEOUTS, seconds)


async def make_read_only(region: Region, seconds: float) -> bool:
    """Refuse writes, as a primary that has become a standby."""
    return await _set(region, READ_ONLY, seconds)


async def make_serializable(region: Region, seconds: float) -> bool:
    """Run all transactions in the strictest isolation level, where PostgreSQL aborts some."""
    return await _set(region, SERIALIZABLE, seconds)


async def end_sessions(region: Region, seconds: float) -> bool:
    """End all sessions each second."""
    for _ in range(max(1, round(seconds / END_SECONDS))):
        await _query(region, _END_SESSIONS)
        await asyncio.sleep(END_SECONDS)
    return True


async def close_keys_database(region: Region, seconds: float) -> bool:
    """Refuse connections to the database of keysvc only."""
    await _query(region, "ALTER DATABASE keys ALLOW_CONNECTIONS false;", _END_SESSIONS)
    await asyncio.sleep(seconds)
    await _query(region, "ALTER DATABASE keys ALLOW_CONNECTIONS true;")
    return True


async def limit_connections(region: Region, seconds: float) -> bool:
    """Allow each role one connection."""
    await _query(region, *(_limit(role, 1) for role in SERVICES), _END_SESSIONS)
    await asyncio.sleep(seconds)
    await _query(region, *(_limit(role, -1) for role in SERVICES))
    return True


async def change_passwords(region: Region, seconds: float) -> bool:
    """Refuse the services' passwords for some seconds, as between the two steps of a rotation."""
    passwords = {
        service: urlsplit(
            region.replicas(service)[0].program.environment[f"{service.upper()}_DATABASE_URL"]
        ).password
        for service in SERVICES
    }
    for role in passwords:
        await _query(region, _password(role, secrets.token_hex(8)))
    await _query(region, _END_SESSIONS)
    await asyncio.sleep(seconds)
    for role, password in passwords.items():
        await _query(region, _password(role, password or ""))
    return True


async def lock_tables(region: Region, seconds: float) -> bool:
    """Lock the tables of users and keys, as a migration or a command of an operator does."""
    connections = []
    for service, table in zip(SERVICES, ("users", "api_key"), strict=True):
        environment = region.replicas(service)[0].program.environment
        connections.append(await asyncpg.connect(environment[f"{service.upper()}_DATABASE_URL"]))
        await connections[-1].execute("BEGIN")
        await connections[-1].execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
    await asyncio.sleep(seconds)
    for connection in connections:
        await connection.close()
    return True


async def kill_backends(region: Region, seconds: float) -> bool:
    """Kill one session each three seconds, as for a lack of memory: PostgreSQL restarts."""
    for _ in range(max(1, round(seconds / 3.0))):
        (pid, *_) = (await _query(region, _BACKENDS)).split()
        os.kill(int(pid), signal.SIGKILL)
        await asyncio.sleep(3.0)
    return True


async def _set(region: Region, values: Mapping[str, str], seconds: float) -> bool:
    await _query(
        region,
        *(
            f"ALTER ROLE {role} SET {name} = '{value}';"
            for role in SERVICES
            for name, value in values.items()
        ),
        _END_SESSIONS,
    )
    await asyncio.sleep(seconds)
    await _query(region, *(f"ALTER ROLE {role} RESET ALL;" for role in SERVICES), _END_SESSIONS)
    return True


async def _query(region: Region, *statements: str) -> str:
    return await asyncio.to_thread(region.cluster.query, "\n".join(statements))


def _limit(role: str, number: int) -> str:
    return f"ALTER ROLE {role} CONNECTION LIMIT {number};"


def _password(role: str, password: str) -> str:
    return f"ALTER ROLE {role} PASSWORD '{password}';"


_END_SESSIONS = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename <> current_user;
"""
_BACKENDS = "SELECT pid FROM pg_stat_activity WHERE usename = 'usersvc';"
