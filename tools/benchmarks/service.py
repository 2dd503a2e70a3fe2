"""Starts the service with people in it, and gateway and usersvc together in one process."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import aiohttp
import asyncpg

from deploy.local.ports import free_port
from tests.support.stack import ROOT, Stack, running_stack
from tools.benchmarks.started import running, wait_until_listening
from tools.benchmarks.subjects import Server
from tools.benchmarks.work import Work, person

SAMPLE_USERS = 2_000
"""The number of users that requests refer to, chosen at random."""


@dataclass(frozen=True)
class Region:
    """A running region with people in it."""

    stack: Stack
    server: Server
    database: str
    """The URL of the users' database."""
    organization_id: UUID

    @property
    def postgres(self) -> int:
        return self.stack.pid("postgres")


@asynccontextmanager
async def service(folder: Path, people: int) -> AsyncIterator[Region]:
    """Start the whole service with `people` people in one organization.

    PostgreSQL's account must be able to traverse the folder.
    """
    with running_stack(folder) as stack:
        database = stack.database_url("users")
        organization_id, work = await _fill(stack, database, people)
        pids = [stack.pid(name) for name in ("gateway", "usersvc", "keysvc", "postgres")]
        parts = urlsplit(stack.url)
        server = Server("service", (parts.hostname, parts.port), work, pids)
        yield Region(stack, server, database, organization_id)


@asynccontextmanager
async def without_hop(region: Region) -> AsyncIterator[Server]:
    """The same code with usersvc inside the gateway, on the same database."""
    port = free_port()
    variables = {
        **_settings_of_gateway(region.stack),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'build'}",
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "USERSVC_DATABASE_URL": region.database,
        "USERSVC_REGION": "us",
    }
    work = region.server.work.at(f"127.0.0.1:{port}")
    command = (sys.executable, "-m", "tools.benchmarks.baselines.single_process")
    log = region.stack.paths.log("single-process")
    with running(command, ROOT, variables, log) as process:
        await wait_until_listening(process, port)
        pids = [process.pid, region.stack.pid("keysvc"), region.postgres]
        yield Server("without the hop", ("127.0.0.1", port), work, pids)


def _settings_of_gateway(stack: Stack) -> dict[str, str]:
    environment = Path(f"/proc/{stack.pid('gateway')}/environ").read_text().split("\0")
    return dict(each.split("=", 1) for each in environment if each.startswith("GATEWAY_"))


async def _fill(stack: Stack, database: str, people: int) -> tuple[UUID, Work]:
    parts = urlsplit(stack.url)
    work = Work(parts.netloc, parts.path, stack.token)
    headers = {"Authorization": f"Bearer {stack.token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        created = await session.post(stack.url + "/Users", json=person("first@bench.test"))
        first = (await created.json(content_type=None))["id"]
        group = await session.post(stack.url + "/Groups", json={"displayName": "Staff"})
        work.group = (await group.json(content_type=None))["id"]
    connection = await asyncpg.connect(database)
    organization_id: UUID = await connection.fetchval(
        "SELECT organization_id FROM users WHERE user_id = $1", first
    )
    existing = await connection.fetchval("SELECT count(*) FROM users")
    for start in range(existing, people, 50_000):
        end = min(people, start + 50_000)
        await connection.execute(INSERT_USERS, organization_id, start + 1, end, timeout=600)
    await connection.execute(COUNT_AGAIN)
    await connection.execute("VACUUM ANALYZE", timeout=600)
    rows = await connection.fetch(_SAMPLE, organization_id, SAMPLE_USERS)
    await connection.close()
    work.people = [(str(user_id), name) for user_id, name in rows]
    return organization_id, work


INSERT_USERS = """
    INSERT INTO users (organization_id, create_time, update_time, user_name, external_id, active,
                       given_name, family_name, name_formatted, emails)
    SELECT $1, now(), now(), 'u' || n || '@bench.test', 'u' || n, true, 'Ann', 'Li', 'Ann Li',
           jsonb_build_array(jsonb_build_object('value', 'u' || n || '@bench.test',
                                                'type', 'work', 'primary', true))
      FROM generate_series($2::bigint, $3::bigint) AS n
"""

COUNT_AGAIN = "UPDATE change_feed SET counted = NULL"
"""Lets usersvc count all users again: INSERT_USERS writes no changes, from which it counts."""

_SAMPLE = """
    SELECT user_id, user_name
      FROM users
     WHERE organization_id = $1 AND user_name LIKE '%@bench.test'
     ORDER BY random()
     LIMIT $2
"""
