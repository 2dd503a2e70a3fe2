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
    """Runs one call at a time for each key; callers with the same key share its outcome.

    The call continues when a caller is cancelled, because others may wait for it. Each caller
    raises its own copy of an exception. To that end the shared task returns the exception: if the
    task raised it, all callers would raise the same object.
    """

    def __init__(self) -> None:
        self._running: dict[Key, asyncio.Task[Value | _Failed]] = {}

    async def run(self, key: Key, function: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        """Return the outcome of the call in progress for `key`; without one, call `function`."""
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
    except Exception as error:  # noqa: BLE001 - each caller raises a copy
        return _Failed(error)
