"""Calls that come while others are on their way go together in one message.

Nearly two thirds of what a small call costs is the way there and back. A call
that comes alone goes by itself, as it always did; while one is on its way, the
next ones wait for each other, and leave together once it is back. Each keeps its
own deadline and outcome, and its caller sees no difference.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import grpc
from cloudacademy.batch.v1 import batch_pb2
from grpc.aio import AioRpcError, Metadata

from chassis.status import DETAILS_KEY

if TYPE_CHECKING:
    from cloudacademy.batch.v1.batch_pb2_grpc import BatchServiceAsyncStub

MAX_CALLS: Final = 32
UNDER_WAY: Final = 2
"""How many messages are on their way at once before calls wait for each other."""
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}

_NEVER_BEGUN: Final = grpc.StatusCode.UNIMPLEMENTED
"""From a server of an earlier release: nothing of the message was carried out."""
_LOST: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
"""The way was lost, or the answers together were larger than a message."""
APART_SECONDS: Final = 60.0
"""How long calls go alone once a server has not known how to take them together."""

Response = TypeVar("Response")
Call: TypeAlias = Callable[..., Awaitable[Response]]


@dataclass(slots=True)
class _Waiting:
    method: str
    request: bytes
    metadata: Sequence[tuple[str, str]]
    deadline: float
    outcome: "asyncio.Future[batch_pb2.Outcome]"


class Coalescer:
    """Sends calls to one service, together where that is cheaper."""

    def __init__(self, stub: "BatchServiceAsyncStub") -> None:
        self._stub = stub
        self._under_way = 0
        self._waiting: deque[_Waiting] = deque()
        self._sending: set[asyncio.Task[None]] = set()
        self._apart_until = 0.0

    def method(
        self,
        name: str,
        alone: "Call[Response]",
        response: type[Response],
        *,
        repeatable: bool = False,
    ) -> "Call[Response]":
        """A call like `alone`, which is used as long as there is nothing to go together with.

        What is `repeatable` and came to nothing on its way together is tried once more alone.
        """

        async def call(
            request: Any,  # noqa: ANN401 - a message
            *,
            timeout: float,  # noqa: ASYNC109 - as stubs have it
            metadata: Sequence[tuple[str, str]] = (),
        ) -> Response:
            loop = asyncio.get_running_loop()
            if self._goes_alone(loop.time()):
                with self._on_the_way():
                    return await alone(request, timeout=timeout, metadata=metadata)
            waiting = _Waiting(
                name,
                request.SerializeToString(),
                metadata,
                loop.time() + timeout,
                loop.create_future(),
            )
            self._waiting.append(waiting)
            try:
                async with asyncio.timeout_at(waiting.deadline):
                    outcome = await waiting.outcome
            except TimeoutError:
                raise _error(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded") from None
            except AioRpcError as lost:
                if not (lost.code() is _NEVER_BEGUN or (repeatable and lost.code() in _LOST)):
                    raise
                left = max(0.001, waiting.deadline - loop.time())
                return await alone(request, timeout=left, metadata=metadata)
            if outcome.code:
                raise _error(_CODES[outcome.code], outcome.message, outcome.status_details)
            return response.FromString(outcome.response)  # type: ignore[attr-defined, no-any-return]

        return call

    def _goes_alone(self, now: float) -> bool:
        return (self._under_way < UNDER_WAY and not self._waiting) or now < self._apart_until

    @contextlib.contextmanager
    def _on_the_way(self) -> Iterator[None]:
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            self._send()

    def _send(self) -> None:
        """Let those who wait go, as far as there is room on the way."""
        while self._waiting and self._under_way < UNDER_WAY:
            batch: list[_Waiting] = []
            while self._waiting and len(batch) < MAX_CALLS:
                waiting = self._waiting.popleft()
                if not waiting.outcome.done():  # nobody waits for one who gave up
                    batch.append(waiting)
            if not batch:
                return
            task = asyncio.create_task(self._execute(batch))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
            self._under_way += 1

    async def _execute(self, batch: Sequence[_Waiting]) -> None:
        now = asyncio.get_running_loop().time()
        request = batch_pb2.ExecuteRequest(
            calls=[
                batch_pb2.Call(
                    method=each.method,
                    request=each.request,
                    metadata=dict(each.metadata),
                    timeout_ms=max(1, int((each.deadline - now) * 1_000)),
                )
                for each in batch
            ]
        )
        seconds = max(each.deadline for each in batch) - now
        try:
            response = await self._stub.Execute(request, timeout=seconds)
        except BaseException as error:  # noqa: BLE001 - each of them has to be told
            if isinstance(error, AioRpcError) and error.code() is _NEVER_BEGUN:
                self._apart_until = asyncio.get_running_loop().time() + APART_SECONDS
            _fail(batch, error)
        else:
            for waiting, outcome in zip(batch, response.outcomes, strict=True):
                if not waiting.outcome.done():
                    waiting.outcome.set_result(outcome)
        finally:
            self._under_way -= 1
            self._send()


def _fail(batch: Sequence[_Waiting], error: BaseException) -> None:
    """Tell all of a message that it came to nothing."""
    for waiting in batch:
        if not waiting.outcome.done():
            if isinstance(error, AioRpcError):
                waiting.outcome.set_exception(_error(error.code(), error.details() or ""))
            else:
                waiting.outcome.set_exception(_error(grpc.StatusCode.CANCELLED, "given up"))


def _error(code: grpc.StatusCode, message: str, details: bytes = b"") -> AioRpcError:
    trailing = Metadata((DETAILS_KEY, details)) if details else Metadata()
    return AioRpcError(code, Metadata(), trailing, message)
