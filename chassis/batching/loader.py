"""Lets concurrent reads by key share an SQL statement."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeAlias, TypeVar

from chassis.exceptions import copy_exception

Partition = TypeVar("Partition", bound=Hashable)
Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

LoadOne: TypeAlias = Callable[[Partition, Key], Awaitable[Value]]
LoadMany: TypeAlias = Callable[[Partition, Sequence[Key]], Awaitable[Mapping[Key, Value]]]


class BatchLoader(Generic[Partition, Key, Value]):
    """Loads values by key; loads in the same event loop iteration share a call.

    `load_one` loads the first key of an iteration immediately, so a single load never waits.
    `load_many` loads the other keys of the iteration, in one call for each partition. Its result
    must have all of these keys. A load never joins a call that is in progress, so it sees every
    write that was committed before the load.
    """

    def __init__(
        self,
        load_one: LoadOne[Partition, Key, Value],
        load_many: LoadMany[Partition, Key, Value],
    ) -> None:
        self._load_one = load_one
        self._load_many = load_many
        self._batches: dict[Partition, dict[Key, list[asyncio.Future[Value]]]] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def get(self, partition: Partition, key: Key) -> Value:
        """Load a value. Raises the exceptions of `load_one` and `load_many`."""
        loop = asyncio.get_running_loop()
        if self._batches is None:
            self._batches = {}
            loop.call_soon(self._flush)
            return await self._load_one(partition, key)
        value: asyncio.Future[Value] = loop.create_future()
        self._batches.setdefault(partition, {}).setdefault(key, []).append(value)
        try:
            return await value
        finally:
            del value  # breaks a reference cycle: the exception's traceback has this frame

    def _flush(self) -> None:
        batches, self._batches = self._batches or {}, None
        for partition, pending in batches.items():
            task = asyncio.create_task(self._load(partition, pending))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            _cancel_with_callers(task, [value for values in pending.values() for value in values])

    async def _load(
        self, partition: Partition, pending: Mapping[Key, Sequence[asyncio.Future[Value]]]
    ) -> None:
        try:
            loaded = await self._load_many(partition, list(pending))
            values = {key: loaded[key] for key in pending}
        except Exception as error:  # noqa: BLE001 - every caller gets a copy
            for futures in pending.values():
                for future in _not_done(futures):
                    future.set_exception(copy_exception(error))  # each caller raises its own
        else:
            for key, futures in pending.items():
                for future in _not_done(futures):
                    future.set_result(values[key])


def _not_done(futures: Sequence[asyncio.Future[Value]]) -> list[asyncio.Future[Value]]:
    """The futures whose callers have not been cancelled."""
    return [future for future in futures if not future.done()]


def _cancel_with_callers(
    task: asyncio.Task[None], futures: Sequence[asyncio.Future[Value]]
) -> None:
    """Cancel a load, and so its statement, once all of its callers are cancelled."""

    def check(future: asyncio.Future[Value]) -> None:
        if future.cancelled() and all(each.done() for each in futures):
            task.cancel()

    for future in futures:
        future.add_done_callback(check)
