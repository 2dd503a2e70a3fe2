"""A statement's span is named by its verb and table."""

import subprocess
import sys

import pytest

from chassis.tracing import statement_name


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
