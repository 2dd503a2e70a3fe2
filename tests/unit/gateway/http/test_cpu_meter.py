"""The CPU time of a request."""

import asyncio

import pytest

from gateway.http.cpu_meter import CpuMeter


def compute() -> int:
    return sum(range(200_000))


async def test_cpu_meter_counts_steps_but_not_waiting():
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


async def test_cpu_meter_passes_an_exception_and_counts_its_time():
    async def fail() -> None:
        compute()
        raise ValueError("no")

    meter = CpuMeter()
    with pytest.raises(ValueError, match="no"):
        await meter.measure(fail())

    assert meter.seconds > 0


async def test_cancellation_reaches_the_measured_coroutine():
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


async def test_measured_coroutine_can_handle_a_timeout():
    async def patient() -> str:
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            await asyncio.sleep(0)
        return "went on"

    assert await CpuMeter().measure(patient()) == "went on"
