"""Calls that come on one stream, each carried out as if it had come by itself."""

import asyncio
import functools
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import grpc
from cloudacademy.batch.v1 import batch_pb2

from chassis.rpc.local_dispatcher import CANCELLED, LATE, Ended, InnerCalls
from usersvc.domain.errors import InvalidField

MAX_SECONDS: Final = 30.0
MAX_UNDER_WAY: Final = 200
"""Calls of a stream that run or whose outcomes wait to be sent; no more is read meanwhile."""
MESSAGE_BYTES: Final = 1024 * 1024
"""Outcomes that wait are sent in messages of about this size, however many they are."""
GATHER_SECONDS: Final = 0.004
"""How long an outcome waits for company while calls run that have some."""
GATHER_OUTCOMES: Final = 32
"""So many wait no longer."""
FEW_CALLS: Final = 4
"""Until more run at once an outcome waits for nobody, and again once one has waited in vain."""

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


@dataclass(slots=True)
class _Running:
    task: asyncio.Task[Ended]
    deadline: asyncio.TimerHandle
    is_late: bool = False


class Conversation:
    """One caller's stream: its calls that run, and the outcomes that it has not been told yet."""

    def __init__(self, calls: InnerCalls, context: Context) -> None:
        self._calls = calls
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._running: dict[int, _Running] = {}
        self._outcomes: list[batch_pb2.Outcome] = []
        self._leaving = self._told_leaving = False
        self._heard_all = False
        self._in_company = False
        self._gathering: asyncio.TimerHandle | None = None
        self._news = asyncio.Event()
        self._room = asyncio.Event()

    async def hold(
        self, requests: AsyncIterator[batch_pb2.ConverseRequest], stop: asyncio.Event
    ) -> AsyncGenerator[batch_pb2.ConverseResponse, None]:
        """Carry out calls until the caller has sent its last and each of them has ended.

        Says so when told to stop. Refuses (InvalidField) the number of a call that still runs.
        """
        reading = asyncio.create_task(self._read(requests))
        leaving = asyncio.create_task(self._leave(stop))
        try:
            while not (self._heard_all and not self._running and not self._outcomes):
                await self._news.wait()
                self._news.clear()
                if self._gathering is not None:
                    self._gathering.cancel()
                    self._gathering = None
                for message in self._messages():
                    yield message
                self._room.set()
            await reading
        finally:
            reading.cancel()
            leaving.cancel()
            for number in tuple(self._running):
                self._give_up(number)

    async def _read(self, requests: AsyncIterator[batch_pb2.ConverseRequest]) -> None:
        try:
            async for message in requests:
                _check_size(message)
                for call in message.calls:
                    self._begin(call)
                for number in message.given_up:
                    self._give_up(number)
                while len(self._running) + len(self._outcomes) >= MAX_UNDER_WAY:
                    self._room.clear()
                    await self._room.wait()
        finally:
            self._heard_all = True
            self._news.set()

    def _begin(self, call: batch_pb2.Call) -> None:
        if call.number in self._running:
            raise InvalidField("calls.number", "is that of a call that still runs")
        seconds = min(call.timeout_ms / 1_000, MAX_SECONDS)
        task = asyncio.create_task(
            self._calls.run(call.method, call.request, call.metadata, self._context)
        )
        self._running[call.number] = _Running(
            task, self._loop.call_later(seconds, self._expire, call.number)
        )
        self._in_company = self._in_company or len(self._running) > FEW_CALLS
        task.add_done_callback(functools.partial(self._settle, call.number))

    def _settle(self, number: int, task: asyncio.Task[Ended]) -> None:
        """Tell what became of a call, even of one that was cancelled before its first step."""
        running = self._running.get(number)
        if running is None or running.task is not task:  # given up
            return
        del self._running[number]
        running.deadline.cancel()
        if task.cancelled():
            self._tell(outcome(LATE if running.is_late else CANCELLED, number))
        else:
            self._tell(outcome(task.result(), number))

    def _expire(self, number: int) -> None:
        """End a call; it is told once its statement has ended, too."""
        running = self._running[number]
        running.is_late = True
        running.task.cancel()

    def _give_up(self, number: int) -> None:
        running = self._running.pop(number, None)
        if running is not None:
            running.deadline.cancel()
            running.task.cancel()
            self._in_company = self._in_company and bool(self._running)
            self._news.set()

    def _tell(self, told: batch_pb2.Outcome) -> None:
        """Send an outcome, now or once it has company: a message costs as much as its outcomes."""
        self._outcomes.append(told)
        self._in_company = self._in_company and bool(self._running)
        if not self._in_company or len(self._outcomes) >= GATHER_OUTCOMES:
            self._news.set()
        elif self._gathering is None:
            self._gathering = self._loop.call_later(GATHER_SECONDS, self._gathered)

    def _gathered(self) -> None:
        # One that waited in vain: the others are slow, or few by now.
        self._in_company = len(self._outcomes) > 1
        self._news.set()

    async def _leave(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._leaving = True
        self._news.set()

    def _messages(self) -> Iterator[batch_pb2.ConverseResponse]:
        if self._leaving and not self._told_leaving:
            self._told_leaving = True
            yield batch_pb2.ConverseResponse(leaving=True)
        while self._outcomes:
            waiting, self._outcomes = self._outcomes, []
            while waiting:
                count = _fitting(waiting)
                yield batch_pb2.ConverseResponse(outcomes=waiting[:count])
                waiting = waiting[count:]


def _check_size(message: batch_pb2.ConverseRequest) -> None:
    """Refuse more calls in one message than a caller has under way: each becomes a task."""
    for field, count in (("calls", len(message.calls)), ("given_up", len(message.given_up))):
        if count > MAX_UNDER_WAY:
            raise InvalidField(field, f"are more than {MAX_UNDER_WAY}")


def _fitting(outcomes: list[batch_pb2.Outcome]) -> int:
    """How many of them go into a message."""
    size = 0
    for count, each in enumerate(outcomes):
        size += len(each.response)
        if count and size > MESSAGE_BYTES:
            return count
    return len(outcomes)


async def run(calls: InnerCalls, call: batch_pb2.Call, context: Context) -> batch_pb2.Outcome:
    """Carry out one call within its deadline."""
    try:
        async with asyncio.timeout(min(call.timeout_ms / 1_000, MAX_SECONDS)):
            ended = await calls.run(call.method, call.request, call.metadata, context)
    except TimeoutError:
        ended = LATE
    return outcome(ended)


def outcome(ended: Ended, number: int = 0) -> batch_pb2.Outcome:
    """What became of a call, as a message."""
    if not ended.code:
        return batch_pb2.Outcome(response=ended.response, number=number)
    return batch_pb2.Outcome(
        code=ended.code,
        message=ended.message,
        status_details=ended.details,
        number=number,
    )
