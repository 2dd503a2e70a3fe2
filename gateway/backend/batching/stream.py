"""One stream of the batch service with many calls in progress."""

import asyncio
import contextlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
from cloudacademy.batch.v1 import batch_pb2
from grpc.aio import AioRpcError, Metadata

from chassis.batching.flush_timer import FlushTimer
from chassis.batching.limits import STREAM_BATCH_SIZE, STREAM_LINGER_SECONDS
from chassis.rpc.status import DETAILS_KEY

if TYPE_CHECKING:
    from cloudacademy.batch.v1.batch_pb2_grpc import BatchServiceAsyncStub


class NotSentError(Exception):
    """The stream was lost before the call was sent, so even a write may be repeated."""


@dataclass(frozen=True, slots=True)
class _Unsent:
    call: batch_pb2.Call
    deadline: float


class BatchStream:
    """One stream of the batch service. All of its calls end when it ends."""

    def __init__(
        self,
        stub: "BatchServiceAsyncStub",
        now: float,
        end_time: float,
        linger_seconds: float = STREAM_LINGER_SECONDS,
    ) -> None:
        self._stream = stub.StreamCalls()
        self._loop = asyncio.get_running_loop()
        self._number = 0
        self._pending: dict[int, asyncio.Future[batch_pb2.Outcome]] = {}
        self._unsent: dict[int, _Unsent] = {}
        self._given_up: list[int] = []
        self._flush_timer = FlushTimer(self._start_writing, linger_seconds)
        self._writing: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._reading = asyncio.create_task(self._read())
        self.end_time = end_time
        """When another stream replaces this one, in seconds of the event loop's clock."""
        self.last_received_time = now
        """When the server last sent a message, or when the oldest pending call started."""
        self.is_closed = False
        """Whether new calls need another stream."""

    @property
    def pending(self) -> int:
        """The number of calls without an outcome."""
        return len(self._pending)

    @property
    def has_open_batch(self) -> bool:
        """Whether a batch lingers and can take another call."""
        return (
            self._flush_timer.is_lingering
            and self._writing is None
            and len(self._unsent) < STREAM_BATCH_SIZE
        )

    async def call(
        self,
        method: str,
        request: bytes,
        metadata: Sequence[tuple[str, str]],
        seconds: float,
        *,
        lingers: bool = False,
    ) -> batch_pb2.Outcome:
        """Send a call and wait for its outcome; with `lingers` it may wait for its batch to fill.

        Raises AioRpcError: DEADLINE_EXCEEDED after `seconds`, or UNAVAILABLE if the stream was
        lost after the call had been sent. Raises NotSentError if it was lost before that.
        """
        self._number = number = self._number + 1
        outcome: asyncio.Future[batch_pb2.Outcome] = self._loop.create_future()
        if not self._pending:
            self.last_received_time = self._loop.time()
        self._pending[number] = outcome
        call = batch_pb2.Call(
            number=number, method=method, request=request, metadata=dict(metadata)
        )
        self._unsent[number] = _Unsent(call, self._loop.time() + seconds)
        if not lingers or len(self._unsent) >= STREAM_BATCH_SIZE:
            self._flush_timer.flush()
        elif not self._flush_timer.is_lingering:
            self._flush_timer.linger()
        timer = self._loop.call_later(seconds, _expire, outcome)
        try:
            return await outcome
        finally:
            timer.cancel()
            is_given_up = self._pending.pop(number, None) is not None
            if self._unsent.pop(number, None) is None and is_given_up:
                self._given_up.append(number)
                self._flush_timer.flush()
            self._end_if_idle()
            del outcome  # break the cycle: outcome → exception → traceback → this frame

    def close(self) -> None:
        """Accept no more calls; the stream ends once no call is pending."""
        self.is_closed = True
        self._end_if_idle()

    def _start_writing(self) -> None:
        if self._writing is None and not self._reading.done():
            self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        try:
            while self._unsent or self._given_up:
                given_up, self._given_up = self._given_up, []
                await self._stream.write(
                    batch_pb2.StreamCallsRequest(calls=self._next_batch(), given_up=given_up)
                )
        except (AioRpcError, asyncio.InvalidStateError):
            self.is_closed = True  # `_read` gets the status
        finally:
            self._writing = None
            self._end_if_idle()

    def _next_batch(self) -> list[batch_pb2.Call]:
        now = self._loop.time()
        numbers = list(itertools.islice(self._unsent, STREAM_BATCH_SIZE))
        batch = [self._unsent.pop(number) for number in numbers]
        for each in batch:
            each.call.timeout_ms = max(1, int((each.deadline - now) * 1_000))
        return [each.call for each in batch]

    async def _read(self) -> None:
        lost: AioRpcError | None = None
        try:
            while isinstance(response := await self._stream.read(), batch_pb2.StreamCallsResponse):
                self.last_received_time = self._loop.time()
                if response.leaving:
                    self.close()
                for outcome in response.outcomes:
                    pending = self._pending.pop(outcome.number, None)
                    if pending is not None and not pending.done():
                        pending.set_result(outcome)
                if self._unsent:
                    self._flush_timer.flush()
        except AioRpcError as error:
            lost = error
        finally:
            self.is_closed = True
            self._stream.cancel()  # no effect on a stream that has ended
            self._fail_pending(lost)

    def _fail_pending(self, lost: AioRpcError | None) -> None:
        pending, self._pending = self._pending, {}
        for number, each in pending.items():
            if not each.done():
                each.set_exception(NotSentError() if number in self._unsent else _lost(lost))
        self._unsent.clear()

    def _end_if_idle(self) -> None:
        is_idle = not (self._pending or self._unsent or self._given_up or self._writing)
        if self.is_closed and is_idle and self._ending is None and not self._reading.done():
            self._ending = asyncio.create_task(self._end())

    async def _end(self) -> None:
        with contextlib.suppress(AioRpcError, asyncio.InvalidStateError):  # already ended
            await self._stream.done_writing()


def _lost(error: AioRpcError | None) -> AioRpcError:
    cause = "it ended" if error is None else f"{error.code().name}, {error.details()}"
    return rpc_error(grpc.StatusCode.UNAVAILABLE, f"The stream was lost: {cause}")


def _expire(outcome: "asyncio.Future[batch_pb2.Outcome]") -> None:
    if not outcome.done():
        outcome.set_exception(rpc_error(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"))


def rpc_error(code: grpc.StatusCode, message: str, details: bytes = b"") -> AioRpcError:
    """The error that gRPC raises for a call with this status; `details` is a serialized Status."""
    trailing = Metadata((DETAILS_KEY, details)) if details else Metadata()
    return AioRpcError(code, Metadata(), trailing, message)
