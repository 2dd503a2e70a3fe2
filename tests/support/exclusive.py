"""Tests that need the machine for themselves, among tests that run in parallel.

Every test holds a lock while it runs: a shared lock, or an exclusive one if it has the marker
`exclusive`. An exclusive test waits until all running tests have ended; other tests wait for it.
"""

import fcntl
import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest


@contextmanager
def _locked(path: Path, operation: int) -> Iterator[None]:
    with path.open("ab") as file:
        fcntl.flock(file, operation)
        yield


@contextmanager
def turn(folder: Path, *, exclusive: bool) -> Iterator[None]:
    """Hold the lock during the block, shared or exclusive.

    A test holds a second lock, the queue, while it waits for the first one. So no test overtakes a
    waiting exclusive test, which waits only for the tests that already run.
    """
    with ExitStack() as stack:
        with _locked(folder / "queue", fcntl.LOCK_EX):
            operation = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
            stack.enter_context(_locked(folder / "running", operation))
        yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run the test under the lock; time spent waiting does not count against its timeout."""
    if "PYTEST_XDIST_WORKER" not in os.environ:  # no other test runs
        return (yield)
    factory: pytest.TempPathFactory = item.config._tmp_path_factory
    folder = factory.getbasetemp().parent  # the folders of the workers are below that of the run
    with turn(folder, exclusive=item.get_closest_marker("exclusive") is not None):
        return (yield)
