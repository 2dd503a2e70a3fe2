"""FlushTimer: a batch is flushed once, immediately or after it has lingered."""

import asyncio

from chassis.batching.flush_timer import FlushTimer

LONG_SECONDS = 30.0


class Batches:
    """Counts flushes, and lets a test wait for one."""

    def __init__(self) -> None:
        self.count = 0
        self.flushed = asyncio.Event()

    def flush(self) -> None:
        self.count += 1
        self.flushed.set()


async def test_lingering_twice_flushes_once():
    batches = Batches()
    timer = FlushTimer(batches.flush, 0.001)
    timer.linger()
    timer.linger()
    assert timer.is_lingering
    async with asyncio.timeout(LONG_SECONDS):
        await batches.flushed.wait()
    assert not timer.is_lingering
    assert batches.count == 1


async def test_an_immediate_flush_ends_lingering():
    batches = Batches()
    timer = FlushTimer(batches.flush, 0.001)
    timer.linger()
    timer.flush()
    assert (batches.count, timer.is_lingering) == (1, False)
    batches.flushed.clear()
    timer.linger()
    async with asyncio.timeout(LONG_SECONDS):
        await batches.flushed.wait()
    assert batches.count == 2


async def test_a_cancelled_timer_does_not_flush():
    batches, later = Batches(), Batches()
    timer = FlushTimer(batches.flush, 0.001)
    timer.linger()
    timer.cancel()
    assert not timer.is_lingering
    FlushTimer(later.flush, 0.002).linger()
    async with asyncio.timeout(LONG_SECONDS):
        await later.flushed.wait()
    assert batches.count == 0
