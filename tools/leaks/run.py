"""A region under ordinary traffic for a while, and what its processes held meanwhile."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from tests.support.stack import Stack, running_stack
from tools.benchmarks.client import Bound, Sample, drive
from tools.leaks.samples import ADMIN_PORTS, Sampler, Samples
from tools.leaks.traffic import traffic, with_group
from tools.overload.tenants import tenants

CONNECTIONS: Final = 32
ORGANIZATIONS: Final = 8
SOURCES: Final = tuple(f"127.0.0.{number}" for number in range(2, 2 + CONNECTIONS))
"""Addresses that the connections come from: one that sends many made-up keys is slowed down."""
MADE_UP: Final = 0.01
_SETTLE_SECONDS: Final = 1.0
_UNBOUNDED: Final = 10**12


@dataclass(frozen=True, slots=True)
class Run:
    """The requests that were sent, and the resources that the processes held."""

    sample: Sample
    samples: Samples


async def run(folder: Path, seconds: float, interval: float, made_up: float = MADE_UP) -> Run:
    """Start a region below a folder and send it traffic for so long.

    PostgreSQL's account must be able to pass through the folder.
    """
    with running_stack(folder, settings=ADMIN_PORTS) as stack:
        return await _under_traffic(stack, seconds, interval, made_up)


async def _under_traffic(stack: Stack, seconds: float, interval: float, made_up: float) -> Run:
    parts = urlsplit(stack.url)
    works = [await with_group(work) for work in await tenants(stack, ORGANIZATIONS)]
    requests = traffic(works, made_up, Random(7))
    samples = Samples()
    async with aiohttp.ClientSession() as session:
        watching = asyncio.create_task(
            Sampler(stack, session).watch(samples, seconds + _SETTLE_SECONDS, interval)
        )
        sample = await drive(
            (parts.hostname or "", parts.port or 0),
            CONNECTIONS,
            requests,
            Bound(_UNBOUNDED, seconds),
            sources=SOURCES,
        )
        await watching
    return Run(sample, samples)
