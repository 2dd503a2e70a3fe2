"""A long task leaves most of a busy event loop to others, and runs on when it is idle."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

from chassis.concurrency.loop_share import LoopShare

SHARE = 0.1
STEP_SECONDS = 0.002


def work(seconds: float) -> float:
    """Use the event loop's thread for some CPU time. Returns the time used."""
    began = time.thread_time()
    while time.thread_time() - began < seconds:
        pass
    return time.thread_time() - began


async def short_calls() -> None:
    while True:
        work(0.0005)
        await asyncio.sleep(0)


async def paced_steps(share: LoopShare, number: int) -> float:
    used = 0.0
    for _ in range(number):
        step = work(STEP_SECONDS)
        used += step
        await share.rest(step)
    return used


async def share_of_a_busy_loop(*long_tasks: Coroutine[Any, Any, float]) -> float:
    """The share of the time that long tasks use beside many short calls.

    Other processes on the machine only lower it.
    """
    others = asyncio.create_task(short_calls())
    began = time.monotonic()
    used = sum(await asyncio.gather(*long_tasks))
    others.cancel()
    return used / (time.monotonic() - began)


async def test_long_task_keeps_to_its_share_of_a_busy_loop():
    assert await share_of_a_busy_loop(paced_steps(LoopShare(SHARE), 20)) < 2 * SHARE


async def test_two_long_tasks_have_the_share_together():
    share = LoopShare(SHARE)
    both = (paced_steps(share, 10), paced_steps(share, 10))
    assert await share_of_a_busy_loop(*both) < 2 * SHARE


async def test_long_task_rests_once_for_each_step_on_an_idle_loop(monkeypatch):
    sleep, rests = asyncio.sleep, 0

    async def counted(seconds: float) -> None:
        nonlocal rests
        rests += 1
        await sleep(seconds)

    monkeypatch.setattr(asyncio, "sleep", counted)
    await paced_steps(LoopShare(SHARE), 20)
    # A full rest takes about 18 sleeps. Some intervals may be busy with work of the interpreter.
    assert rests < 6 * 20
