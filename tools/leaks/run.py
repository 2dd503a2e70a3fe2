"""Runs a region under ordinary traffic and samples the resources of its processes."""

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
"""Local addresses of the connections; several, because unknown keys are limited by address."""
UNKNOWN_KEY_SHARE: Final = 0.01
_SETTLE_SECONDS: Final = 1.0
_UNBOUNDED: Final = 10**12


@dataclass(frozen=True, slots=True)
class Run:
    """The requests sent and the resources sampled."""

    sample: Sample
    samples: Samples


async def run(
    folder: Path, seconds: float, interval: float, unknown_key_share: float = UNKNOWN_KEY_SHARE
) -> Run:
    """Start a region in a folder and send it traffic for `seconds`.

    PostgreSQL's account must be able to traverse the folder.
    """
    with running_stack(folder, settings=ADMIN_PORTS) as stack:
        return await _under_traffic(stack, seconds, interval, unknown_key_share)


async def _under_traffic(
    stack: Stack, seconds: float, interval: float, unknown_key_share: float
) -> Run:
    parts = urlsplit(stack.url)
    works = [await with_group(work) for work in await tenants(stack, ORGANIZATIONS)]
    requests = traffic(works, unknown_key_share, Random(7))
    samples = Samples()
    async with aiohttp.ClientSession() as session:
        sampling = asyncio.create_task(
            Sampler(stack, session).watch(samples, seconds + _SETTLE_SECONDS, interval)
        )
        sample = await drive(
            (parts.hostname or "", parts.port or 0),
            CONNECTIONS,
            requests,
            Bound(_UNBOUNDED, seconds),
            sources=SOURCES,
        )
        await sampling
    return Run(sample, samples)
