"""Errors in logs during faults."""

import json
from pathlib import Path

from tools.chaos.logs import Logs


def line(**fields: str) -> str:
    return json.dumps(fields) + "\n"


def test_errors_and_tracebacks_are_counted_once_by_program(tmp_path: Path):
    first, second = tmp_path / "usersvc0.log", tmp_path / "usersvc1.log"
    lost = line(event="Task exception was never retrieved\nfuture: …", level="error")
    first.write_text(
        line(event="call", level="info") + lost + "Traceback (most recent call last)\n"
    )
    second.write_text(lost + "applied 0001_users.sql\n")
    logs = Logs([first, second])

    assert logs.read_errors() == {
        "usersvc logged: Task exception was never retrieved": 2,
        "usersvc logged: Traceback": 1,
    }
    assert logs.read_errors() == {}


def test_line_that_is_not_complete_is_read_later(tmp_path: Path):
    log = tmp_path / "gateway0.log"
    error = line(event="internal error", level="error")
    log.write_text(error[:10])
    logs = Logs([log])
    before = logs.read_errors()
    log.write_text(error)

    assert (before, logs.read_errors()) == ({}, {"gateway logged: internal error": 1})


def test_report_of_dropped_lines_is_permitted(tmp_path: Path):
    log = tmp_path / "gateway0.log"
    log.write_text(line(event="log lines dropped", level="error"))
    assert Logs([log]).read_errors() == {}
