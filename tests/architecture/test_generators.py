"""No timeout or task group spans the `yield` of an async generator (PEP 789).

While a generator is suspended at its `yield`, an expired timeout cancels whatever the task does at
that moment, or nothing while the task waits for a reader. Put the limit around the code that
consumes the generator.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("chassis", "gateway", "usersvc", "keysvc", "deploy")
SCOPES = {"timeout", "timeout_at", "TaskGroup", "Runner"}
"""Context managers that cancel what runs inside them."""
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """The descendants of a node, except those inside nested functions."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, FUNCTIONS):
            yield from own_nodes(child)


def called(node: ast.expr) -> str:
    """The last part of the called name."""
    function = node.func if isinstance(node, ast.Call) else node
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def spanning_scopes(source: str) -> list[int]:
    """The lines of scopes around a `yield` of an async generator.

    This includes generators that are context managers: a generator that enters one can yield in it,
    and then its scopes span that `yield`, too.
    """
    return [
        block.lineno
        for function in ast.walk(ast.parse(source))
        if isinstance(function, ast.AsyncFunctionDef)
        for block in own_nodes(function)
        if isinstance(block, ast.AsyncWith | ast.With)
        if any(called(item.context_expr) in SCOPES for item in block.items)
        if any(isinstance(node, ast.Yield) for node in own_nodes(block))
    ]


def modules() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_timeout_or_task_group_spans_a_yield(path: Path):
    assert spanning_scopes(path.read_text()) == []


@pytest.mark.parametrize(
    "scope",
    [
        "asyncio.timeout(1)",
        "timeout(1)",
        "asyncio.TaskGroup() as tasks",
        "self._slot(), timeout(1)",
    ],
)
@pytest.mark.parametrize("decorator", ["", "@asynccontextmanager\n"])
def test_scope_around_yield_is_found(scope: str, decorator: str):
    source = (
        f"{decorator}async def numbers():\n  async with {scope}:\n    if True:\n      yield 1\n"
    )
    assert len(spanning_scopes(source)) == 1


def test_scope_beside_yield_is_allowed():
    source = "async def numbers():\n  async with timeout(1):\n    await one()\n  yield 1\n"
    assert spanning_scopes(source) == []
