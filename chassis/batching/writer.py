"""Lets concurrent writes share a transaction."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeAlias, TypeVar

from chassis.exceptions import copy_exception

Item = TypeVar("Item")
Result = TypeVar("Result")

WriteOne: TypeAlias = Callable[[Item], Awaitable[Result]]
WriteMany: TypeAlias = Callable[[Sequence[Item]], Awaitable[Sequence[Result]]]


class BatchWriter(Generic[Item, Result]):
    """Writes items; writes in the same event loop iteration share calls.

    `write_one` writes the first item of an iteration immediately, so a single write never waits.
    `write_many` writes the others: a call takes up to `size` items of one partition, writes all or
    none of them, and returns their results in order. If it raises `separable`, it has written none.
    A separate call of `write_one` then writes each item, so that each has its own result or
    exception. Any other exception of `write_many` is raised for each item.

    Cancelling a write cancels the call that writes its item, so that the item is not written later.
    The other items of that call fail with `cancelled`: it is unknown whether they were written.
    """

    def __init__(
        self,
        write_one: WriteOne[Item, Result],
        write_many: WriteMany[Item, Result],
        *,
        size: int,
        separable: type[Exception],
        cancelled: Callable[[], Exception],
    ) -> None:
        self._write_one = write_one
        self._write_many = write_many
        self._size = size
        self._separable = separable
        self._cancelled = cancelled
        self._pending: dict[Hashable, list[_Write[Item, Result]]] | None = None

    async def write(self, partition: Hashable, item: Item) -> Result:
        """Write an item. After a cancellation, wait until the call that writes it has ended."""
        loop = asyncio.get_running_loop()
        if self._pending is None:
            self._pending = {}
            loop.call_soon(self._flush)
            return await self._write_one(item)
        write = _Write[Item, Result](item, loop.create_future())
        self._pending.setdefault(partition, []).append(write)
        try:
            return await write.result
        except asyncio.CancelledError:
            await write.cancel()
            raise
        finally:
            del write  # breaks a reference cycle: the exception's traceback refers to this frame

    def _flush(self) -> None:
        partitions, self._pending = self._pending or {}, None
        for pending in partitions.values():
            writes = [each for each in pending if not each.result.done()]
            for start in range(0, len(writes), self._size):
                part = writes[start : start + self._size]
                task = asyncio.create_task(self._run(part))
                for each in part:
                    each.task = task

    async def _run(self, writes: "Sequence[_Write[Item, Result]]") -> None:
        if len(writes) == 1:
            await self._run_one(writes[0])
            return
        try:
            results = await self._write_many([each.item for each in writes])
        except self._separable:
            await self._run_separately(writes)
        except asyncio.CancelledError:
            for each in writes:
                each.fail(self._cancelled())
            raise
        except Exception as error:  # noqa: BLE001 - every caller gets a copy
            for each in writes:
                each.fail(copy_exception(error))
        else:
            for each, result in zip(writes, results, strict=True):
                each.succeed(result)

    async def _run_separately(self, writes: "Sequence[_Write[Item, Result]]") -> None:
        async with asyncio.TaskGroup() as tasks:
            for each in writes:
                # The result is done if the caller was cancelled. Its item was not written, and it
                # must not cancel this task, which writes the items of the other callers.
                is_wanted = not each.result.done()
                each.task = tasks.create_task(self._run_one(each)) if is_wanted else None

    async def _run_one(self, write: "_Write[Item, Result]") -> None:
        try:
            result = await self._write_one(write.item)
        except Exception as error:  # noqa: BLE001 - the caller gets it
            write.fail(error)
        else:
            write.succeed(result)


class _Write(Generic[Item, Result]):
    """An item, its future result, and the task that writes it, once there is one."""

    __slots__ = ("item", "result", "task")

    def __init__(self, item: Item, result: "asyncio.Future[Result]") -> None:
        self.item = item
        self.result = result
        self.task: asyncio.Task[None] | None = None

    def succeed(self, result: Result) -> None:
        if not self.result.done():  # its caller was not cancelled
            self.result.set_result(result)

    def fail(self, error: Exception) -> None:
        if not self.result.done():
            self.result.set_exception(error)

    async def cancel(self) -> None:
        """Cancel the call and wait for its end."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait([self.task])
