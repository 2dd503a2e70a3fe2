"""References to tests in documents."""

import ast
import json
import re
from functools import cache
from pathlib import Path

TEST_LINK = re.compile(r"\[`([^`]+)::([^`]+)`\]\(([^)]+)\)")
"""A link to a test: its file, its name and the path to the file."""


@cache
def named_tests(path: Path) -> set[str]:
    """The names of the test functions or recorded requests in a file."""
    if path.suffix == ".json":
        return {case["name"] for case in json.loads(path.read_text())}
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, functions)}
