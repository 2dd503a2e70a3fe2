"""Organizations with people in them, and the requests that identity providers send about them."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from tests.support.operators import operator
from tests.support.stack import Stack
from tools.benchmarks.service import COUNT_AGAIN, INSERT_USERS
from tools.benchmarks.work import Work

PEOPLE = 500


async def tenants(stack: Stack, number: int, people: int = PEOPLE) -> list[Work]:
    """Create `number` organizations in a running region, each with `people` people."""
    parts = urlsplit(stack.url)
    works = []
    connection = await asyncpg.connect(_database(stack))
    async with operator(stack) as services:
        for _ in range(number):
            organization_id = await services.create_organization()
            key = await services.generate_key(organization_id)
            await connection.execute(INSERT_USERS, organization_id, 1, people)
            await connection.execute(COUNT_AGAIN)
            rows = await connection.fetch(
                "SELECT user_id, user_name FROM users WHERE organization_id = $1", organization_id
            )
            work = Work(parts.netloc, parts.path, key.token)
            work.people = [(str(user_id), name) for user_id, name in rows]
            works.append(work)
    await connection.close()
    return works


def at(work: Work, address: tuple[str, int]) -> Work:
    """The same organization through another gateway."""
    return replace(work, host=f"{address[0]}:{address[1]}")


def _database(stack: Stack) -> str:
    """The URL of the users' database, from the environment of usersvc."""
    environment = Path(f"/proc/{stack.pid('usersvc')}/environ").read_bytes().split(b"\0")
    (url,) = [each for each in environment if each.startswith(b"USERSVC_DATABASE_URL=")]
    return url.partition(b"=")[2].decode()
