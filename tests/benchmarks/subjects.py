"""What is measured: the service, and the same code without the hop between its processes."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import asyncpg

from deploy.local.ports import free_port
from tests.benchmarks.processes import cpu_seconds, family
from tests.benchmarks.work import Work, person
from tests.stack import ROOT, Stack, running_stack

FILL = """
    INSERT INTO users (organization_id, create_time, update_time, user_name, external_id, active,
                       given_name, family_name, name_formatted, emails)
    SELECT $1, now(), now(), 'u' || n || '@bench.test', 'u' || n, true, 'Ann', 'Li', 'Ann Li',
           jsonb_build_array(jsonb_build_object('value', 'u' || n || '@bench.test',
                                                'type', 'work', 'primary', true))
      FROM generate_series($2::bigint, $3::bigint) AS n
"""


@dataclass(frozen=True)
class Subject:
    """Something that answers, and the processes that it costs."""

    name: str
    address: tuple[str, int]
    work: Work
    pids: list[int]

    def cpu(self) -> float:
        return cpu_seconds({pid for each in self.pids for pid in family(each)})


@asynccontextmanager
async def service(folder: Path, people: int) -> AsyncIterator[tuple[Subject, Subject, str]]:
    """The service with so many people in it, the same without the hop, and its users' database."""
    with running_stack(folder) as stack:
        database = _database(stack)
        work = await _filled(stack, database, people)
        pids = [stack.pid(name) for name in ("gateway", "usersvc", "keysvc", "postgres")]
        whole = Subject("service", _address(stack.url), work, pids)
        hopless, process = await _without_hop(stack, database, work)
        try:
            yield whole, hopless, database
        finally:
            process.terminate()
            process.wait(20)


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname, parts.port


def _database(stack: Stack) -> str:
    """The address of the users' database, as usersvc was told it."""
    environment = Path(f"/proc/{stack.pid('usersvc')}/environ").read_bytes().split(b"\0")
    (url,) = [each for each in environment if each.startswith(b"USERSVC_DATABASE_URL=")]
    return url.partition(b"=")[2].decode()


async def _filled(stack: Stack, database: str, people: int) -> Work:
    parts = urlsplit(stack.url)
    work = Work(parts.netloc, parts.path, stack.token)
    headers = {"Authorization": f"Bearer {stack.token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        made = await session.post(stack.url + "/Users", json=person("first@bench.test"))
        first = (await made.json(content_type=None))["id"]
        group = await session.post(stack.url + "/Groups", json={"displayName": "Staff"})
        work.group = (await group.json(content_type=None))["id"]
    connection = await asyncpg.connect(database)
    organization = await connection.fetchval(
        "SELECT organization_id FROM users WHERE user_id = $1", first
    )
    for start in range(1, people, 50_000):
        await connection.execute(
            FILL, organization, start, min(people - 1, start + 49_999), timeout=600
        )
    await connection.execute("VACUUM ANALYZE users", timeout=600)
    rows = await connection.fetch(
        "SELECT user_id, user_name FROM users WHERE user_name LIKE '%@bench.test'"
        " ORDER BY random() LIMIT 2000"
    )
    await connection.close()
    work.people = [(str(user_id), name) for user_id, name in rows]
    return work


async def _without_hop(
    stack: Stack, database: str, work: Work
) -> tuple[Subject, subprocess.Popen[bytes]]:
    port = free_port()
    process = _start_without_hop(stack, database, port)
    await _listening(port)
    same = Work(f"127.0.0.1:{port}", work.prefix, work.token, work.people, work.group)
    pids = [process.pid, stack.pid("keysvc"), stack.pid("postgres")]
    return Subject("without the hop", ("127.0.0.1", port), same, pids), process


def _start_without_hop(stack: Stack, database: str, port: int) -> subprocess.Popen[bytes]:
    environment = Path(f"/proc/{stack.pid('gateway')}/environ").read_text().split("\0")
    given = dict(each.split("=", 1) for each in environment if each.startswith("GATEWAY_"))
    return subprocess.Popen(
        (sys.executable, "-m", "tests.benchmarks.hopless"),
        cwd=ROOT,
        env={
            **os.environ,
            **given,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'build'}",
            "GATEWAY_LISTEN": f"127.0.0.1:{port}",
            "USERSVC_DATABASE_URL": database,
        },
        stdout=subprocess.DEVNULL,
    )


async def _listening(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            assert time.monotonic() < deadline, "it does not listen"
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
