"""When the outcomes of calls on a batch stream are flushed."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from cloudacademy.batch.v1 import batch_pb2

from chassis.batching.limits import STREAM_MIN_CONCURRENCY
from chassis.rpc.local_dispatcher import Result
from usersvc.rpc.batching.stream import BatchStream

LONG_SECONDS = 30.0
SHORT_SECONDS = 0.05


class Calls:
    """A dispatcher; the test ends each of its calls."""

    def __init__(self) -> None:
        self._ends: dict[str, asyncio.Event] = {}

    async def call(
        self, method: str, _request: bytes, _metadata: Mapping[str, str], _: Any
    ) -> Result:
        event = self._ends[method] = asyncio.Event()
        await event.wait()
        return Result()

    async def end(self, *numbers: int) -> None:
        """End the calls one after the other, each in a separate iteration of the event loop."""
        for number in numbers:
            self._ends[str(number)].set()
            for _ in range(10):
                await asyncio.sleep(0)

    async def wait_until_running(self, *numbers: int) -> None:
        """Wait until these calls run."""
        async with asyncio.timeout(LONG_SECONDS):
            while not all(str(number) in self._ends for number in numbers):  # noqa: ASYNC110
                await asyncio.sleep(0)


class Caller:
    """The caller of a batch stream, and the numbers in the messages that it has received."""

    def __init__(self) -> None:
        self.calls = Calls()
        self.messages: list[list[int]] = []
        self._received = asyncio.Event()
        self._sent: asyncio.Queue[batch_pb2.StreamCallsRequest] = asyncio.Queue()

    async def send(self, *numbers: int) -> None:
        """Send a message with these calls, and wait until they run."""
        calls = [batch_pb2.Call(number=n, method=str(n), timeout_ms=60_000) for n in numbers]
        await self._sent.put(batch_pb2.StreamCallsRequest(calls=calls))
        await self.calls.wait_until_running(*numbers)

    async def wait_for_messages(self, count: int) -> None:
        """Wait until this number of messages has arrived."""
        async with asyncio.timeout(LONG_SECONDS):
            while len(self.messages) < count:
                self._received.clear()
                await self._received.wait()

    async def requests(self) -> AsyncIterator[batch_pb2.StreamCallsRequest]:
        while True:
            yield await self._sent.get()

    async def read(self, responses: AsyncGenerator[batch_pb2.StreamCallsResponse, None]) -> None:
        async for response in responses:
            self.messages.append(sorted(outcome.number for outcome in response.outcomes))
            self._received.set()


@asynccontextmanager
async def batch_stream(linger_seconds: float) -> AsyncIterator[Caller]:
    caller = Caller()
    stream = BatchStream(caller.calls, None, linger_seconds)
    responses = stream.responses(caller.requests(), asyncio.Event())
    reading = asyncio.create_task(caller.read(responses))
    await asyncio.sleep(0)
    yield caller
    reading.cancel()
    await asyncio.wait([reading])
    await responses.aclose()


MANY = tuple(range(1, STREAM_MIN_CONCURRENCY + 3))


async def test_outcomes_of_few_calls_do_not_linger():
    few = MANY[:STREAM_MIN_CONCURRENCY]
    async with batch_stream(LONG_SECONDS) as caller:
        await caller.send(*few)
        await caller.calls.end(*few)

        assert caller.messages == [[number] for number in few]


async def test_outcomes_of_many_calls_linger_until_none_runs():
    async with batch_stream(LONG_SECONDS) as caller:
        await caller.send(*MANY)
        await caller.calls.end(*MANY[:-1])
        assert caller.messages == []
        await caller.calls.end(MANY[-1])
        assert caller.messages == [list(MANY)]

        await caller.send(101)  # few calls run again
        await caller.send(102)
        await caller.calls.end(101, 102)
        assert caller.messages[1:] == [[101], [102]]


async def test_outcomes_beside_a_slow_call_are_flushed_after_linger_time():
    slow, *quick = MANY
    async with batch_stream(SHORT_SECONDS) as caller:
        await caller.send(slow, *quick)
        await caller.calls.end(*quick)
        await caller.wait_for_messages(1)

        assert caller.messages == [quick]


async def test_outcomes_stop_lingering_after_a_batch_of_one():
    """A slow call runs all the time, and single calls run beside it."""
    slow, *quick = MANY
    async with batch_stream(SHORT_SECONDS) as caller:
        await caller.send(slow, *quick)
        await caller.calls.end(*quick)
        await caller.wait_for_messages(1)
        await caller.send(10)
        await caller.calls.end(10)
        assert caller.messages == [quick]  # the outcome lingers, but no other joins its batch
        await caller.wait_for_messages(2)
        assert caller.messages == [quick, [10]]

        await caller.send(11)
        await caller.calls.end(11)
        assert caller.messages == [quick, [10], [11]]
