"""The server interceptor: authorization, limits, refusals, metrics and a log line for each call."""

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
from chassis.observability.metrics import RequestMetrics
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
"""How long a caller may take to read one message of a stream."""
_NO_LIMITS: Final[Mapping[str, float]] = MappingProxyType({})

# gRPC's method handlers and messages are untyped.
Handler = Any
Request = Any
Response = Any
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Slots: TypeAlias = Callable[[Context], AbstractContextManager[None]]
"""Acquires a slot for a call. Refuses OVERLOADED."""


class ServerInterceptor(grpc.aio.ServerInterceptor):
    """Authorizes calls, limits their number, translates errors, and measures and logs each call.

    A refusal becomes a gRPC status with details. Any other exception is an internal error: its text
    goes to the log, and the caller gets the request id. Without `authorization`, anyone may call
    every method. At most `max_calls` unary calls and as many streams run at once; others are
    refused (OVERLOADED). The log line has the `logged_fields` of the request, which must be ids.
    Calls of `batch_methods` carry other calls, which are logged and measured one by one. A batch
    call itself is logged and measured only if it is refused, like a call of `unlogged_methods`. A
    call with an absolute deadline
    (`chassis.rpc.deadline`) is refused if it arrives too late, and cancelled at its deadline.

    A stream ends with DEADLINE_EXCEEDED if its caller does not read a message for `write_seconds`,
    or after the `stream_seconds` of its method. Every caller may call health and reflection. These
    calls have their own slots (`chassis.rpc.public_calls`) and are logged only if refused.
    """

    def __init__(
        self,
        log: Logger,
        authorization: CallerAuthorization | None = None,
        calls: RequestMetrics | None = None,
        tracing: Tracing | None = None,
        logged_fields: Sequence[str] = (),
        *,
        max_calls: int = MAX_CALLS,
        batch_methods: Set[str] = frozenset(),
        unlogged_methods: Set[str] = frozenset(),
        stream_seconds: Mapping[str, float] = _NO_LIMITS,
        write_seconds: float = WRITE_SECONDS,
        clock: Clock = system_clock,
    ) -> None:
        self._log = log
        self._clock = clock
        self._batch_methods = batch_methods
        self._unlogged_methods = batch_methods | unlogged_methods
        self._unary_slots = _Slots(max_calls)
        # Streams are long-lived: separate slots keep those of unary calls free.
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
        """Wrap the handler of a method, once for all its calls."""
        method = handler_call_details.method
        wrapped = self._wrapped.get(method)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None:
                return None
            wrapped = self._wrapped[method] = self.wrap(method, handler)
        return wrapped

    def wrap(self, method: str, handler: Handler) -> Handler:
        """The handler of a method with this interceptor around its calls."""
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
        raise NotImplementedError(f"{method}: request streams are not supported")

    def _unary(self, method: str, behaviour: Handler) -> Handler:
        is_public = self._public_calls.includes(method)
        is_logged = not (is_public or method in self._unlogged_methods)
        slots = self._public_calls.unary_slot if is_public else lambda _: self._unary_slots

        async def handle(request: Request, context: Context) -> Response:
            call = _Call(
                self._log, method, context, self._calls, self._tracing, is_active=not is_public
            )
            try:
                with slots(context):
                    if not is_public:
                        self._authorize(call, method, request, context)
                    async with asyncio.timeout(self._seconds_left(context)):
                        response = await behaviour(request, context)
            except asyncio.CancelledError:
                call.finish("CANCELLED")
                raise
            except grpc.aio.AbortError:  # the status has already been sent
                call.finish("ABORTED", logged=False)
                raise
            except Exception as error:  # noqa: BLE001 - the outermost handler
                await call.refuse(error)
            else:
                call.finish("OK", logged=is_logged)
                return response

        return handle if self._tracing is None else _traced(self._tracing, method, handle)

    def _stream(self, method: str, behaviour: Handler) -> Handler:
        is_public = self._public_calls.includes(method)
        is_logged = not (is_public or method in self._unlogged_methods)
        slots = (
            self._public_calls.stream_slot(method) if is_public else lambda _: self._stream_slots
        )

        # A coroutine: a timeout around the `yield` of a generator has no effect while the generator
        # waits for its consumer (PEP 789).
        async def handle(request: Request, context: Context) -> None:
            call = _Call(
                self._log, method, context, self._calls, self._tracing, is_active=not is_public
            )
            try:
                with slots(context):
                    if not is_public:
                        self._authorize(call, method, request, context)
                    await self._send(method, behaviour(request, context), call, context)
            except asyncio.CancelledError:
                call.finish("CANCELLED", logged=is_logged)
                raise
            except grpc.aio.AbortError:  # the status has already been sent
                raise
            except Exception as error:  # noqa: BLE001 - the outermost handler
                await call.refuse(error)
            else:
                call.finish("OK", logged=is_logged)

        return handle

    async def _send(
        self,
        method: str,
        responses: AsyncGenerator[Response, None],
        call: "_Call",
        context: Context,
    ) -> None:
        """Send the responses of a stream within its time limits."""
        try:
            async with (
                asyncio.timeout(self._stream_seconds.get(method)),
                aclosing(responses),
            ):
                async for response in responses:
                    await self._write(response, context)
        except grpc.aio.AbortError:  # the status has already been sent
            call.finish("ABORTED", logged=False)
            raise
        except grpc.aio.BaseError as error:  # the caller disconnected, or the server stopped
            raise asyncio.CancelledError from error
        except Exception as error:  # noqa: BLE001 - the outermost handler
            # Hold the slot until the status is sent: while a caller reads nothing, its unsent
            # messages stay in memory.
            await call.refuse(error)

    async def _write(self, response: Response, context: Context) -> None:
        # gRPC's flow control delays the message while the caller does not read.
        try:
            async with asyncio.timeout(self._write_seconds) as limit:
                await context.write(response)
        except TimeoutError:
            if not limit.expired():
                raise
            raise Refusal(MESSAGE_NOT_READ, self._write_seconds) from None

    def _seconds_left(self, context: Context) -> float | None:
        """The time until the absolute deadline of a call; None if it has none."""
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
        call.add_fields(request, self._logged_fields)


class _Slots:
    """The slots of concurrent calls."""

    __slots__ = ("_free",)

    def __init__(self, number: int) -> None:
        self._free = number

    def __enter__(self) -> None:
        if not self._free:
            raise Refusal(OVERLOADED)
        self._free -= 1

    def __exit__(self, *_: object) -> None:
        self._free += 1


def _traced(tracing: Tracing, method: str, behaviour: Handler) -> Handler:
    name = method.lstrip("/")
    attributes = rpc_attributes(name)

    async def handle(request: Request, context: Context) -> Response:
        with tracing.server_span(name, context.invocation_metadata() or (), attributes):
            return await behaviour(request, context)

    return handle


class _Call:
    """One call, from its arrival to its log line."""

    __slots__ = (
        "_calls",
        "_context",
        "_ended",
        "_fields",
        "_is_active",
        "_log",
        "_method",
        "_request_id",
        "_started",
        "_tracing",
        "caller",
    )

    def __init__(
        self,
        log: Logger,
        method: str,
        context: Context,
        calls: RequestMetrics | None,
        tracing: Tracing | None,
        *,
        is_active: bool,
    ) -> None:
        self._log = log
        self._calls = calls
        self._tracing = tracing
        self._method = method
        self._context = context
        self._ended = False
        self._is_active = calls is not None and is_active
        self._started = time.perf_counter()
        if self._is_active and calls is not None:
            calls.begin()
        self._request_id = _request_id(context)
        self._fields: dict[str, str] = {}
        self.caller = "anonymous"

    def add_fields(self, request: Request, fields: Sequence[str]) -> None:
        """Add fields of the request to the log line. A value that is not an id is left out."""
        for name in fields:
            value = getattr(request, name, "")
            if _ID.fullmatch(value):
                self._fields[name] = value

    def finish(
        self, outcome: str, status_code: str = "", *, logged: bool = True, **fields: str
    ) -> None:
        """Log and measure the end of the call. The outcome is a status code or a reason."""
        if self._ended:  # cancelled while its refusal was being sent
            return
        self._ended = True
        if not logged:
            if self._is_active and self._calls is not None:
                self._calls.end_unmeasured()
            return
        self._measure(status_code or outcome, "" if outcome == "OK" else outcome)
        self._log.info(
            "call",
            method=self._method,
            outcome=outcome,
            duration_ms=round((time.perf_counter() - self._started) * 1000, 2),
            request_id=self._request_id,
            caller=self.caller,
            **self._fields,
            **fields,
        )

    def _measure(self, status_code: str, error_type: str) -> None:
        if self._calls is not None:
            if not self._is_active:  # `end` expects an active call
                self._calls.begin()
            self._calls.end(self._started, self._method[1:], status_code, error_type)
        if self._tracing is not None:
            self._tracing.rpc_ended(status_code, error_type)

    async def refuse(self, error: Exception) -> None:
        refusal = self._as_refusal(error)
        cause = error.__cause__
        if cause is None:
            self.finish(refusal.reason, refusal.code.value)
        else:
            self.finish(refusal.reason, refusal.code.value, error_type=type(cause).__name__)
        try:
            await self._context.abort(
                _CODES[refusal.code.value], refusal.detail, to_trailing_metadata(refusal)
            )
        except grpc.aio.InternalError as disconnected:  # before the status was sent
            raise asyncio.CancelledError from disconnected

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


def _metadata_value(context: Context, key: str) -> str:
    """The value of a metadata key; empty if the call does not have it."""
    for each, value in context.invocation_metadata() or ():
        if each == key:
            return str(value)
    return ""
