"""How pytest-xdist spreads the tests over its workers.

A worker takes complete files, because the tests of a file share fixtures. Files that share an
expensive fixture go to the same worker. The longest files start first, so that no worker runs one
of them alone at the end. Files with exclusive tests (`tests/support/exclusive.py`) come last:
every worker waits until the tests that run before an exclusive one have ended, and these are short.
"""

from typing import Final

import pytest
from xdist.scheduler import LoadScopeScheduling

TOGETHER: Final = ("tests/integration/image",)
"""Folders whose tests share a session fixture that takes minutes: building the image."""
LONGEST: Final = (
    "tests/end_to_end/resilience/test_chaos.py",
    "tests/integration/benchmarks/test_organizations.py",
    "tests/end_to_end/scim/test_openapi.py",
    "tests/integration/local/test_supervisor.py",
    "tests/integration/image/test_image.py",
    "tests/conformance/test_suites.py",
    "tests/end_to_end/portal/test_story.py",
    "tests/integration/data/test_migrations_with_data.py",
    "tests/integration/local/test_postgres.py",
    "tests/unit/tools/stall/test_growth.py",
    "tests/integration/startup/test_clocks.py",
    "tests/end_to_end/security/test_tenancy.py",
    "tests/integration/chassis/test_synchronous_standby.py",
    "tests/end_to_end/security/test_secrets.py",
    "tests/end_to_end/resilience/test_large_responses.py",
    "tests/integration/supervision/test_supervised_tasks.py",
    "tests/integration/benchmarks/test_short_comparison.py",
    "tests/integration/benchmarks/test_against.py",
    "tests/integration/gateway/test_descriptors.py",
    "tests/integration/startup/test_wrong_services.py",
    "tests/integration/gateway/test_refused_memory.py",
    "tests/integration/edge/test_limits.py",
    "tests/integration/edge/test_routing.py",
    "tests/end_to_end/scim/test_bulk_concurrency.py",
    "tests/end_to_end/resilience/test_memory.py",
    "tests/integration/k8s/test_custom_resources.py",
    "tests/integration/k8s/test_alerts.py",
    "tests/integration/data/test_backup.py",
    "tests/integration/plans/test_plans.py",
    "tests/integration/keysvc/test_process.py",
    "tests/end_to_end/portal/test_security.py",
    "tests/end_to_end/resilience/test_unknown_keys.py",
    "tests/end_to_end/resilience/test_leaks.py",
    "tests/integration/audit/test_audit_run.py",
    "tests/integration/data/test_migrations_under_load.py",
    "tests/conformance/test_recorded_shapes.py",
    "tests/integration/startup/test_wrong_database.py",
    "tests/unit/gateway/api/test_resource_types.py",
    "tests/unit/gateway/scim/test_properties.py",
)
"""Files that take 10 seconds or longer, the longest first (`pytest --durations=100`)."""


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
    exclusive: set[str] = set()
    for item in items:
        scope, rank = scope_of(item.nodeid), priority(item.nodeid.partition("::")[0])
        ranks[scope] = min(rank, ranks.get(scope, rank))
        if item.get_closest_marker("exclusive"):
            exclusive.add(scope)
    ranks |= dict.fromkeys(exclusive, len(LONGEST) + 1)
    items.sort(key=lambda item: ranks[scope_of(item.nodeid)])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByFile:
    config.option.loadscopereorder = False  # it would put files with many tests first
    return ByFile(config, log)
