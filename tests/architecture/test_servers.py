"""Every gRPC server that a test starts is stopped, also when the test fails."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STAND_INS = "stand_ins"
"""Folder of separate programs, which end with a signal."""
FAILING_TEST = """
import asyncio, gc, grpc
from tests.support.servers import listening

stored = []  # as pytest keeps the frames of a test that failed

async def fail():
    server = grpc.aio.server()
    stored.append(server)
    async with listening(server):
        raise ValueError

try:
    asyncio.run(fail())
except ValueError:
    pass
stored.clear()
gc.collect()
"""


def test_process_ends_after_a_failed_test_with_a_server():
    subprocess.run(
        [sys.executable, "-c", FAILING_TEST],
        env={"PYTHONPATH": str(ROOT)},
        timeout=60,
        check=True,
    )


def unguarded_starts(source: str) -> Iterator[int]:
    """Lines that await `start()` of a server in a function that has no `finally: … .stop(…)`."""
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.AsyncFunctionDef):
            continue
        stopped = any(
            ".stop(" in ast.unparse(statement)
            for node in ast.walk(function)
            if isinstance(node, ast.Try)
            for statement in node.finalbody
        )
        for node in ast.walk(function):
            is_start = isinstance(node, ast.Await) and ast.unparse(node.value) == "server.start()"
            if is_start and not stopped:
                yield node.lineno


def test_every_test_stops_its_servers():
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if STAND_INS not in path.parts and "grpc.aio" in (source := path.read_text())
        for line in unguarded_starts(source)
    ]
    assert found == [], "use listening() of tests/support/servers.py"


def test_server_stopped_outside_finally_is_found():
    source = "async def serving():\n    await server.start()\n    await server.stop(None)"
    assert list(unguarded_starts(source)) == [2]
