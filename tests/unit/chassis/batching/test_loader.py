"""BatchLoader: which loads share a call, and what a failure of a shared call affects."""

import asyncio
from collections.abc import Mapping, Sequence

from chassis.batching.limits import OWN_LOAD_KEYS, SHARED_LOAD_KEYS
from chassis.batching.loader import BatchLoader, Sharing

POISON = -1
"""A key that no call can load."""


class TableError(Exception):
    """The keys of one partition cannot be loaded."""


class OutageError(Exception):
    """Nothing can be loaded."""


class Table:
    """Loads keys as texts `partition/key`, and records its calls by partition."""

    def __init__(self) -> None:
        self.own: list[str] = []
        self.shared: list[list[str]] = []
        self.is_down = False
        self.missing: set[int] = set()
        """Keys that only a partition's own call loads."""
        self.may_load_missing = asyncio.Event()
        self.may_load_missing.set()
        self.began = asyncio.Event()
        self.may_end: asyncio.Event | None = None
        self.cancelled = 0

    def loader(self, *, shared: bool = True) -> BatchLoader[str, int, str]:
        sharing = Sharing(self.load_across, (OutageError,)) if shared else None
        return BatchLoader(self.load_one, self.load_many, sharing)

    async def load_one(self, partition: str, key: int) -> str:
        return (await self.load_many(partition, [key]))[key]

    async def load_many(self, partition: str, keys: Sequence[int]) -> Mapping[int, str]:
        self.own.append(partition)
        if self.missing.intersection(keys):
            await self.may_load_missing.wait()
        await self._check(keys)
        return {key: f"{partition}/{key}" for key in keys}

    async def load_across(self, wanted: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], str]:
        self.shared.append([partition for partition, _ in wanted])
        await self._check([key for _, key in wanted])
        return {each: f"{each[0]}/{each[1]}" for each in wanted if each[1] not in self.missing}

    async def _check(self, keys: Sequence[int]) -> None:
        self.began.set()
        try:
            if self.may_end is not None:
                await self.may_end.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.is_down:
            raise OutageError
        if POISON in keys:
            raise TableError


async def load(loader: BatchLoader[str, int, str], *wanted: tuple[str, int]) -> list[object]:
    """The values, or exceptions, of concurrent loads after one that has its own call."""
    loads = [loader.get(partition, key) for partition, key in (("first", 0), *wanted)]
    return (await asyncio.gather(*loads, return_exceptions=True))[1:]


async def test_partitions_with_few_keys_share_a_call():
    table = Table()

    loaded = await load(table.loader(), ("a", 1), ("b", 1), ("a", 2), ("c", 3), ("b", 1))

    assert loaded == ["a/1", "b/1", "a/2", "c/3", "b/1"]
    assert (table.own, table.shared) == (["first"], [["a", "a", "b", "c"]])


async def test_partition_with_many_keys_has_its_own_call():
    table = Table()
    many = [("busy", key) for key in range(OWN_LOAD_KEYS)]

    loaded = await load(table.loader(), ("a", 1), *many, ("b", 2))

    assert loaded == ["a/1", *(f"busy/{key}" for key in range(OWN_LOAD_KEYS)), "b/2"]
    assert (table.own, table.shared) == (["first", "busy"], [["a", "b"]])


async def test_single_partition_has_its_own_call():
    table = Table()

    assert await load(table.loader(), ("a", 1), ("a", 2)) == ["a/1", "a/2"]
    assert (table.own, table.shared) == (["first", "a"], [])


async def test_shared_call_has_a_limited_number_of_keys():
    table = Table()
    wanted = [(f"p{number}", key) for number in range(SHARED_LOAD_KEYS) for key in (1, 2, 3)]

    loaded = await load(table.loader(), *wanted)

    assert loaded == [f"{partition}/{key}" for partition, key in wanted]
    assert max(map(len, table.shared)) <= SHARED_LOAD_KEYS
    assert len(table.shared) <= 5


async def test_partitions_never_share_a_call_without_sharing():
    table = Table()

    assert await load(table.loader(shared=False), ("a", 1), ("b", 1)) == ["a/1", "b/1"]
    assert (table.own, table.shared) == (["first", "a", "b"], [])


async def test_failure_of_a_shared_call_reaches_only_its_partition():
    table = Table()

    loaded = await load(table.loader(), ("a", 1), ("bad", POISON), ("bad", 2), ("b", 1))

    assert [loaded[0], loaded[3]] == ["a/1", "b/1"]
    assert [type(each) for each in loaded[1:3]] == [TableError] * 2
    assert (table.own, len(table.shared)) == (["first", "a", "bad", "b"], 1)


async def test_failure_that_concerns_all_partitions_is_not_retried():
    table = Table()
    table.is_down = True

    loaded = await load(table.loader(), ("a", 1), ("b", 1))

    assert [type(each) for each in loaded] == [OutageError] * 2
    assert loaded[0] is not loaded[1]
    assert (table.own, len(table.shared)) == (["first"], 1)


async def test_key_missing_from_a_shared_call_is_loaded_by_its_own():
    table = Table()
    table.missing = {7}

    loaded = await load(table.loader(), ("a", 1), ("a", 7), ("b", 7), ("c", 1))

    assert loaded == ["a/1", "a/7", "b/7", "c/1"]
    assert (table.own, len(table.shared)) == (["first", "a", "b"], 1)


async def test_other_partitions_do_not_wait_for_missing_keys():
    table = Table()
    table.missing = {7}
    loader = table.loader()
    table.may_load_missing.clear()
    _, own, other = [
        asyncio.create_task(loader.get(partition, key))
        for partition, key in (("first", 0), ("a", 7), ("b", 1))
    ]
    assert await other == "b/1"

    assert not own.done()
    table.may_load_missing.set()
    assert await own == "a/7"


async def test_shared_call_is_cancelled_with_its_last_caller():
    table = Table()
    loader = table.loader()
    await asyncio.create_task(loader.get("first", 0))
    table.may_end = asyncio.Event()
    table.began.clear()
    loads = [asyncio.create_task(loader.get(each, 1)) for each in ("first", "a", "b")]
    while not table.shared:
        await table.began.wait()
        await asyncio.sleep(0)
    loads[1].cancel()
    await asyncio.wait([loads[1]])
    assert table.cancelled == 0

    loads[2].cancel()
    await asyncio.wait([loads[2]])
    await asyncio.sleep(0)

    assert table.cancelled == 1
    table.may_end.set()
    assert await loads[0] == "first/1"
