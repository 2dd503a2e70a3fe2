"""BatchWriter: concurrent writes share calls, and each has its own result."""

import asyncio
from collections.abc import Sequence

import pytest

from chassis.batching.writer import BatchWriter
from tests.support.waiting import quiescent


class SeparableError(Exception):
    pass


class AbandonedError(Exception):
    pass


class Target:
    """Records calls. Refuses the item -1, and fails with any other exception on the item 0."""

    def __init__(self, size: int = 3) -> None:
        self.calls: list[list[int]] = []
        self.blocked: asyncio.Event | None = None
        self.ended: list[list[int]] = []
        self.writer = BatchWriter(
            self.write_one,
            self.write_many,
            size=size,
            separable=SeparableError,
            cancelled=AbandonedError,
        )

    async def write_one(self, item: int) -> int:
        (result,) = await self.write_many([item])
        return result

    async def write_many(self, items: Sequence[int]) -> Sequence[int]:
        self.calls.append(list(items))
        try:
            await (self.blocked.wait() if self.blocked else asyncio.sleep(0))
            if -1 in items:
                raise SeparableError
            if 0 in items:
                raise OSError
            return [each * 10 for each in items]
        finally:
            self.ended.append(list(items))


async def write(target: Target, *items: int, partition: str = "a") -> list[object]:
    writes = (target.writer.write(partition, each) for each in items)
    return await asyncio.gather(*writes, return_exceptions=True)


async def test_single_write_runs_alone():
    target = Target()
    assert await write(target, 1) == [10]
    assert await write(target, 2) == [20]
    assert target.calls == [[1], [2]]


async def test_writes_of_an_iteration_share_calls_up_to_the_size():
    target = Target(size=3)
    assert await write(target, *range(1, 9)) == [each * 10 for each in range(1, 9)]
    assert target.calls == [[1], [2, 3, 4], [5, 6, 7], [8]]


async def test_partitions_share_no_call():
    target = Target()
    results = await asyncio.gather(
        write(target, 1, 2, 3), write(target, 4, 5, partition="b"), write(target, 6)
    )
    assert results == [[10, 20, 30], [40, 50], [60]]
    assert sorted(target.calls) == [[1], [2, 3, 6], [4, 5]]


async def test_separable_failure_affects_only_its_item():
    target = Target(size=4)
    first, second, refused, fourth = await write(target, 1, 2, -1, 4)
    assert (first, second, fourth) == (10, 20, 40)
    assert isinstance(refused, SeparableError)
    assert target.calls == [[1], [2, -1, 4], [2], [-1], [4]]


async def test_other_failure_is_raised_for_each_item_as_its_own_exception():
    target = Target()
    first, *failures = await write(target, 1, 0, 3)
    assert first == 10
    assert [type(each) for each in failures] == [OSError, OSError]
    assert failures[0] is not failures[1]
    assert target.calls == [[1], [0, 3]]


async def test_cancelled_write_cancels_its_call_and_ends_after_it():
    target = Target(size=2)
    target.blocked = asyncio.Event()
    tasks = [asyncio.create_task(target.writer.write("a", each)) for each in range(1, 6)]
    await quiescent(lambda: len(target.calls))  # all calls wait

    tasks[1].cancel()
    cancelled, other = await asyncio.gather(*tasks[1:3], return_exceptions=True)
    assert isinstance(cancelled, asyncio.CancelledError)
    assert isinstance(other, AbandonedError)
    assert target.ended == [[2, 3]]

    target.blocked.set()
    assert await asyncio.gather(tasks[0], *tasks[3:]) == [10, 40, 50]


async def test_cancelled_write_leaves_separate_calls_alone():
    target = Target(size=3)
    tasks = [asyncio.create_task(target.writer.write("a", each)) for each in (1, 2, -1, 4)]
    await tasks[0]
    target.blocked = asyncio.Event()
    await quiescent(lambda: len(target.calls))  # the separate calls wait

    tasks[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[1]
    target.blocked.set()
    refused, last = await asyncio.gather(*tasks[2:], return_exceptions=True)

    assert isinstance(refused, SeparableError)
    assert last == 40


async def test_write_cancelled_before_the_flush_is_not_written():
    target = Target()
    tasks = [asyncio.create_task(target.writer.write("a", each)) for each in (1, 2, 3)]
    asyncio.get_running_loop().call_soon(tasks[1].cancel)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert (results[0], results[2]) == (10, 30)
    assert isinstance(results[1], asyncio.CancelledError)
    assert 2 not in [item for call in target.calls for item in call]


async def test_cancellation_during_a_failure_leaves_separate_calls_alone():
    target = Target()
    target.blocked = asyncio.Event()
    tasks = [asyncio.create_task(target.writer.write("a", each)) for each in (9, 1, -1, 2)]
    await quiescent(lambda: len(target.calls))
    target.blocked.set()  # the call fails before the cancelled caller runs again
    target.blocked = asyncio.Event()  # the separate calls wait
    tasks[1].cancel()
    await quiescent(lambda: len(target.calls))
    target.blocked.set()

    async with asyncio.timeout(10):
        first, cancelled, refused, written = await asyncio.gather(*tasks, return_exceptions=True)

    assert (first, written) == (90, 20)
    assert isinstance(cancelled, asyncio.CancelledError)
    assert isinstance(refused, SeparableError)
    assert target.calls == [[9], [1, -1, 2], [-1], [2]]
