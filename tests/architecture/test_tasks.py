"""Long-lived tasks run under the supervisor; other tasks are listed with a reason."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("chassis", "gateway", "usersvc", "keysvc")
TASK_FACTORIES = {"create_task", "ensure_future", "TaskGroup"}

ALLOWED = {
    "chassis/concurrency/supervisor.py": "Task.__init__: creates the supervised tasks",
    "chassis/batching/loader.py": "runs one statement, for the calls that wait for it",
    "chassis/batching/writer.py": "runs one transaction, for the calls that wait for it",
    "chassis/database/commit_monitor.py": "polls while commits are stalled, until the pool closes",
    "chassis/concurrency/waiting.py": "work_until_event: waits for the first of two",
    "chassis/database/pool.py": "returns one connection to the pool after an error",
    "chassis/rpc/rotating_channel.py": "_Generation._close_if_idle: closes one replaced channel",
    "chassis/concurrency/single_flight.py": "runs one call, shared by all that wait for it",
    "gateway/api/concurrent_steps.py": "runs the operations of one bulk request",
    "gateway/backend/batching/stream.py": "reads, writes and ends one short-lived stream",
    "usersvc/rpc/batching/stream.py": "runs the calls of one stream, which end with it",
}
"""Modules that may create tasks, and for what. Unsupervised tasks end with a request or stream."""


def creates_tasks(path: Path) -> bool:
    return any(
        isinstance(node, ast.Attribute | ast.Name)
        and (node.attr if isinstance(node, ast.Attribute) else node.id) in TASK_FACTORIES
        for node in ast.walk(ast.parse(path.read_text()))
    )


def test_only_the_supervisor_and_listed_modules_create_tasks():
    found = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if creates_tasks(path)
    }
    assert found == set(ALLOWED)
