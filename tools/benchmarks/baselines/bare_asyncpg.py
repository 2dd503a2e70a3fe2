"""A limit: the same statements over asyncpg, with a pool as large as the service's."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from chassis.database.pool import POOL_SIZE
from tools.benchmarks.baselines import statements
from tools.benchmarks.baselines.statements import Statement
from tools.benchmarks.client import Bound, Sample
from tools.benchmarks.processes import cpu_of_families
from tools.benchmarks.service import Region


@dataclass(frozen=True)
class BareAsyncpg:
    """Runs in this very process, so what it costs is counted with its database."""

    name: str
    operations: Mapping[str, Statement]
    pool: asyncpg.Pool
    database_pid: int

    async def run(self, operation: str, connections: int, bound: Bound) -> Sample:
        statement, sample = self.operations[operation], Sample()
        began = time.perf_counter()
        places = iter(range(bound.requests))

        async def one_after_the_other() -> None:
            for _ in places:
                if time.perf_counter() - began > bound.seconds:
                    return
                await self._once(statement, sample)

        await asyncio.gather(*(one_after_the_other() for _ in range(connections)))
        sample.seconds = time.perf_counter() - began
        return sample

    async def _once(self, statement: Statement, sample: Sample) -> None:
        given = statement.arguments()
        began = time.perf_counter()
        async with self.pool.acquire() as connection:
            row = await connection.fetchrow(statement.sql, *given)
        right = statement.right(given, row)
        sample.take(time.perf_counter() - began, right, lambda: f"{given} {row}")

    def cpu(self) -> float:
        return time.process_time() + cpu_of_families([self.database_pid])


async def _nothing(_: asyncpg.Connection) -> None:
    """As the service's pool: a connection goes back as it is."""


@asynccontextmanager
async def bare_asyncpg(region: Region) -> AsyncIterator[list[BareAsyncpg]]:
    """The statements of the service; and once more the create, as the service's whole one."""
    about = (region.organization_id, region.server.work)
    plain = {
        "get": statements.get(*about),
        "filter": statements.filter_(*about),
        "create": statements.create(*about),
    }
    whole = {"create": statements.create_and_tell(*about)}
    async with asyncpg.create_pool(
        region.database, min_size=POOL_SIZE, max_size=POOL_SIZE, reset=_nothing
    ) as pool:
        yield [
            BareAsyncpg("asyncpg", plain, pool, region.postgres),
            BareAsyncpg("asyncpg, and the log", whole, pool, region.postgres),
        ]
