"""A statement's span is named by its verb and table."""

import logging
import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.util.re import parse_env_headers

from chassis.observability.tracing import ENDPOINT, statement_name, tracing
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
def test_a_statement_is_named_without_its_values(query: str, name: str):
    assert statement_name(query) == name


def test_nothing_of_opentelemetry_is_loaded_while_it_is_off():
    code = (
        "import sys, gateway.__main__, keysvc.__main__; "
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"


HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"


async def trouble(variables: dict[str, str]) -> str:
    """Why a process with these variables does not start; empty if it does."""
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
async def test_what_would_be_logged_with_a_secret_in_it_is_refused_without(name: str, value: str):
    told = await trouble({name: value})
    assert told.startswith(f"{name} ")
    assert "s3cr" not in told


@given(st.text(st.sampled_from('ab= \t,;:"\\%20@é\n'), max_size=12))
@example("authorization=Bearer%20s3cr, tenant=us")
@example("authorization=Bearer s3cr")
async def test_headers_that_are_taken_are_logged_by_nobody(headers: str):
    if await trouble({HEADERS: headers}):
        return
    lines: list[logging.LogRecord] = []
    logger = logging.getLogger("opentelemetry.util.re")
    logger.addFilter(lines.append)
    parse_env_headers(headers, liberal=True)
    logger.removeFilter(lines.append)
    assert lines == []
