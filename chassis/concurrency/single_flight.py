"""Concurrent calls with the same key share one call."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from chassis.exceptions import copy_exception

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class _Failed:
    error: Exception


class SingleFlight(Generic[Key, Value]):
    """Makes one call at a time for each key; others with that key wait for its outcome.

    The call goes on when a caller gives up, since others may wait for it. Each caller gets an
    exception of its own: the call returns its exception instead of raising it, because a task
    that raises gives the same object to all who await it.
    """

    def __init__(self) -> None:
        self._running: dict[Key, asyncio.Task[Value | _Failed]] = {}

    async def run(self, key: Key, function: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        """The outcome of the running call for a key; `function` starts one if none is running."""
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(_outcome(function))
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key, None))
        outcome = await asyncio.shield(task)
        if isinstance(outcome, _Failed):
            raise copy_exception(outcome.error)
        return outcome


async def _outcome(function: Callable[[], Coroutine[Any, Any, Value]]) -> Value | _Failed:
    try:
        return await function()
    except Exception as error:  # noqa: BLE001 - it is raised for each caller
        return _Failed(error)
