"""When the outcomes of calls that share a stream are sent: alone, or in company."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from cloudacademy.batch.v1 import batch_pb2

import usersvc.rpc.batching.stream
from chassis.rpc.local_dispatcher import Ended
from tests.support.waiting import eventually, turn_loop
from usersvc.rpc.batching.stream import FEW_CALLS, Conversation

LONG = 30.0


class Calls:
    """Calls that each end when they are told to."""

    def __init__(self) -> None:
        self._ends: dict[str, asyncio.Event] = {}

    async def run(
        self, method: str, _request: bytes, _metadata: Mapping[str, str], _: Any
    ) -> Ended:
        event = self._ends[method] = asyncio.Event()
        await event.wait()
        return Ended()

    async def end(self, *numbers: int) -> None:
        """One after the other, each in a moment of its own."""
        for number in numbers:
            self._ends[str(number)].set()
            for _ in range(10):
                await asyncio.sleep(0)


class Stream:
    """A caller's stream, and what came back on it."""

    def __init__(self) -> None:
        self.calls = Calls()
        self.messages: list[list[int]] = []
        self._sent: asyncio.Queue[batch_pb2.ConverseRequest] = asyncio.Queue()

    async def send(self, *numbers: int) -> None:
        """One message with such calls."""
        calls = [batch_pb2.Call(number=n, method=str(n), timeout_ms=10_000) for n in numbers]
        await self._sent.put(batch_pb2.ConverseRequest(calls=calls))
        await turn_loop(10)

    async def requests(self) -> AsyncIterator[batch_pb2.ConverseRequest]:
        while True:
            yield await self._sent.get()

    async def read(self, responses: AsyncGenerator[batch_pb2.ConverseResponse, None]) -> None:
        async for response in responses:
            self.messages.append(sorted(each.number for each in response.outcomes))


@asynccontextmanager
async def conversing() -> AsyncIterator[Stream]:
    stream = Stream()
    held = Conversation(stream.calls, None).hold(stream.requests(), asyncio.Event())
    reading = asyncio.create_task(stream.read(held))
    await asyncio.sleep(0)
    yield stream
    reading.cancel()
    await asyncio.wait([reading])
    await held.aclose()


MANY = tuple(range(1, FEW_CALLS + 3))


async def test_few_wait_for_nobody(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(usersvc.rpc.batching.stream, "GATHER_SECONDS", LONG)
    few = MANY[:FEW_CALLS]
    async with conversing() as stream:
        await stream.send(*few)
        await stream.calls.end(*few)

        assert stream.messages == [[number] for number in few]


async def test_those_in_company_wait_for_each_other_until_none_is_left(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(usersvc.rpc.batching.stream, "GATHER_SECONDS", LONG)
    async with conversing() as stream:
        await stream.send(*MANY)
        await stream.calls.end(*MANY[:-1])
        assert stream.messages == []
        await stream.calls.end(MANY[-1])
        assert stream.messages == [list(MANY)]

        await stream.send(1)  # and then it is quiet again
        await stream.send(2)
        await stream.calls.end(1, 2)
        assert stream.messages[1:] == [[1], [2]]


async def test_nobody_waits_long_for_a_slow_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(usersvc.rpc.batching.stream, "GATHER_SECONDS", 0.05)
    async with conversing() as stream:
        await stream.send(*MANY)
        await stream.calls.end(*MANY[1:])
        await eventually(lambda: stream.messages)

        assert stream.messages == [list(MANY[1:])]


async def test_who_waited_in_vain_was_the_last_to_wait(monkeypatch: pytest.MonkeyPatch):
    """A slow call goes on and on, and those beside it come alone again."""
    monkeypatch.setattr(usersvc.rpc.batching.stream, "GATHER_SECONDS", 0.05)
    slow, *quick = MANY
    async with conversing() as stream:
        await stream.send(slow, *quick)
        await stream.calls.end(*quick)
        await eventually(lambda: stream.messages)
        await stream.send(10)
        await stream.calls.end(10)
        assert stream.messages == [quick]
        await eventually(lambda: len(stream.messages) >= 2)
        assert stream.messages == [quick, [10]]

        monkeypatch.setattr(usersvc.rpc.batching.stream, "GATHER_SECONDS", LONG)
        await stream.send(11)
        await stream.calls.end(11)
        assert stream.messages == [quick, [10], [11]]
