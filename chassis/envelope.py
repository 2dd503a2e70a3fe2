"""What surrounds every call that a server answers: refusals and the log line."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence, Set
from contextlib import aclosing
from typing import Any, Final, TypeAlias
from uuid import uuid4

import grpc

from chassis.admission import Admission
from chassis.clock import Clock, system_clock
from chassis.deadline import END_BY_KEY, seconds_left
from chassis.log import Logger
from chassis.metrics import Requests
from chassis.refusal import DeadlineExceeded, Internal, Overloaded, Refusal
from chassis.status import to_trailing_metadata
from chassis.tracing import Tracing

MAX_CALLS: Final = 1_000
REQUEST_ID_KEY: Final = "x-request-id"
_ID: Final = re.compile(r"[0-9a-fA-F-]{36}")
_CODES: Final = {code.name: code for code in grpc.StatusCode}
# Open to every caller, and not worth a line: probes come every few seconds, for ever.
_OPEN: Final = ("/grpc.health.v1.Health/", "/grpc.reflection.")

# grpc's method handlers and the messages they pass on are untyped.
Handler = Any
Request = Any
Response = Any
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class Envelope(grpc.aio.ServerInterceptor):
    """Asks who calls, turns refusals into gRPC statuses, counts and logs each call once.

    What is no refusal is a fault of ours: its text goes to the log, and only
    the request id goes out. Without an admission every caller is let in. No
    more than `max_calls` run at once, and no more streams; the next are refused. The line tells the
    request's fields `told`, which must name ids only. Calls of the `carriers`
    bring others, each told and measured by itself, and are neither unless they are refused. A call
    that says when it must have ended (`chassis.deadline`) does not begin later, and is cancelled
    then.
    """

    def __init__(
        self,
        log: Logger,
        admission: Admission | None = None,
        calls: Requests | None = None,
        tracing: Tracing | None = None,
        told: Sequence[str] = (),
        *,
        max_calls: int = MAX_CALLS,
        carriers: Set[str] = frozenset(),
        clock: Clock = system_clock,
    ) -> None:
        self._log = log
        self._clock = clock
        self._carriers = carriers
        self._places = _Places(max_calls)
        # Streams last: with places of their own they take none from calls.
        self._stream_places = _Places(max_calls)
        self._told = told
        self._tracing = tracing
        self._calls = calls
        self._admission = admission
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
            wrapped = self._wrapped[method] = self.wrapped(method, handler)
        return wrapped

    def wrapped(self, method: str, handler: Handler) -> Handler:
        """A handler with all that surrounds its calls."""
        if method.startswith(_OPEN):
            return handler
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
        if handler.stream_stream and method in self._carriers:
            return grpc.stream_stream_rpc_method_handler(
                self._stream(method, handler.stream_stream),
                handler.request_deserializer,
                handler.response_serializer,
            )
        raise NotImplementedError(f"{method}: streams of requests are not taken")

    def _unary(self, method: str, behaviour: Handler) -> Handler:
        async def answer(request: Request, context: Context) -> Response:
            call = _Call(self._log, method, context, self._calls)
            try:
                with self._places:
                    self._admit(call, method, request, context)
                    async with asyncio.timeout(self._seconds_left(context)):
                        response = await behaviour(request, context)
            except asyncio.CancelledError:
                call.tell("CANCELLED")
                raise
            except Exception as error:  # noqa: BLE001 - the outermost handler
                await call.refuse(error)
            else:
                call.tell("OK", logged=method not in self._carriers)
                return response

        return answer if self._tracing is None else _traced(self._tracing, method, answer)

    def _stream(self, method: str, behaviour: Handler) -> Handler:
        logged = method not in self._carriers

        async def answer(request: Request, context: Context) -> AsyncIterator[Response]:
            call = _Call(self._log, method, context, self._calls)
            try:
                with self._stream_places:
                    self._admit(call, method, request, context)
                    async with aclosing(behaviour(request, context)) as responses:
                        async for response in responses:
                            yield response
            except (asyncio.CancelledError, GeneratorExit):  # the latter while nobody read on
                call.tell("CANCELLED", logged=logged)
                raise
            except Exception as error:  # noqa: BLE001 - the outermost handler
                await call.refuse(error)
            else:
                call.tell("OK", logged=logged)

        return answer

    def _seconds_left(self, context: Context) -> float | None:
        """How long a call may take by its caller's clock, None if it does not say."""
        value = _told(context, END_BY_KEY)
        if not value:
            return None
        seconds = seconds_left(value, self._clock)
        if seconds <= 0:
            raise DeadlineExceeded("The deadline passed before the call came; nothing was done.")
        return seconds

    def _admit(self, call: "_Call", method: str, request: Request, context: Context) -> None:
        if self._admission is not None:
            call.caller = self._admission.admit(method, context)
        call.note(request, self._told)


class _Places:
    """How many calls may run at once."""

    __slots__ = ("_left",)

    def __init__(self, number: int) -> None:
        self._left = number

    def __enter__(self) -> None:
        if not self._left:
            raise Overloaded
        self._left -= 1

    def __exit__(self, *_: object) -> None:
        self._left += 1


def _traced(tracing: Tracing, method: str, behaviour: Handler) -> Handler:
    async def answer(request: Request, context: Context) -> Response:
        with tracing.serving(method, context.invocation_metadata() or ()):
            return await behaviour(request, context)

    return answer


class _Call:
    """One call from its arrival to its log line."""

    __slots__ = (
        "_calls",
        "_context",
        "_log",
        "_method",
        "_noted",
        "_request_id",
        "_started",
        "caller",
    )

    def __init__(self, log: Logger, method: str, context: Context, calls: Requests | None) -> None:
        self._log = log
        self._calls = calls
        self._method = method
        self._context = context
        self._started = time.perf_counter() if calls is None else calls.begin()
        self._request_id = _request_id(context)
        self._noted: dict[str, str] = {}
        self.caller = "anonymous"

    def note(self, request: Request, fields: Sequence[str]) -> None:
        """Keep the ids that the line shall tell of the request; what is no id is not told."""
        for name in fields:
            value = getattr(request, name, "")
            if _ID.fullmatch(value):
                self._noted[name] = value

    def tell(self, outcome: str, *, logged: bool = True, **more: str) -> None:
        if not logged:
            if self._calls is not None:
                self._calls.leave()
            return
        if self._calls is not None:
            self._calls.end(self._started, self._method, outcome)
        self._log.info(
            "call",
            method=self._method,
            outcome=outcome,
            milliseconds=round((time.perf_counter() - self._started) * 1000, 2),
            request_id=self._request_id,
            caller=self.caller,
            **self._noted,
            **more,
        )

    async def refuse(self, error: Exception) -> None:
        refusal = self._as_refusal(error)
        cause = error.__cause__
        if cause is None:
            self.tell(refusal.reason)
        else:
            self.tell(refusal.reason, cause=type(cause).__name__)
        await self._context.abort(
            _CODES[refusal.code.value], refusal.detail, to_trailing_metadata(refusal)
        )

    def _as_refusal(self, error: Exception) -> Refusal:
        if isinstance(error, Refusal):
            return error
        if isinstance(error, TimeoutError):
            return DeadlineExceeded()
        self._log.error("fault", method=self._method, request_id=self._request_id, exc_info=error)
        return Internal(self._request_id)


def _request_id(context: Context) -> str:
    return _told(context, REQUEST_ID_KEY) or uuid4().hex


def _told(context: Context, wanted: str) -> str:
    """What the metadata have under a key, nothing if they have not."""
    for key, value in context.invocation_metadata() or ():
        if key == wanted:
            return str(value)
    return ""
