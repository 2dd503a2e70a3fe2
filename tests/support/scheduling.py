"""How pytest-xdist spreads the tests over its workers.

A worker takes whole files, because a file shares fixtures. Files that share a fixture that is
costly go to one worker together. The longest files start first, so that no worker runs one of them
alone at the end.
"""

from pathlib import PurePosixPath
from typing import Final

import pytest
from xdist.scheduler import LoadScopeScheduling

TOGETHER: Final = ("tests/integration/image",)
"""Folders whose tests share a fixture of the session that takes minutes: the image."""
LONGEST: Final = (
    "test_openapi.py",
    "test_local_supervisor.py",
    "test_image.py",
    "test_local_postgres.py",
    "test_portal_story.py",
    "test_large_responses.py",
    "test_chaos.py",
    "test_erase_person.py",
    "test_keysvc_process.py",
    "test_memory.py",
    "test_supervised_tasks.py",
    "test_short_comparison.py",
    "test_portal_security.py",
    "test_keysvc_erase_person.py",
    "test_made_up_keys.py",
    "test_edge_limits.py",
    "test_audit_run.py",
    "test_schemas.py",
    "test_migrations_under_load.py",
    "test_scim_properties.py",
)
"""Files that take 15 seconds or longer, the longest first (`pytest --durations=100`)."""


def scope_of(node_id: str) -> str:
    """The unit of work that a test belongs to: its file, or the folder that shares a fixture."""
    file = node_id.partition("::")[0]
    for folder in TOGETHER:
        if file.startswith(f"{folder}/"):
            return folder
    return file


def priority(path: PurePosixPath) -> int:
    """A rank to sort files by; the longest has the smallest."""
    return LONGEST.index(path.name) if path.name in LONGEST else len(LONGEST)


class ByFile(LoadScopeScheduling):
    """Gives each worker one file after the other, in the order of collection."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    first: dict[str, int] = {}
    for item in items:
        scope, rank = scope_of(item.nodeid), priority(PurePosixPath(item.path))
        first[scope] = min(rank, first.get(scope, rank))
    items.sort(key=lambda item: first[scope_of(item.nodeid)])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByFile:
    config.option.loadscopereorder = False  # it would put files with many tests first
    return ByFile(config, log)
