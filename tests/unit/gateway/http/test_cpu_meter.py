"""The CPU time of a request."""

import asyncio

import pytest

from gateway.http.cpu_meter import CpuMeter


def compute() -> int:
    return sum(range(200_000))


async def test_steps_are_counted_and_waiting_is_not():
    async def work() -> int:
        compute()
        await asyncio.sleep(0)
        return compute()

    async def wait(other: asyncio.Task[int]) -> None:
        await other  # its CPU time is not counted here

    meter, idle = CpuMeter(), CpuMeter()
    result = await meter.measure(work())
    await idle.measure(wait(asyncio.create_task(work())))

    assert result == sum(range(200_000))
    assert meter.seconds > 10 * idle.seconds > 0


async def test_an_exception_passes_and_its_time_is_counted():
    async def fail() -> None:
        compute()
        raise ValueError("no")

    meter = CpuMeter()
    with pytest.raises(ValueError, match="no"):
        await meter.measure(fail())

    assert meter.seconds > 0


async def test_cancellation_reaches_the_coroutine():
    cancelled = []

    async def wait() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        return ""

    async def measured() -> str:
        return await CpuMeter().measure(wait())

    task = asyncio.create_task(measured())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert cancelled == [True]


async def test_an_error_thrown_into_a_wait_can_be_handled():
    async def patient() -> str:
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            await asyncio.sleep(0)
        return "went on"

    assert await CpuMeter().measure(patient()) == "went on"
