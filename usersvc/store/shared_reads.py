"""Reads that come at the same moment share a statement."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeAlias, TypeVar
from uuid import UUID

from chassis.concurrency.exceptions import copy_of

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

One: TypeAlias = Callable[[UUID, Key], Awaitable[Value]]
Many: TypeAlias = Callable[[UUID, Sequence[Key]], Awaitable[Mapping[Key, Value]]]


class SharedReads(Generic[Key, Value]):
    """Reads what an organization has by keys, those of one turn of the event loop together.

    The first of a turn is read by `one` at once, so whoever comes alone waits for nobody. The
    others of the turn, an organization's by one statement, are read by `many`. Nobody shares a
    statement that had begun before they asked, so each sees all that was written by then.
    """

    def __init__(self, one: One[Key, Value], many: Many[Key, Value]) -> None:
        self._one = one
        self._many = many
        self._gathered: dict[UUID, dict[Key, list[asyncio.Future[Value]]]] | None = None
        self._reading: set[asyncio.Task[None]] = set()

    async def get(self, organization_id: UUID, key: Key) -> Value:
        """What a key leads to. Refuses as `one` and `many` do."""
        loop = asyncio.get_running_loop()
        if self._gathered is None:
            self._gathered = {}
            loop.call_soon(self._begin)
            return await self._one(organization_id, key)
        value: asyncio.Future[Value] = loop.create_future()
        self._gathered.setdefault(organization_id, {}).setdefault(key, []).append(value)
        try:
            return await value
        finally:
            del value  # it may hold the exception whose traceback holds this frame: a cycle

    def _begin(self) -> None:
        gathered, self._gathered = self._gathered or {}, None
        for organization_id, waiting in gathered.items():
            task = asyncio.create_task(self._read(organization_id, waiting))
            self._reading.add(task)
            task.add_done_callback(self._reading.discard)
            _end_with(task, [future for futures in waiting.values() for future in futures])

    async def _read(
        self, organization_id: UUID, waiting: Mapping[Key, Sequence[asyncio.Future[Value]]]
    ) -> None:
        try:
            found = await self._many(organization_id, list(waiting))
            values = {key: found[key] for key in waiting}
        except Exception as error:  # noqa: BLE001 - each of them has to be told
            for futures in waiting.values():
                for future in _unanswered(futures):
                    future.set_exception(copy_of(error))  # raised once each
        else:
            for key, futures in waiting.items():
                for future in _unanswered(futures):
                    future.set_result(values[key])


def _unanswered(futures: Sequence[asyncio.Future[Value]]) -> list[asyncio.Future[Value]]:
    """All but those whose caller has given up."""
    return [future for future in futures if not future.done()]


def _end_with(task: asyncio.Task[None], futures: Sequence[asyncio.Future[Value]]) -> None:
    """Cancel a read, and its statement, once all who asked have given up."""

    def look(future: asyncio.Future[Value]) -> None:
        if future.cancelled() and all(each.done() for each in futures):
            task.cancel()

    for future in futures:
        future.add_done_callback(look)
