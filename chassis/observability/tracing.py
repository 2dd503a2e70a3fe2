"""Traces of OpenTelemetry, from one process to the next by W3C trace context.

Off unless OTEL_EXPORTER_OTLP_ENDPOINT is set: then nothing of it is loaded. A
span names a method or a statement's verb and table; never a value.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, MutableMapping
from contextlib import asynccontextmanager, contextmanager
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

import grpc

from chassis.startup import StartError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
_STATEMENT: Final = re.compile(
    r"\b(SELECT|INSERT|UPDATE|DELETE|LOCK|SET)\b(?:.*?\b(?:FROM|INTO|UPDATE)\s+(\w+))?", re.DOTALL
)
_UPDATE: Final = re.compile(r"\bUPDATE\s+(\w+)")
_HEADER: Final = re.compile(r"[\w!#$%&'*+.^`|~-]++[ \t]*+=[ \t]*+[ !#-+\--:<-\[\]-~]*+", re.ASCII)
"""As OpenTelemetry reads one, without the blanks around it: W3C's baggage."""


class Tracing:
    """Makes the spans of one process."""

    def __init__(self, provider: "TracerProvider", process: str) -> None:
        from opentelemetry.trace import SpanKind, Status, StatusCode  # noqa: PLC0415 - only if on
        from opentelemetry.trace.propagation import tracecontext  # noqa: PLC0415

        self._provider = provider
        self._tracer = provider.get_tracer(process)
        self._kinds = SpanKind
        self._failed = Status(StatusCode.ERROR)
        self._context = tracecontext.TraceContextTextMapPropagator()

    @contextmanager
    def serving(self, name: str, headers: Iterable[tuple[str, Any]]) -> Iterator["Span"]:
        """The span of a request that came in; it goes on with its caller's trace."""
        carrier = {key.lower(): value for key, value in headers if key.lower() in _HEADERS}
        parent = self._context.extract(carrier)
        kind = self._kinds.SERVER
        with self._tracer.start_as_current_span(
            name, parent, kind, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(self._failed)  # without the error's text: it may hold values
                raise

    @contextmanager
    def calling(self, name: str) -> Iterator[Mapping[str, str]]:
        """The span of a call that goes out, and the headers that tell of it."""
        with self._tracer.start_as_current_span(name, kind=self._kinds.CLIENT):
            carrier: dict[str, str] = {}
            self._context.inject(carrier)
            yield carrier

    def statement(self, record: Any) -> None:  # noqa: ANN401 - asyncpg.connection.LoggedQuery
        """Note a statement that has just ended."""
        end = time_ns()
        span = self._tracer.start_span(
            statement_name(record.query),
            kind=self._kinds.CLIENT,
            attributes={"db.system.name": "postgresql"},
            start_time=end - int(record.elapsed * 1e9),
        )
        if record.exception is not None:
            span.set_attribute("error.type", type(record.exception).__name__)
        span.end(end)

    def close(self) -> None:
        """Send what is left; for a few seconds at most."""
        self._provider.shutdown()


_HEADERS: Final = frozenset({"traceparent", "tracestate"})


class TracedCalls(grpc.aio.UnaryUnaryClientInterceptor):
    """Gives each call of a channel its span, and the server the trace."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:  # noqa: ANN401
        """Make the call inside a span that lasts until its answer."""
        method = details.method
        name = method.decode() if isinstance(method, bytes) else method
        with self._tracing.calling(name) as carrier:
            metadata = grpc.aio.Metadata(*(details.metadata or ()), *carrier.items())
            call = await continuation(details._replace(metadata=metadata), request)
            await call.code()
            return call


@asynccontextmanager
async def tracing(process: str) -> AsyncIterator[Tracing | None]:
    """The traces of a process until the end of the block; None where they are off.

    Refuses (StartError) settings that OpenTelemetry would log with a secret in them.
    """
    if not os.environ.get(ENDPOINT):
        yield None
        return
    _refuse_what_would_be_logged()
    traces = _open(process)
    try:
        yield traces
    finally:
        await asyncio.to_thread(traces.close)


def trace_id(
    _logger: object, _method: str, entry: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Add the id of the current trace to a log line, if there is one."""
    from opentelemetry.trace import get_current_span  # noqa: PLC0415 - only where it is on

    context = get_current_span().get_span_context()
    if context.is_valid:
        entry["trace_id"] = f"{context.trace_id:032x}"
    return entry


def statement_name(query: str) -> str:
    """A statement's verb and table; no value is in either."""
    match = _STATEMENT.search(query)
    if match is None:
        return "statement"
    if match[1] == "UPDATE" and (updated := _UPDATE.search(query)):
        return f"UPDATE {updated[1]}"
    return f"{match[1]} {match[2]}" if match[2] else match[1]


def _refuse_what_would_be_logged() -> None:
    """It tells the endpoint whenever nobody answers there, and headers that it cannot read."""
    for name in (ENDPOINT, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        if "@" in os.environ.get(name, ""):
            raise StartError(f"{name} has a user in it: send a header instead")
    for name in ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"):
        value = os.environ.get(name, "")
        parts = filter(None, (part.strip(" \t") for part in value.split(",")))
        if value.isspace() or not all(map(_HEADER.fullmatch, parts)):
            raise StartError(f"{name} is not NAME=VALUE,NAME=VALUE with values as in an address")


def _open(process: str) -> Tracing:
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    provider = TracerProvider(
        resource=Resource.create({"service.name": process}), shutdown_on_exit=False
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=3)))
    return Tracing(provider, process)
