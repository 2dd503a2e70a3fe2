"""Finds the SQL statements of a package in its source."""

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

_SQL = re.compile(
    r"\s*(?:SELECT|INSERT|UPDATE|DELETE|WITH|MERGE|VALUES|TRUNCATE|COPY|LOCK|NOTIFY|SET|VACUUM"
    r"|ANALYZE|REFRESH|CREATE|ALTER|DROP)\b"
)


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement, named by its module and constant or function. `text` is None if it is built."""

    name: str
    text: str | None


def statements(package: str) -> Iterator[Statement]:
    """The statements in all modules of a package: constants, and texts inside functions.

    A mapping yields a statement for each key. A function that contains several texts yields one
    statement for each, numbered from the second.
    """
    root = importlib.import_module(package)
    for info in pkgutil.walk_packages(root.__path__, f"{package}."):
        module = importlib.import_module(info.name)
        yield from _of_module(module, info.name.removeprefix(f"{package}."))


def _of_module(module: ModuleType, name: str) -> Iterator[Statement]:
    assert module.__file__ is not None
    with open(module.__file__, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    constants = dict(_constants(module, tree))
    for constant, text in constants.items():
        yield Statement(f"{name}.{constant}", text)
    for function, body in _functions(tree, name):
        texts = _texts(body, constants)
        for number, text in enumerate(texts, 1):
            yield Statement(function if number == 1 else f"{function} {number}", text)


def _constants(module: ModuleType, tree: ast.Module) -> Iterator[tuple[str, str]]:
    """The constants that the module itself assigns, not those that it imports."""
    for node in tree.body:
        targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
        for target in targets:
            if isinstance(target, ast.Name):
                yield from _statements_in(target.id, getattr(module, target.id, None))


def _statements_in(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str) and _SQL.match(value):
        yield name, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _statements_in(f"{name}[{getattr(key, 'name', key)}]", each)


def _functions(tree: ast.AST, name: str) -> Iterator[tuple[str, ast.AST]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from _functions(node, f"{name}.{node.name}")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{name}.{node.name}", node


def _texts(function: ast.AST, constants: Mapping[str, str]) -> list[str | None]:
    """The statements inside a function, in the order of the source."""
    parts = {
        id(part)
        for node in ast.walk(function)
        if isinstance(node, ast.JoinedStr)
        for part in ast.walk(node)
        if part is not node
    }
    found: list[tuple[int, str | None]] = []
    for node in ast.walk(function):
        match node:
            case ast.JoinedStr() if _begins_statement(node, constants):
                found.append((node.lineno, None))
            case ast.Constant(str(text)) if id(node) not in parts and _SQL.match(text):
                found.append((node.lineno, text))
    return [text for _, text in sorted(found, key=lambda each: each[0])]


def _begins_statement(text: ast.JoinedStr, constants: Mapping[str, str]) -> bool:
    first = text.values[0] if text.values else None
    if isinstance(first, ast.Constant):
        return bool(_SQL.match(first.value))
    if isinstance(first, ast.FormattedValue) and isinstance(first.value, ast.Name):
        return first.value.id in constants
    return False
