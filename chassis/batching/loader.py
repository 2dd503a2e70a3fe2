"""Lets concurrent reads by key share an SQL statement."""

import asyncio
from collections.abc import (
    Awaitable,
    Callable,
    Coroutine,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from chassis.batching.limits import OWN_LOAD_KEYS, SHARED_LOAD_KEYS
from chassis.exceptions import copy_exception

Partition = TypeVar("Partition", bound=Hashable)
Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

LoadOne: TypeAlias = Callable[[Partition, Key], Awaitable[Value]]
LoadMany: TypeAlias = Callable[[Partition, Sequence[Key]], Awaitable[Mapping[Key, Value]]]
LoadShared: TypeAlias = Callable[
    [Sequence[tuple[Partition, Key]]], Awaitable[Mapping[tuple[Partition, Key], Value]]
]
Waiting: TypeAlias = dict[Key, list[asyncio.Future[Value]]]
"""The callers that wait for each key of a partition."""


@dataclass(frozen=True, slots=True)
class Sharing(Generic[Partition, Key, Value]):
    """How partitions share a call.

    `load` loads keys of several partitions. A key that is missing from its result is loaded with
    its partition's own call. So are all keys after an exception, because the keys or rows of one
    partition may have caused it. `common_errors` concern every partition and are not retried.
    """

    load: LoadShared[Partition, Key, Value]
    common_errors: tuple[type[Exception], ...]


class BatchLoader(Generic[Partition, Key, Value]):
    """Loads values by key; loads in the same event loop iteration share a call.

    `load_one` loads the first key of an iteration immediately, so a single load never waits.
    `load_many` loads the other keys of the iteration, in one call for each partition. Its result
    must have all of these keys. With `sharing`, partitions with few keys share a call, and a
    partition with many keys, which would delay the others, still has its own. A load never joins a
    call that is in progress, so it sees every write that was committed before the load.
    """

    def __init__(
        self,
        load_one: LoadOne[Partition, Key, Value],
        load_many: LoadMany[Partition, Key, Value],
        sharing: Sharing[Partition, Key, Value] | None = None,
    ) -> None:
        self._load_one = load_one
        self._load_many = load_many
        self._sharing = sharing
        self._batches: dict[Partition, Waiting[Key, Value]] | None = None
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
        if self._sharing is None or len(batches) == 1:
            for partition, waiting in batches.items():
                self._start(self._load(partition, waiting), [waiting])
            return
        for chunk in _chunks(batches):
            if len(chunk) == 1:
                ((partition, waiting),) = chunk.items()
                self._start(self._load(partition, waiting), [waiting])
            else:
                self._start(self._load_shared(self._sharing, chunk), chunk.values())

    def _start(
        self, load: Coroutine[Any, Any, None], batches: Iterable[Waiting[Key, Value]]
    ) -> None:
        task = asyncio.create_task(load)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        _cancel_with_callers(task, [value for waiting in batches for value in _futures(waiting)])

    async def _load(self, partition: Partition, waiting: Waiting[Key, Value]) -> None:
        try:
            loaded = await self._load_many(partition, list(waiting))
            values = {key: loaded[key] for key in waiting}
        except Exception as error:  # noqa: BLE001 - every caller gets a copy
            _fail(_futures(waiting), error)
        else:
            for key, futures in waiting.items():
                _resolve(futures, values[key])

    async def _load_shared(
        self,
        sharing: Sharing[Partition, Key, Value],
        batches: Mapping[Partition, Waiting[Key, Value]],
    ) -> None:
        keys = [(partition, key) for partition, waiting in batches.items() for key in waiting]
        try:
            loaded = await sharing.load(keys)
        except sharing.common_errors as error:
            for waiting in batches.values():
                _fail(_futures(waiting), error)
            return
        except Exception:  # noqa: BLE001 - the partition that caused it gets it from its own call
            loaded = {}
        missing: dict[Partition, Waiting[Key, Value]] = {}
        for partition, waiting in batches.items():
            for key, futures in waiting.items():
                if (partition, key) in loaded:
                    _resolve(futures, loaded[partition, key])
                else:
                    missing.setdefault(partition, {})[key] = futures
        for partition, waiting in missing.items():
            self._start(self._load(partition, waiting), [waiting])


def _chunks(
    batches: Mapping[Partition, Waiting[Key, Value]],
) -> Iterator[dict[Partition, Waiting[Key, Value]]]:
    """The partitions of each call."""
    chunk: dict[Partition, Waiting[Key, Value]] = {}
    size = 0
    for partition, waiting in batches.items():
        if len(waiting) >= OWN_LOAD_KEYS:
            yield {partition: waiting}
            continue
        if size + len(waiting) > SHARED_LOAD_KEYS:
            yield chunk
            chunk, size = {}, 0
        chunk[partition] = waiting
        size += len(waiting)
    if chunk:
        yield chunk


def _futures(waiting: Waiting[Key, Value]) -> Iterator[asyncio.Future[Value]]:
    return (future for futures in waiting.values() for future in futures)


def _fail(futures: Iterable[asyncio.Future[Value]], error: Exception) -> None:
    for future in futures:
        if not future.done():  # its caller has not been cancelled
            future.set_exception(copy_exception(error))  # each caller raises its own


def _resolve(futures: Iterable[asyncio.Future[Value]], value: Value) -> None:
    for future in futures:
        if not future.done():
            future.set_result(value)


def _cancel_with_callers(
    task: asyncio.Task[None], futures: Sequence[asyncio.Future[Value]]
) -> None:
    """Cancel a load, and so its statement, once all of its callers are cancelled."""

    def check(future: asyncio.Future[Value]) -> None:
        if future.cancelled() and all(each.done() for each in futures):
            task.cancel()

    for future in futures:
        future.add_done_callback(check)
