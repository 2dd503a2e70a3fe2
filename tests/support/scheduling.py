"""How pytest-xdist spreads the tests over its workers.

A worker takes complete files, because the tests of a file share fixtures. Files that share an
expensive fixture go to the same worker. The longest files start first, so that no worker runs one
of them alone at the end.
"""

from typing import Final

import pytest
from xdist.scheduler import LoadScopeScheduling

TOGETHER: Final = ("tests/integration/image",)
"""Folders whose tests share a session fixture that takes minutes: building the image."""
LONGEST: Final = (
    "tests/end_to_end/scim/test_openapi.py",
    "tests/integration/local/test_supervisor.py",
    "tests/integration/image/test_image.py",
    "tests/integration/local/test_postgres.py",
    "tests/end_to_end/portal/test_story.py",
    "tests/end_to_end/resilience/test_large_responses.py",
    "tests/end_to_end/resilience/test_chaos.py",
    "tests/integration/usersvc/test_erase_person.py",
    "tests/integration/keysvc/test_process.py",
    "tests/end_to_end/resilience/test_memory.py",
    "tests/integration/supervision/test_supervised_tasks.py",
    "tests/integration/benchmarks/test_against.py",
    "tests/integration/benchmarks/test_short_comparison.py",
    "tests/end_to_end/portal/test_security.py",
    "tests/integration/keysvc/test_erase_person.py",
    "tests/end_to_end/resilience/test_unknown_keys.py",
    "tests/integration/edge/test_limits.py",
    "tests/integration/audit/test_audit_run.py",
    "tests/integration/k8s/test_schemas.py",
    "tests/integration/data/test_migrations_under_load.py",
    "tests/unit/gateway/scim/test_properties.py",
)
"""Files that take 15 seconds or longer, the longest first (`pytest --durations=100`)."""


def scope_of(node_id: str) -> str:
    """The unit of work that a test belongs to: its file, or the folder that shares a fixture."""
    file = node_id.partition("::")[0]
    for folder in TOGETHER:
        if file.startswith(f"{folder}/"):
            return folder
    return file


def priority(file: str) -> int:
    """The rank by which files are sorted; the longest file has the smallest rank."""
    return LONGEST.index(file) if file in LONGEST else len(LONGEST)


class ByFile(LoadScopeScheduling):
    """Gives each worker one file after the other, in the order of collection."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks: dict[str, int] = {}
    for item in items:
        scope, rank = scope_of(item.nodeid), priority(item.nodeid.partition("::")[0])
        ranks[scope] = min(rank, ranks.get(scope, rank))
    items.sort(key=lambda item: ranks[scope_of(item.nodeid)])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByFile:
    config.option.loadscopereorder = False  # it would put files with many tests first
    return ByFile(config, log)
