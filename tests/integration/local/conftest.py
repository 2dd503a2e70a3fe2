"""Short directories for sockets, and supervisors that end with their test."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.local.running import RunningSupervisor


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory that every account can traverse."""
    path = Path(tempfile.mkdtemp(prefix="local-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., RunningSupervisor]]:
    """A function that starts supervisors in one run directory, and stops them at the end."""
    started: list[RunningSupervisor] = []

    def start(*options: str, **settings: str) -> RunningSupervisor:
        started.append(RunningSupervisor(folder / "run", *options, settings=settings))
        return started[-1]

    yield start
    for running in started:
        running.stop()
