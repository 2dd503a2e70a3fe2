"""A test waits for an event or a condition, never for a fixed time."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WAITING = ROOT / "tests" / "support" / "waiting.py"


def modules() -> Iterator[Path]:
    for path in sorted((ROOT / "tests").rglob("*.py")):
        if path != WAITING:
            yield path


def fixed_sleeps(source: str) -> Iterator[int]:
    """Lines that call `sleep` except with a literal zero, which only yields to the event loop."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "sleep":
            seconds = node.args[0] if node.args else None
            if not (isinstance(seconds, ast.Constant) and seconds.value == 0):
                yield node.lineno


def test_no_test_sleeps_for_a_fixed_time():
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in modules()
        for line in fixed_sleeps(path.read_text())
    ]
    assert found == [], "use eventually(), quiescent() or pace() of tests/support/waiting.py"


def test_sleep_of_asyncio_or_time_is_found():
    source = "import asyncio, time\nasyncio.sleep(0)\nasyncio.sleep(0.1)\ntime.sleep(seconds)"
    assert list(fixed_sleeps(source)) == [3, 4]
