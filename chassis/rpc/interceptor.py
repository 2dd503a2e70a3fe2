"""What surrounds every call that a server answers: refusals and the log line."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence, Set
from contextlib import AbstractContextManager, aclosing
from types import MappingProxyType
from typing import Any, Final, TypeAlias
from uuid import uuid4

import grpc

from chassis.clock import Clock, system_clock
from chassis.errors import (
    DEADLINE_EXCEEDED,
    DEADLINE_PASSED_BEFORE_CALL,
    INTERNAL,
    MESSAGE_NOT_READ,
    OVERLOADED,
    Refusal,
)
from chassis.observability.log import Logger
from chassis.observability.metrics import Requests
from chassis.observability.tracing import Tracing, rpc_attributes
from chassis.rpc.authorization import CallerAuthorization
from chassis.rpc.deadline import DEADLINE_KEY, seconds_left
from chassis.rpc.public_calls import PublicCalls
from chassis.rpc.status import to_trailing_metadata

MAX_CALLS: Final = 1_000
REQUEST_ID_KEY: Final = "x-request-id"
_ID: Final = re.compile(r"[0-9a-fA-F-]{36}")
_CODES: Final = {code.name: code for code in grpc.StatusCode}
WRITE_SECONDS: Final = 30.0
"""How long a caller may take for reading one message of a stream."""
_NO_LIMITS: Final[Mapping[str, float]] = MappingProxyType({})

# grpc's method handlers and the messages they pass on are untyped.
Handler = Any
Request = Any
Response = Any
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Slots: TypeAlias = Callable[[Context], AbstractContextManager[None]]
"""Takes a slot for a call, or refuses it (OVERLOADED)."""


class ServerInterceptor(grpc.aio.ServerInterceptor):
    """Asks who calls, turns refusals into gRPC statuses, counts and logs each call once.

    What is no refusal is a fault of ours: its text goes to the log, and only
    the request id goes out. Without an admission every caller is let in. No
    more than `max_calls` run at once, and no more streams; the next are refused. The line tells the
    request's fields `told`, which must name ids only. Calls of the `batch_methods`
    bring others, each told and measured by itself, and are neither unless they are refused. A call
    that says when it must have ended (`chassis.rpc.deadline`) does not begin later, and is
    cancelled then.

    A stream ends with DEADLINE_EXCEEDED when its caller does not take a message for
    `write_seconds`, or when all of it takes longer than the seconds that `stream_seconds` has for
    its method. Health and reflection are open to every caller. They have slots of their own
    (`chassis.rpc.public_calls`), and are logged only if they are refused.
    """

    def __init__(
        self,
        log: Logger,
        authorization: CallerAuthorization | None = None,
        calls: Requests | None = None,
        tracing: Tracing | None = None,
        logged_fields: Sequence[str] = (),
        *,
        max_calls: int = MAX_CALLS,
        batch_methods: Set[str] = frozenset(),
        stream_seconds: Mapping[str, float] = _NO_LIMITS,
        write_seconds: float = WRITE_SECONDS,
        clock: Clock = system_clock,
    ) -> None:
        self._log = log
        self._clock = clock
        self._batch_methods = batch_methods
        self._unary_slots = _Slots(max_calls)
        # Streams last: with places of their own they take none from calls.
        self._stream_slots = _Slots(max_calls)
        self._logged_fields = logged_fields
        self._tracing = tracing
        self._calls = calls
        self._authorization = authorization
        self._public_calls = PublicCalls(authorization)
        self._stream_seconds = stream_seconds
        self._write_seconds = write_seconds
        self._wrapped: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Wrap the method's handler, once for all its calls."""
        method = handler_call_details.method
        wrapped = self._wrapped.get(method)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None:
                return None
            wrapped = self._wrapped[method] = self.wrap(method, handler)
        return wrapped

    def wrap(self, method: str, handler: Handler) -> Handler:
        """A handler with all that surrounds its calls."""
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(
                self._unary(method, handler.unary_unary),
                handler.request_deserializer,
                handler.response_serializer,
            )
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(
                self._stream(method, handler.unary_stream),
                handler.request_deserializer,
                handler.response_serializer,
            )
        if handler.stream_stream and (
            method in self._batch_methods or self._public_calls.includes(method)
        ):
            return grpc.stream_stream_rpc_method_handler(
                self._stream(method, handler.stream_stream),
                handler.request_deserializer,
                handler.response_serializer,
            )
        raise NotImplementedError(f"{method}: streams of requests are not taken")

    def _unary(self, method: str, behaviour: Handler) -> Handler:
        is_public = self._public_calls.includes(method)
        logged = not (is_public or method in self._batch_methods)
        slots = self._public_calls.unary_slot if is_public else lambda _: self._unary_slots

        async def answer(request: Request, context: Context) -> Response:
            call = _Call(
                self._log, method, context, self._calls, self._tracing, running=not is_public
            )
            try:
                with slots(context):
                    if not is_public:
                        self._authorize(call, method, request, context)
                    async with asyncio.timeout(self._seconds_left(context)):
                        response = await behaviour(request, context)
            except asyncio.CancelledError:
                call.tell("CANCELLED")
                raise
            except grpc.aio.AbortError:  # answered already
                call.tell("ABORTED", logged=False)
                raise
            except Exception as error:  # noqa: BLE001 - the outermost handler
                await call.refuse(error)
            else:
                call.tell("OK", logged=logged)
                return response

        return answer if self._tracing is None else _traced(self._tracing, method, answer)

    def _stream(self, method: str, behaviour: Handler) -> Handler:
        is_public = self._public_calls.includes(method)
        logged = not (is_public or method in self._batch_methods)
        slots = (
            self._public_calls.stream_slot(method) if is_public else lambda _: self._stream_slots
        )

        # A coroutine, since a timeout around the `yield` of a generator ends nothing while the
        # generator waits for its reader (PEP 789).
        async def answer(request: Request, context: Context) -> None:
            call = _Call(
                self._log, method, context, self._calls, self._tracing, running=not is_public
            )
            try:
                with slots(context):
                    if not is_public:
                        self._authorize(call, method, request, context)
                    await self._send(method, behaviour(request, context), call, context)
            except asyncio.CancelledError:
                call.tell("CANCELLED", logged=logged)
                raise
            except grpc.aio.AbortError:  # answered already
                raise
            except Exception as error:  # noqa: BLE001 - the outermost handler
                await call.refuse(error)
            else:
                call.tell("OK", logged=logged)

        return answer

    async def _send(
        self,
        method: str,
        responses: AsyncGenerator[Response, None],
        call: "_Call",
        context: Context,
    ) -> None:
        """Send what a stream has to say, within its limits."""
        try:
            async with (
                asyncio.timeout(self._stream_seconds.get(method)),
                aclosing(responses),
            ):
                async for response in responses:
                    await self._write(response, context)
        except grpc.aio.AbortError:  # answered already
            call.tell("ABORTED", logged=False)
            raise
        except grpc.aio.BaseError as error:  # the caller has gone, or the server has stopped
            raise asyncio.CancelledError from error
        except Exception as error:  # noqa: BLE001 - the outermost handler
            # The slot stays taken until the status is sent: a caller that reads nothing keeps
            # what it waits for in memory.
            await call.refuse(error)

    async def _write(self, response: Response, context: Context) -> None:
        # Until then the caller's flow control may hold the message back.
        try:
            async with asyncio.timeout(self._write_seconds) as limit:
                await context.write(response)
        except TimeoutError:
            if not limit.expired():
                raise
            raise Refusal(MESSAGE_NOT_READ, self._write_seconds) from None

    def _seconds_left(self, context: Context) -> float | None:
        """How long a call may take by its caller's clock, None if it does not say."""
        value = _metadata_value(context, DEADLINE_KEY)
        if not value:
            return None
        seconds = seconds_left(value, self._clock)
        if seconds <= 0:
            raise Refusal(DEADLINE_PASSED_BEFORE_CALL)
        return seconds

    def _authorize(self, call: "_Call", method: str, request: Request, context: Context) -> None:
        if self._authorization is not None:
            call.caller = self._authorization.authorize(method, context)
        call.note(request, self._logged_fields)


class _Slots:
    """How many calls may run at once."""

    __slots__ = ("_left",)

    def __init__(self, number: int) -> None:
        self._left = number

    def __enter__(self) -> None:
        if not self._left:
            raise Refusal(OVERLOADED)
        self._left -= 1

    def __exit__(self, *_: object) -> None:
        self._left += 1


def _traced(tracing: Tracing, method: str, behaviour: Handler) -> Handler:
    name = method.lstrip("/")
    attributes = rpc_attributes(name)

    async def answer(request: Request, context: Context) -> Response:
        with tracing.serving(name, context.invocation_metadata() or (), attributes):
            return await behaviour(request, context)

    return answer


class _Call:
    """One call from its arrival to its log line."""

    __slots__ = (
        "_calls",
        "_context",
        "_ended",
        "_log",
        "_method",
        "_noted",
        "_request_id",
        "_running",
        "_started",
        "_tracing",
        "caller",
    )

    def __init__(
        self,
        log: Logger,
        method: str,
        context: Context,
        calls: Requests | None,
        tracing: Tracing | None,
        *,
        running: bool,
    ) -> None:
        self._log = log
        self._calls = calls
        self._tracing = tracing
        self._method = method
        self._context = context
        self._ended = False
        self._running = calls is not None and running
        self._started = time.perf_counter()
        if self._running and calls is not None:
            calls.begin()
        self._request_id = _request_id(context)
        self._noted: dict[str, str] = {}
        self.caller = "anonymous"

    def note(self, request: Request, fields: Sequence[str]) -> None:
        """Keep the ids that the line shall tell of the request; what is no id is not told."""
        for name in fields:
            value = getattr(request, name, "")
            if _ID.fullmatch(value):
                self._noted[name] = value

    def tell(
        self, outcome: str, status_code: str = "", *, logged: bool = True, **more: str
    ) -> None:
        """Log and measure the end of the call; the outcome is its status code, or a reason."""
        if self._ended:  # the caller has left while it was refused
            return
        self._ended = True
        if not logged:
            if self._running and self._calls is not None:
                self._calls.leave()
            return
        self._measure(status_code or outcome, "" if outcome == "OK" else outcome)
        self._log.info(
            "call",
            method=self._method,
            outcome=outcome,
            duration_ms=round((time.perf_counter() - self._started) * 1000, 2),
            request_id=self._request_id,
            caller=self.caller,
            **self._noted,
            **more,
        )

    def _measure(self, status_code: str, error_type: str) -> None:
        if self._calls is not None:
            if not self._running:  # `end` takes it for one that runs
                self._calls.begin()
            self._calls.end(self._started, self._method[1:], status_code, error_type)
        if self._tracing is not None:
            self._tracing.rpc_ended(status_code, error_type)

    async def refuse(self, error: Exception) -> None:
        refusal = self._as_refusal(error)
        cause = error.__cause__
        if cause is None:
            self.tell(refusal.reason, refusal.code.value)
        else:
            self.tell(refusal.reason, refusal.code.value, error_type=type(cause).__name__)
        try:
            await self._context.abort(
                _CODES[refusal.code.value], refusal.detail, to_trailing_metadata(refusal)
            )
        except grpc.aio.InternalError as gone:  # the caller left without waiting for the status
            raise asyncio.CancelledError from gone

    def _as_refusal(self, error: Exception) -> Refusal:
        if isinstance(error, Refusal):
            return error
        if isinstance(error, TimeoutError):
            return Refusal(DEADLINE_EXCEEDED)
        self._log.error(
            "internal error", method=self._method, request_id=self._request_id, exc_info=error
        )
        return Refusal(INTERNAL, self._request_id)


def _request_id(context: Context) -> str:
    return _metadata_value(context, REQUEST_ID_KEY) or uuid4().hex


def _metadata_value(context: Context, wanted: str) -> str:
    """What the metadata have under a key, nothing if they have not."""
    for key, value in context.invocation_metadata() or ():
        if key == wanted:
            return str(value)
    return ""
