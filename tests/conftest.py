"""Fixtures and hooks that tests of every level share."""

import gc
import logging
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

from chassis.observability import log
from tests.support.exclusive import pytest_runtest_protocol
from tests.support.postgres import TestPostgres, temporary_postgres
from tests.support.processes import inherit_default_signals
from tests.support.scheduling import pytest_collection_modifyitems, pytest_xdist_make_scheduler
from tests.support.skips import pytest_sessionfinish, pytest_terminal_summary
from tests.support.stack import Stack, running_stack

__all__ = [
    "pytest_collection_modifyitems",
    "pytest_runtest_protocol",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
    "pytest_xdist_make_scheduler",
]


# No deadline per example: a test must not fail because the machine is busy.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


def pytest_configure(config: pytest.Config) -> None:
    """Reset ignored signals, except in pytest-xdist's controller, which runs no tests."""
    is_worker = hasattr(config, "workerinput")
    if is_worker or not config.getoption("numprocesses", None):
        inherit_default_signals()


def pytest_collection_finish() -> None:
    """Exempt what the collection created from garbage collections: it lives until the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    """Undo `chassis.observability.log.configure`, which configures the whole process.

    Otherwise the loggers of later tests would drop entries below its level.
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


@pytest.fixture
def sigint_ignored() -> Iterator[None]:
    """Ignore SIGINT, as a shell without job control does for background commands."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[TestPostgres]:
    """One PostgreSQL cluster for the session; tests take databases from its templates."""
    with temporary_postgres() as postgres:
        yield postgres


@pytest.fixture(scope="session")
def tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running region with one organization, which `url` and `token` reach as Entra would."""
    directory: Path = tmp_path_factory.mktemp("run")
    with running_stack(directory) as stack:
        yield stack
