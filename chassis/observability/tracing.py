"""OpenTelemetry traces, propagated between processes by W3C Trace Context.

Unless OTEL_EXPORTER_OTLP_ENDPOINT is set, tracing is off and no OpenTelemetry module is loaded.
Names and attributes follow OpenTelemetry's semantic conventions. A span names a route, a method, or
the operation and table of a statement; never a value.
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
_HEALTH: Final = "/grpc.health."
_UPDATE: Final = re.compile(r"\bUPDATE\s+(\w+)")
_HEADER: Final = re.compile(r"[\w!#$%&'*+.^`|~-]++[ \t]*+=[ \t]*+[ !#-+\--:<-\[\]-~]*+", re.ASCII)
"""A header as OpenTelemetry parses it, without surrounding blanks (W3C Baggage)."""


class Tracing:
    """Creates the spans of one process."""

    def __init__(self, provider: "TracerProvider", process: str) -> None:
        from opentelemetry.trace import (  # noqa: PLC0415 - only if tracing is on
            SpanKind,
            Status,
            StatusCode,
            get_current_span,
        )
        from opentelemetry.trace.propagation import tracecontext  # noqa: PLC0415

        self._provider = provider
        self._tracer = provider.get_tracer(process)
        self._kinds = SpanKind
        self._current_span = get_current_span
        self._failed = Status(StatusCode.ERROR)
        self._context = tracecontext.TraceContextTextMapPropagator()

    @contextmanager
    def server_span(
        self, name: str, headers: Iterable[tuple[str, Any]], attributes: Mapping[str, str]
    ) -> Iterator["Span"]:
        """The span of an incoming request, in its caller's trace.

        Records an exception as `error.type`, unless that attribute is set already.
        """
        carrier = {key.lower(): value for key, value in headers if key.lower() in _HEADERS}
        parent = self._context.extract(carrier)
        kind = self._kinds.SERVER
        with self._tracer.start_as_current_span(
            name,
            parent,
            kind,
            dict(attributes),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except BaseException as error:
                if "error.type" not in (getattr(span, "attributes", None) or {}):
                    self.fail(span, type(error).__name__)
                raise

    def fail(self, span: "Span", error_type: str) -> None:
        """Mark a span as failed. The error's text is left out: it may contain values."""
        span.set_attribute("error.type", error_type)
        span.set_status(self._failed)

    def rpc_ended(self, status_code: str, reason: str) -> None:
        """Set the outcome of a call on its span. The reason is empty for a success.

        Only status codes that are errors of the server mark its span as failed.
        """
        span = self._current_span()
        span.set_attribute("rpc.response.status_code", status_code)
        if status_code in _SERVER_ERRORS:
            self.fail(span, reason)
        elif reason:
            span.set_attribute("error.type", reason)

    @contextmanager
    def client_span(self, method: str) -> Iterator[tuple["Span", Mapping[str, str]]]:
        """The span of an outgoing call, and the call metadata that propagates the trace."""
        with self._tracer.start_as_current_span(
            method, kind=self._kinds.CLIENT, attributes=rpc_attributes(method)
        ) as span:
            carrier: dict[str, str] = {}
            self._context.inject(carrier)
            yield span, carrier

    def record_statement(self, record: Any) -> None:  # noqa: ANN401 - asyncpg.connection.LoggedQuery
        """Record the span of an SQL statement that has just ended."""
        end = time_ns()
        summary = statement_name(record.query)
        operation, _, table = summary.partition(" ")
        attributes = {
            "db.system.name": "postgresql",
            "db.query.summary": summary,
            "db.operation.name": operation,
        }
        if table:
            attributes["db.collection.name"] = table
        span = self._tracer.start_span(
            summary,
            kind=self._kinds.CLIENT,
            attributes=attributes,
            start_time=end - int(record.elapsed * 1e9),
        )
        if record.exception is not None:
            self.fail(span, type(record.exception).__name__)
        span.end(end)

    def close(self) -> None:
        """Export the remaining spans, within a few seconds."""
        self._provider.shutdown()


def rpc_attributes(method: str) -> dict[str, str]:
    """The attributes of a call's span. `method` is `package.Service/Method`."""
    return {"rpc.system.name": "grpc", "rpc.method": method}


_SERVER_ERRORS: Final = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
)
"""The status codes that count as server errors in the semantic conventions for gRPC."""
_HEADERS: Final = frozenset({"traceparent", "tracestate"})


class TracedCalls(grpc.aio.UnaryUnaryClientInterceptor):
    """Creates a span for each call of a channel, and propagates the trace to the server.

    Health calls have no span: a channel sends several a second.
    """

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:  # noqa: ANN401
        """Make the call in a span that ends with the response."""
        method = details.method
        name = method.decode() if isinstance(method, bytes) else method
        if name.startswith(_HEALTH):
            return await continuation(details, request)
        with self._tracing.client_span(name.lstrip("/")) as (span, carrier):
            metadata = grpc.aio.Metadata(*(details.metadata or ()), *carrier.items())
            call = await continuation(details._replace(metadata=metadata), request)
            code = (await call.code()).name
            span.set_attribute("rpc.response.status_code", code)
            if code != "OK":
                self._tracing.fail(span, code)
            return call


@asynccontextmanager
async def tracing(process: str) -> AsyncIterator[Tracing | None]:
    """Trace a process until the block ends. Yields None if tracing is off.

    Refuses (StartError) settings with a secret that OpenTelemetry would log.
    """
    if not os.environ.get(ENDPOINT):
        yield None
        return
    _refuse_secrets_in_log()
    opened = _open(process)
    try:
        yield opened
    finally:
        await asyncio.to_thread(opened.close)


def trace_context(
    _logger: object, _method: str, entry: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Add the ids of the current trace and span, if any, to a log entry."""
    from opentelemetry.trace import get_current_span  # noqa: PLC0415 - only if tracing is on

    context = get_current_span().get_span_context()
    if context.is_valid:
        entry["trace_id"] = f"{context.trace_id:032x}"
        entry["span_id"] = f"{context.span_id:016x}"
    return entry


def statement_name(query: str) -> str:
    """The operation and table of an SQL statement, without values."""
    match = _STATEMENT.search(query)
    if match is None:
        return "statement"
    if match[1] == "UPDATE" and (updated := _UPDATE.search(query)):
        return f"UPDATE {updated[1]}"
    return f"{match[1]} {match[2]}" if match[2] else match[1]


def _refuse_secrets_in_log() -> None:
    """Refuse settings with secrets that OpenTelemetry would log.

    OpenTelemetry logs the endpoint if it is unreachable, and headers that it cannot parse.
    """
    for name in (ENDPOINT, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        if "@" in os.environ.get(name, ""):
            raise StartError(
                f"{name} must not contain a user name or password: "
                "put credentials into OTEL_EXPORTER_OTLP_HEADERS"
            )
    for name in ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"):
        value = os.environ.get(name, "")
        parts = filter(None, (part.strip(" \t") for part in value.split(",")))
        if value.isspace() or not all(map(_HEADER.fullmatch, parts)):
            raise StartError(f"{name} is not NAME=VALUE,NAME=VALUE with URL-encoded values")


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
