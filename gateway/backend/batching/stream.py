"""One stream to a service on which many calls are under way at once."""

import asyncio
import contextlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import grpc
from cloudacademy.batch.v1 import batch_pb2
from grpc.aio import AioRpcError, Metadata

from chassis.rpc.status import DETAILS_KEY

if TYPE_CHECKING:
    from cloudacademy.batch.v1.batch_pb2_grpc import BatchServiceAsyncStub

MAX_CALLS: Final = 32
"""How many calls share a message."""
GATHER_SECONDS: Final = 0.004
"""How long a call waits for company, unless the server is heard before."""
FEW_CALLS: Final = 4
"""Until so many are under way to the service, the next one waits for nobody."""

_NEVER_BEGUN: Final = grpc.StatusCode.UNIMPLEMENTED


class NeverSentError(Exception):
    """The stream was lost before the call left: it may be made in another way."""


@dataclass(frozen=True, slots=True)
class _Unsent:
    call: batch_pb2.Call
    deadline: float


class Conversation:
    """A stream of the batch service; what it has been given ends with it, whatever happens."""

    def __init__(self, stub: "BatchServiceAsyncStub", now: float, ends: float) -> None:
        self._stream = stub.Converse()
        self._loop = asyncio.get_running_loop()
        self._number = 0
        self._waiting: dict[int, asyncio.Future[batch_pb2.Outcome]] = {}
        self._unsent: dict[int, _Unsent] = {}
        self._given_up: list[int] = []
        self._gathering: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._reading = asyncio.create_task(self._read())
        self.ends = ends
        """When others take its place."""
        self.heard = now
        """When the server was last heard, or began to owe an outcome."""
        self.over = False
        """Whether the next call has to go elsewhere."""

    @property
    def waiting(self) -> int:
        """How many calls have no outcome yet."""
        return len(self._waiting)

    @property
    def gathers(self) -> bool:
        """Whether calls wait for company here, and there is room for more in their message."""
        waits = self._gathering is not None and self._writing is None
        return waits and len(self._unsent) < MAX_CALLS

    async def call(
        self,
        method: str,
        request: bytes,
        metadata: Sequence[tuple[str, str]],
        seconds: float,
        *,
        waits: bool = False,
    ) -> batch_pb2.Outcome:
        """Have a call carried out; `waits` says whether it may wait for company.

        Raises AioRpcError: DEADLINE_EXCEEDED after so many seconds, UNAVAILABLE when the stream
        is lost meanwhile, UNIMPLEMENTED if the server is of a release that knows no such streams;
        and NeverSentError.
        """
        self._number = number = self._number + 1
        outcome: asyncio.Future[batch_pb2.Outcome] = self._loop.create_future()
        if not self._waiting:
            self.heard = self._loop.time()
        self._waiting[number] = outcome
        call = batch_pb2.Call(
            number=number, method=method, request=request, metadata=dict(metadata)
        )
        self._unsent[number] = _Unsent(call, self._loop.time() + seconds)
        self._gather(waits=waits)
        timer = self._loop.call_later(seconds, _expire, outcome)
        try:
            return await outcome
        finally:
            timer.cancel()
            gave_up = self._waiting.pop(number, None) is not None
            if self._unsent.pop(number, None) is None and gave_up:
                self._given_up.append(number)
                self._write_soon()
            self._end_if_done()
            del outcome  # it may hold the exception whose traceback holds this frame: a cycle

    def leave(self) -> None:
        """Take no more calls; the stream ends after the last of those that wait."""
        self.over = True
        self._end_if_done()

    def _gather(self, *, waits: bool) -> None:
        """Send what waits, now or once it has company: a message costs as much as its calls."""
        if not waits or len(self._unsent) >= MAX_CALLS:
            self._write_soon()
        elif self._gathering is None:
            self._gathering = self._loop.call_later(GATHER_SECONDS, self._write_soon)

    def _write_soon(self) -> None:
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        if self._writing is None and not self._reading.done():
            self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        try:
            while self._unsent or self._given_up:
                given_up, self._given_up = self._given_up, []
                await self._stream.write(
                    batch_pb2.ConverseRequest(calls=self._next_calls(), given_up=given_up)
                )
        except (AioRpcError, asyncio.InvalidStateError):
            self.over = True  # whoever reads learns why
        finally:
            self._writing = None
            self._end_if_done()

    def _next_calls(self) -> list[batch_pb2.Call]:
        now = self._loop.time()
        numbers = list(itertools.islice(self._unsent, MAX_CALLS))
        leaving = [self._unsent.pop(number) for number in numbers]
        for each in leaving:
            each.call.timeout_ms = max(1, int((each.deadline - now) * 1_000))
        return [each.call for each in leaving]

    async def _read(self) -> None:
        lost: AioRpcError | None = None
        try:
            while isinstance(response := await self._stream.read(), batch_pb2.ConverseResponse):
                self.heard = self._loop.time()
                if response.leaving:
                    self.leave()
                for outcome in response.outcomes:
                    waiting = self._waiting.pop(outcome.number, None)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(outcome)
                if self._unsent:
                    self._write_soon()
        except AioRpcError as error:
            lost = error
        finally:
            self.over = True
            self._stream.cancel()  # nothing is left to do, unless it ended in the middle
            self._fail(lost)

    def _fail(self, lost: AioRpcError | None) -> None:
        waiting, self._waiting = self._waiting, {}
        for number, each in waiting.items():
            if not each.done():
                each.set_exception(_loss(lost, sent=number not in self._unsent))
        self._unsent.clear()

    def _end_if_done(self) -> None:
        idle = not (self._waiting or self._unsent or self._given_up or self._writing)
        if self.over and idle and self._ending is None and not self._reading.done():
            self._ending = asyncio.create_task(self._end())

    async def _end(self) -> None:
        with contextlib.suppress(AioRpcError, asyncio.InvalidStateError):  # it has ended already
            await self._stream.done_writing()


def _loss(lost: AioRpcError | None, *, sent: bool) -> Exception:
    if lost is not None and lost.code() is _NEVER_BEGUN:
        return lost
    if not sent:
        return NeverSentError()
    cause = "it ended" if lost is None else f"{lost.code().name}, {lost.details()}"
    return refusal(grpc.StatusCode.UNAVAILABLE, f"The stream was lost: {cause}")


def _expire(outcome: "asyncio.Future[batch_pb2.Outcome]") -> None:
    if not outcome.done():
        outcome.set_exception(refusal(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"))


def refusal(code: grpc.StatusCode, message: str, details: bytes = b"") -> AioRpcError:
    """What gRPC itself would raise for a call that ended so."""
    trailing = Metadata((DETAILS_KEY, details)) if details else Metadata()
    return AioRpcError(code, Metadata(), trailing, message)
