"""Waiting for conditions with a deadline, because tests must not sleep for a fixed time."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
DEADLINE_SECONDS = 60.0
"""The time that a condition may take on a busy machine; a passing test needs far less."""
POLL_SECONDS = 0.01


def describe(condition: object, what: object) -> str:
    """Name the condition that did not become true; `what` may be a function that reads a log."""
    return str(what() if callable(what) else what or condition)


async def eventually(
    condition: Callable[[], T | Awaitable[T]],
    seconds: float = DEADLINE_SECONDS,
    what: str | Callable[[], str] = "",
) -> T:
    """Return the first true value of the condition; fail after `seconds` without one.

    The condition may be a coroutine function. The event loop runs between two evaluations.
    """
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        result: T = await value if inspect.isawaitable(value) else value
        if result:
            return result
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {describe(condition, what)}"
        await asyncio.sleep(POLL_SECONDS)


def wait_until(
    condition: Callable[[], T],
    seconds: float = DEADLINE_SECONDS,
    what: str | Callable[[], str] = "",
) -> T:
    """Return the first true value of the condition like `eventually`, for blocking code."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {describe(condition, what)}"
        time.sleep(POLL_SECONDS)
    return value


async def quiescent(
    reading: Callable[[], T], quiet_seconds: float = 0.2, seconds: float = DEADLINE_SECONDS
) -> T:
    """Return a reading once it has not changed for `quiet_seconds`.

    Use it to wait until nothing more happens, which no event announces.
    """
    deadline = time.monotonic() + seconds
    last, since = reading(), time.monotonic()
    while time.monotonic() - since < quiet_seconds:
        await asyncio.sleep(POLL_SECONDS)
        if (now := reading()) != last:
            last, since = now, time.monotonic()
        assert time.monotonic() < deadline, f"still changes after {seconds:g} s: {last}"
    return last


def wait_until_quiet(reading: Callable[[], T], quiet_seconds: float) -> T:
    """Return a reading once it has not changed for `quiet_seconds`, for blocking code."""
    last = reading()
    while True:
        time.sleep(quiet_seconds)
        if (now := reading()) == last:
            return now
        last = now


async def turn_loop(turns: int = 3) -> None:
    """Let callbacks and tasks that are ready run, without waiting."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def pace(seconds: float) -> None:
    """Wait for a fixed time where the time itself is part of the test.

    Examples: a slow client, a server that answers late, a time limit that must pass.
    """
    await asyncio.sleep(seconds)


def pause(seconds: float) -> None:
    """Wait for a fixed time like `pace`, for blocking code."""
    time.sleep(seconds)
