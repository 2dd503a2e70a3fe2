"""Long-lived tasks run under the supervisor; other tasks are listed with a reason."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("chassis", "gateway", "usersvc", "keysvc")
MAKERS = {"create_task", "ensure_future", "TaskGroup"}

ALLOWED = {
    "chassis/concurrency/supervisor.py": "Task.__init__: the supervisor's own",
    "chassis/batching/loader.py": "one statement, for the calls that wait for it",
    "chassis/rpc/rotating_channel.py": "_Generation._close_if_idle: closes one replaced channel",
    "chassis/concurrency/single_flight.py": "one call, shared by all that wait for it",
    "gateway/backend/batching/stream.py": "reads, writes and ends one short-lived stream",
    "usersvc/rpc/batching/stream.py": "calls of one stream, which end with it",
}
"""Modules that create tasks, with the reason why each task ends with a request or stream."""


def makes_tasks(path: Path) -> bool:
    return any(
        isinstance(node, ast.Attribute | ast.Name)
        and (node.attr if isinstance(node, ast.Attribute) else node.id) in MAKERS
        for node in ast.walk(ast.parse(path.read_text()))
    )


def test_tasks_are_created_by_supervisor_or_for_one_request():
    found = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if makes_tasks(path)
    }
    assert found == set(ALLOWED)
