"""A folder for the region of a benchmark."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def bench_folder() -> Iterator[Path]:
    """A folder that PostgreSQL's account can pass through."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder
