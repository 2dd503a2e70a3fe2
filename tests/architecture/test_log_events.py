"""Log events are short and listed for operators, and their fields are in snake_case."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
OPERATIONS = ROOT / "docs/operations.md"
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
LOGGERS = {"log", "_log"}
"""Attributes that hold a structured logger. `logger` is not one: aiohttp's is of `logging`."""


def log_calls() -> Iterator[tuple[str, ast.Call]]:
    """Each call of a structured logger, with its location in the code."""
    for package in ("gateway", "usersvc", "keysvc", "chassis"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and _is_log_method(node.func):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def _is_log_method(function: ast.expr) -> bool:
    if not (isinstance(function, ast.Attribute) and function.attr in LEVELS):
        return False
    name = function.value
    return (
        name.attr in LOGGERS
        if isinstance(name, ast.Attribute)
        else isinstance(name, ast.Name) and name.id in {"log", "logger"}
    )


def event(call: ast.Call) -> str:
    first = call.args[0]
    assert isinstance(first, ast.Constant), "an event is a literal"
    return str(first.value)


def test_log_events_are_short_and_in_lower_case():
    events = {location: event(call) for location, call in log_calls()}
    assert len(events) > 20
    assert {
        location: text
        for location, text in events.items()
        if not re.fullmatch(r"[a-z][a-z -]{3,29}", text)
    } == {}


def test_log_fields_are_in_snake_case():
    fields = {each.arg for _, call in log_calls() for each in call.keywords if each.arg}
    assert {name for name in fields if not re.fullmatch(r"[a-z]+(_[a-z]+)*", name)} == set()


def test_log_events_are_listed_for_operators():
    section = OPERATIONS.read_text().partition("\n## Logs\n")[2].partition("\n## ")[0]
    rows = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
    listed = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    assert {event(call) for _, call in log_calls()} - listed == set()
