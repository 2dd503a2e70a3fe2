"""Fixtures that tests of every level share."""

import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from chassis.observability import log
from tests.support.postgres import TestPostgres, throw_away_postgres
from tests.support.stack import Stack, running_stack

END_SECONDS = 30.0
_STATUS = pytest.StashKey[int]()


@pytest.fixture(autouse=True)
def _logging_stays_as_it_was() -> Iterator[None]:
    """`chassis.observability.log.configure` is for a whole process; here it ends with the test.

    Else loggers of later tests drop what is below the level that it was given.
    """
    before, root = structlog.get_config(), logging.getLogger()
    level = root.level
    try:
        yield
    finally:
        structlog.configure(**before)
        root.setLevel(level)
        for handler in list(root.handlers):
            if type(handler).__module__ == log.__name__:
                root.removeHandler(handler)


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[TestPostgres]:
    """One PostgreSQL for the whole session; take databases from its templates."""
    with throw_away_postgres() as postgres:
        yield postgres


@pytest.fixture(scope="session")
def tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running region with one organization: `url` and `token` reach it as Entra would."""
    directory: Path = tmp_path_factory.mktemp("run")
    with running_stack(directory) as stack:
        yield stack


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    """Where a change is judged nothing may be skipped; elsewhere pytest says what was and why."""
    if os.environ.get("CI") and terminalreporter.stats.get("skipped"):
        terminalreporter.write_line("CI is set, and tests were skipped: that counts as failure.")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    session.config.stash[_STATUS] = int(session.exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """All is done and said: what is left is not waited for without end.

    When the last of gRPC's objects is collected it joins its polling thread, which was seen to
    wait for ever.
    """
    status = config.stash.get(_STATUS, None)
    if status is not None:
        last = threading.Timer(END_SECONDS, os._exit, [status])
        last.daemon = True
        last.start()
