"""Exceptions are created where they are raised and are not stored."""

import ast
from collections.abc import Iterator

import pytest

from tests.support.stack import ROOT

PACKAGES = ("chassis", "gateway", "keysvc", "usersvc")
SHORT_LIVED = {
    # The object is raised once, for one request with a key; the collector frees its cycle.
    "gateway/api/bulk.py": {"operation.refusal"},
    "gateway/api/query/search.py": {"refusals[0]"},
    "gateway/scim/filter/simplify.py": {"refusals[0]"},
    "gateway/portal/views/sso.py": {"error"},
    "usersvc/store/sessions.py": {"outcome"},
}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_stored_exception_is_raised(package: str):
    """Each raise extends the traceback of a stored exception, which keeps its frames alive."""
    found = {
        str(path.relative_to(ROOT)): raised
        for path in sorted((ROOT / package).rglob("*.py"))
        if (raised := set(stored_exceptions(ast.parse(path.read_text()))))
    }

    assert found == {
        name: raised for name, raised in SHORT_LIVED.items() if name.startswith(package)
    }


def stored_exceptions(tree: ast.AST) -> Iterator[str]:
    """The raised expressions that do not create the exception where it is raised."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Raise) or node.exc is None:
            continue
        raised = node.exc
        if isinstance(raised, ast.Call) and ast.unparse(raised).endswith(".with_traceback(None)"):
            yield ast.unparse(raised)
        is_class = isinstance(raised, ast.Name | ast.Attribute) and (
            ast.unparse(raised).rpartition(".")[2].lstrip("_")[0].isupper()
        )
        if not isinstance(raised, ast.Call) and not is_class:
            yield ast.unparse(raised)
