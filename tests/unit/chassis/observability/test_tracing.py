"""Tracing: names and attributes of spans, and settings that would leak secrets to the log."""

import asyncio
import logging
import subprocess
import sys
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.util.re import parse_env_headers

from chassis.observability.tracing import (
    ENDPOINT,
    Tracing,
    rpc_attributes,
    statement_name,
    trace_context,
    tracing,
)
from chassis.startup import StartError


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("SELECT a FROM app_user WHERE user_name = 'ann'", "SELECT app_user"),
        ("\n  INSERT INTO api_key (a) VALUES ('secret')", "INSERT api_key"),
        ("UPDATE api_key SET a = 'FROM secret'", "UPDATE api_key"),
        ("DELETE FROM member WHERE a = $1", "DELETE member"),
        ("SELECT 1", "SELECT"),
        ("BEGIN;", "statement"),
    ],
)
def test_statement_name_contains_no_value(query: str, name: str):
    assert statement_name(query) == name


def test_opentelemetry_is_not_loaded_if_tracing_is_off():
    code = (
        "import sys, gateway.__main__, keysvc.__main__; "
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "[]\n"


HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"


@pytest.fixture(autouse=True, scope="module")
def loaded_sdk() -> None:
    """Load the SDK once, so that its load time does not count for a hypothesis example."""
    asyncio.run(start_error({}))


async def start_error(variables: dict[str, str]) -> str:
    """The error of a process that starts with these variables; empty if it starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ENDPOINT, "http://127.0.0.1:1")
        for name, value in variables.items():
            patch.setenv(name, value)
        try:
            async with tracing("test"):
                return ""
        except StartError as error:
            return str(error)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (ENDPOINT, "http://us:s3cr@collector:4317"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "us:s3cr@collector:4317"),
        (HEADERS, "authorization: Bearer s3cr"),
        (HEADERS, "tenant=us, s3cr"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", 'authorization="s3cr"'),
    ],
)
async def test_setting_with_a_secret_that_would_be_logged_is_refused_unquoted(
    name: str, value: str
):
    error = await start_error({name: value})
    assert error.startswith(f"{name} ")
    assert "s3cr" not in error


@given(st.text(st.sampled_from('ab= \t,;:"\\%20@é\n'), max_size=12))
@example("authorization=Bearer%20s3cr, tenant=us")
@example("authorization=Bearer s3cr")
async def test_accepted_headers_are_not_logged_by_opentelemetry(headers: str):
    if await start_error({HEADERS: headers}):
        return
    lines: list[logging.LogRecord] = []
    logger = logging.getLogger("opentelemetry.util.re")
    logger.addFilter(lines.append)
    parse_env_headers(headers, liberal=True)
    logger.removeFilter(lines.append)
    assert lines == []


METHOD = "example.v1.EchoService/Echo"


class Spans:
    """A real tracer with an in-memory exporter."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = Tracing(provider, "test")

    def only(self) -> ReadableSpan:
        (span,) = self._exporter.get_finished_spans()
        return span


def test_statement_span_has_database_attributes_and_no_value():
    spans = Spans()
    query = "UPDATE api_key SET name = 'secret' WHERE key_id = $1"
    spans.tracing.record_statement(SimpleNamespace(query=query, elapsed=0.001, exception=None))
    assert dict(spans.only().attributes or {}) == {
        "db.system.name": "postgresql",
        "db.query.summary": "UPDATE api_key",
        "db.operation.name": "UPDATE",
        "db.collection.name": "api_key",
    }


@pytest.mark.parametrize(
    ("status_code", "reason", "is_error"),
    [("OK", "", False), ("NOT_FOUND", "USER_NOT_FOUND", False), ("INTERNAL", "INTERNAL", True)],
)
def test_rpc_span_has_status_code_and_is_an_error_for_server_faults(
    status_code: str, reason: str, is_error: bool
):
    spans = Spans()
    with spans.tracing.server_span(METHOD, (), rpc_attributes(METHOD)):
        spans.tracing.rpc_ended(status_code, reason)
    span = spans.only()
    assert dict(span.attributes or {}) == {
        "rpc.system.name": "grpc",
        "rpc.method": METHOD,
        "rpc.response.status_code": status_code,
        **({"error.type": reason} if reason else {}),
    }
    assert span.status.is_ok is not is_error


def test_exception_does_not_replace_the_error_type_of_a_call():
    spans = Spans()

    def refuse() -> None:
        with spans.tracing.server_span(METHOD, (), rpc_attributes(METHOD)):
            spans.tracing.rpc_ended("NOT_FOUND", "USER_NOT_FOUND")
            raise ValueError("aborted")

    with pytest.raises(ValueError, match="aborted"):
        refuse()
    assert (spans.only().attributes or {})["error.type"] == "USER_NOT_FOUND"


def test_log_line_has_the_ids_of_the_current_trace_and_span():
    spans = Spans()
    with spans.tracing.server_span(METHOD, (), rpc_attributes(METHOD)) as span:
        entry = trace_context(None, "info", {"event": "call"})
    context = span.get_span_context()
    assert entry["trace_id"] == f"{context.trace_id:032x}"
    assert entry["span_id"] == f"{context.span_id:016x}"
