"""Every regular expression of the production packages, and the methods called on it."""

import ast
import importlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[3]
PACKAGES: Final = ("chassis", "gateway", "usersvc", "keysvc", "deploy")
METHODS: Final = frozenset(
    ("match", "fullmatch", "search", "findall", "finditer", "split", "sub", "subn")
)
# These continue after a match to the end of the text; `sub` represents them all.
_REPEATING: Final = frozenset(("findall", "finditer", "split", "sub", "subn"))


_MAY_USE: Final = re.compile(rf"\.(?:compile|{'|'.join(sorted(METHODS))})\b")


@dataclass(frozen=True, slots=True)
class Use:
    """A pattern and the method that represents its use."""

    name: str
    pattern: re.Pattern[Any]
    method: str

    def __str__(self) -> str:
        return f"{self.name}.{self.method}"


@cache
def sources() -> Mapping[str, str]:
    """The text of each module, by the module's name."""
    paths = (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))
    return {_module(path): path.read_text() for path in paths}


@cache
def tree_of(module: str) -> ast.Module:
    """The syntax tree of a module."""
    return ast.parse(sources()[module])


def trees() -> Iterator[tuple[str, ast.Module]]:
    """The modules that compile or use a pattern, with their syntax trees.

    Other modules are not parsed, because every test session collects the patterns.
    """
    return (
        (module, tree_of(module)) for module, text in sources().items() if _MAY_USE.search(text)
    )


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def compiled(tree: ast.Module) -> Iterator[str]:
    """The names of the patterns that a module compiles on import."""
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and _compiles(node.value):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            assert isinstance(target, ast.Name)
            yield target.id


def misplaced(tree: ast.Module) -> Iterator[int]:
    """The lines that compile a pattern other than as a module constant."""
    constants = {
        id(node.value) for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign)
    }
    for node in ast.walk(tree):
        if _compiles(node) and id(node) not in constants:
            yield node.lineno
        if isinstance(node, ast.ImportFrom) and node.module == "re":
            yield node.lineno  # `from re import compile` would hide a call from this test


def _compiles(node: ast.AST | None) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and (node.func.value.id, node.func.attr) == ("re", "compile")
    )


def uses() -> list[Use]:
    """All patterns with the methods that any module calls on them."""
    methods = _methods()
    return [
        Use(f"{module}.{name}", getattr(importlib.import_module(module), name), method)
        for module, tree in trees()
        for name in compiled(tree)
        for method in sorted(
            {_representative(each) for each in methods[module, name]} or {"unused"}
        )
    ]


def _representative(method: str) -> str:
    return "sub" if method in _REPEATING else method


def _methods() -> Mapping[tuple[str, str], set[str]]:
    """The methods used on each pattern, by module and name."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for module, tree in trees():
        nodes = list(ast.walk(tree))
        origins = {
            alias.asname or alias.name: (node.module or "", alias.name)
            for node in nodes
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        for node in nodes:
            if (
                isinstance(node, ast.Attribute)
                and node.attr in METHODS
                and isinstance(node.value, ast.Name)
            ):
                name = node.value.id
                found[origins.get(name, (module, name))].add(node.attr)
    return found


def patterns_in_memory() -> set[str]:
    """The names of compiled patterns in imported modules, except imported names."""
    found = set()
    for module in sources():
        imported = {
            alias.asname or alias.name
            for node in tree_of(module).body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        members = vars(importlib.import_module(module))
        found |= {
            f"{module}.{name}"
            for name, value in members.items()
            if name not in imported and isinstance(value, re.Pattern)
        }
    return found
