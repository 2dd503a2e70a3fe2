"""The image, once per session."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.image.images import Store, build, driver, need_tools, stand_in_bases, wheels
from tests.support.image.shared import Image


@pytest.fixture(scope="session")
def image() -> Iterator[Image]:
    """The image of this checkout."""
    need_tools()
    # Not in pytest's folder, which pytest keeps: the image has a thousand Debian files.
    folder = Path(tempfile.mkdtemp(prefix="image-test-", dir="/var/tmp"))
    folder.chmod(0o711)
    try:
        store, wheelhouse = Store(folder, driver(folder / "probe")), wheels(folder / "wheels")
        stand_in_bases(store, folder)
        yield Image(store, build(store, wheelhouse, "localhost/provisioning:test"), wheelhouse)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
