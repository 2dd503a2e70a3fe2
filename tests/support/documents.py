"""References to tests in documents."""

import ast
import json
import re
from functools import cache
from pathlib import Path

TEST_LINK = re.compile(r"\[`([^`]+)::([^`]+)`\]\(([^)]+)\)")


@cache
def named_tests(path: Path) -> set[str]:
    """The names of the tests or recorded requests in a file."""
    if path.suffix == ".json":
        return {case["name"] for case in json.loads(path.read_text())}
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {each.name for each in ast.parse(path.read_text()).body if isinstance(each, functions)}
