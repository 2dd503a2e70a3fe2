"""A lower bound: the same statements over asyncpg, with a pool of the service's size."""

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
    """Runs in this process. Its cost is the CPU time of this process and of the database."""

    name: str
    operations: Mapping[str, Statement]
    pool: asyncpg.Pool
    database_pid: int

    async def run(self, operation: str, connections: int, bound: Bound) -> Sample:
        statement, sample = self.operations[operation], Sample()
        began = time.perf_counter()
        remaining = iter(range(bound.requests))

        async def run_connection() -> None:
            for _ in remaining:
                if time.perf_counter() - began > bound.seconds:
                    return
                await self._once(statement, sample)

        await asyncio.gather(*(run_connection() for _ in range(connections)))
        sample.seconds = time.perf_counter() - began
        return sample

    async def _once(self, statement: Statement, sample: Sample) -> None:
        arguments = statement.arguments()
        began = time.perf_counter()
        async with self.pool.acquire() as connection:
            row = await connection.fetchrow(statement.sql, *arguments)
        is_correct = statement.check(arguments, row)
        sample.record(time.perf_counter() - began, is_correct, lambda: f"{arguments} {row}")

    def cpu(self) -> float:
        return time.process_time() + cpu_of_families([self.database_pid])


async def _skip_reset(_: asyncpg.Connection) -> None:
    """As in the service's pool, a connection is returned without a reset."""


@asynccontextmanager
async def bare_asyncpg(region: Region) -> AsyncIterator[list[BareAsyncpg]]:
    """The statements of the service; `create` once without and once with the change log."""
    context = (region.organization_id, region.server.work)
    plain = {
        "get": statements.get(*context),
        "filter": statements.filter_(*context),
        "create": statements.create(*context),
    }
    with_log = {"create": statements.create_with_change(*context)}
    async with asyncpg.create_pool(
        region.database, min_size=POOL_SIZE, max_size=POOL_SIZE, reset=_skip_reset
    ) as pool:
        yield [
            BareAsyncpg("asyncpg", plain, pool, region.postgres),
            BareAsyncpg("asyncpg, and the log", with_log, pool, region.postgres),
        ]
