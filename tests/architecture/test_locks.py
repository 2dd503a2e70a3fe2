"""The lock files always install the same packages."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").rglob("*.txt"))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_package_locked_with_extras_is_also_locked_without_extras(lock: Path):
    entries = re.findall(r"(?m)^([A-Za-z0-9._-]+)(\[[^\]]+\])?==(\S+)", lock.read_text())
    bare = {(name, version) for name, extras, version in entries if not extras}
    assert {(name, version) for name, extras, version in entries if extras} <= bare
