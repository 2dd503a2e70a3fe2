"""The server's side of a batch stream: each call runs as if it were sent on its own."""

import asyncio
import functools
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

import grpc
from cloudacademy.batch.v1 import batch_pb2

from chassis.batching.flush_timer import FlushTimer
from chassis.batching.limits import STREAM_BATCH_SIZE, STREAM_LINGER_SECONDS, STREAM_MIN_CONCURRENCY
from chassis.errors import InvalidField
from chassis.rpc.local_dispatcher import (
    CANCELLED,
    DEADLINE_EXCEEDED,
    Result,
)

MAX_CALL_SECONDS: Final = 30.0
MAX_PENDING: Final = 200
"""The maximum number of running calls and unsent outcomes of a stream. At the maximum, the stream
is not read."""
MESSAGE_BYTES: Final = 1024 * 1024
"""The approximate size of a message of outcomes."""

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class Dispatcher(Protocol):
    """Carries out calls of the services of this process (`chassis.rpc.local_dispatcher`)."""

    async def call(
        self, method: str, request: bytes, metadata: Mapping[str, str], outer: Context
    ) -> Result:
        """Carry out a call and return its status, whatever it is."""


@dataclass(slots=True)
class _RunningCall:
    task: asyncio.Task[Result]
    deadline: asyncio.TimerHandle
    is_late: bool = False


class BatchStream:
    """The running calls of one stream, and the outcomes that are not sent yet."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        context: Context,
        linger_seconds: float = STREAM_LINGER_SECONDS,
    ) -> None:
        self._dispatcher = dispatcher
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._running: dict[int, _RunningCall] = {}
        self._outcomes: list[batch_pb2.Outcome] = []
        self._is_stopping = self._leaving_sent = False
        self._all_received = False
        self._lingers = False
        self._flush_timer = FlushTimer(self._linger_ended, linger_seconds)
        self._flush = asyncio.Event()
        self._has_room = asyncio.Event()

    async def responses(
        self, requests: AsyncIterator[batch_pb2.StreamCallsRequest], stop: asyncio.Event
    ) -> AsyncGenerator[batch_pb2.StreamCallsResponse, None]:
        """Carry out calls until the caller has sent its last one and all of them have ended.

        Sends `leaving` when `stop` is set. Refuses (InvalidField) the number of a call that still
        runs, and more than MAX_PENDING calls in a message.
        """
        receiving = asyncio.create_task(self._receive(requests))
        stopping = asyncio.create_task(self._leave(stop))
        try:
            while not (self._all_received and not self._running and not self._outcomes):
                await self._flush.wait()
                self._flush.clear()
                if self._flush_timer.is_lingering:
                    self._flush_timer.cancel()
                for message in self._messages():
                    yield message
                self._has_room.set()
            await receiving
        finally:
            receiving.cancel()
            stopping.cancel()
            for number in tuple(self._running):
                self._cancel(number)

    async def _receive(self, requests: AsyncIterator[batch_pb2.StreamCallsRequest]) -> None:
        try:
            async for message in requests:
                _check_size(message)
                for call in message.calls:
                    self._begin(call)
                for number in message.given_up:
                    self._cancel(number)
                while len(self._running) + len(self._outcomes) >= MAX_PENDING:
                    self._has_room.clear()
                    await self._has_room.wait()
        finally:
            self._all_received = True
            self._flush.set()

    def _begin(self, call: batch_pb2.Call) -> None:
        if call.number in self._running:
            raise InvalidField("calls.number", "is already used by a running call")
        seconds = min(call.timeout_ms / 1_000, MAX_CALL_SECONDS)
        task = asyncio.create_task(
            self._dispatcher.call(call.method, call.request, call.metadata, self._context)
        )
        self._running[call.number] = _RunningCall(
            task, self._loop.call_later(seconds, self._expire, call.number)
        )
        self._lingers = self._lingers or len(self._running) > STREAM_MIN_CONCURRENCY
        task.add_done_callback(functools.partial(self._end, call.number))

    def _end(self, number: int, task: asyncio.Task[Result]) -> None:
        """Add the outcome of a call, even of one that was cancelled before its first step."""
        running = self._running.get(number)
        if running is None or running.task is not task:  # the caller has cancelled it
            return
        del self._running[number]
        running.deadline.cancel()
        if task.cancelled():
            self._add(outcome(DEADLINE_EXCEEDED if running.is_late else CANCELLED, number))
        else:
            self._add(outcome(task.result(), number))

    def _expire(self, number: int) -> None:
        """Cancel a call at its deadline. Its outcome is sent once its statement has ended."""
        running = self._running[number]
        running.is_late = True
        running.task.cancel()

    def _cancel(self, number: int) -> None:
        running = self._running.pop(number, None)
        if running is not None:
            running.deadline.cancel()
            running.task.cancel()
            self._lingers = self._lingers and bool(self._running)
            self._flush.set()

    def _add(self, call_outcome: batch_pb2.Outcome) -> None:
        self._outcomes.append(call_outcome)
        self._lingers = self._lingers and bool(self._running)
        if not self._lingers or len(self._outcomes) >= STREAM_BATCH_SIZE:
            self._flush.set()
        elif not self._flush_timer.is_lingering:
            self._flush_timer.linger()

    def _linger_ended(self) -> None:
        # After a batch of one, lingering is useless: the other calls are slow, or few. Outcomes do
        # not linger until more than STREAM_MIN_CONCURRENCY calls run again.
        self._lingers = len(self._outcomes) > 1
        self._flush.set()

    async def _leave(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._is_stopping = True
        self._flush.set()

    def _messages(self) -> Iterator[batch_pb2.StreamCallsResponse]:
        if self._is_stopping and not self._leaving_sent:
            self._leaving_sent = True
            yield batch_pb2.StreamCallsResponse(leaving=True)
        while self._outcomes:
            outcomes, self._outcomes = self._outcomes, []
            while outcomes:
                count = _count_fitting(outcomes)
                yield batch_pb2.StreamCallsResponse(outcomes=outcomes[:count])
                outcomes = outcomes[count:]


def _check_size(message: batch_pb2.StreamCallsRequest) -> None:
    """Refuse more than MAX_PENDING calls in one message, because each becomes a task."""
    for field, count in (("calls", len(message.calls)), ("given_up", len(message.given_up))):
        if count > MAX_PENDING:
            raise InvalidField(field, f"has more than {MAX_PENDING} elements")


def _count_fitting(outcomes: list[batch_pb2.Outcome]) -> int:
    """The number of outcomes that fit into one message. The first one always fits."""
    size = 0
    for count, each in enumerate(outcomes):
        size += len(each.response)
        if count and size > MESSAGE_BYTES:
            return count
    return len(outcomes)


def outcome(result: Result, number: int) -> batch_pb2.Outcome:
    """The result of a call as a message."""
    if not result.code:
        return batch_pb2.Outcome(response=result.response, number=number)
    return batch_pb2.Outcome(
        code=result.code,
        message=result.message,
        status_details=result.details,
        number=number,
    )
