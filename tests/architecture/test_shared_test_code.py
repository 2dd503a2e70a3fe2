"""Shared test code has its own modules: only pytest imports test modules and conftests."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


def imported(path: Path) -> Iterator[str]:
    """The modules that a file imports, or takes names from, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def is_pytest_only(path: Path, module: str) -> bool:
    """Whether an imported module is a test module or a conftest."""
    name = module.rpartition(".")[2]
    if name == "conftest":
        return True
    if not name.startswith("test_"):
        return False
    relative = module.lstrip(".").replace(".", "/") + ".py"
    return (ROOT / relative).is_file() or (path.parent / relative).is_file()


def test_no_module_imports_a_test_module_or_conftest():
    found = [
        f"{path.relative_to(ROOT)}: {module}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for module in imported(path)
        if is_pytest_only(path, module)
    ]
    assert found == []
