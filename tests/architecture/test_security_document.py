"""docs/security.md: each claim names a test, and each named test exists."""

import re
from pathlib import Path

import pytest

from tests.support.documents import TEST_LINK, tests_in

DOCUMENT = Path(__file__).parents[2] / "docs/security.md"
TEXT = DOCUMENT.read_text()
PROOFS = sorted(set(TEST_LINK.findall(TEXT)))
PARTS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
CLAIMS = ("Attacks and defenses", "Personal data")


def rows(part: str) -> list[str]:
    """The rows of the tables in a section of the document, without the header rows."""
    table = re.compile(r"^\|.*\|\n\|[-| ]+\|\n((?:\|.*\|\n)+)", re.MULTILINE)
    return [row for rows in table.findall(part) for row in rows.splitlines()]


def test_each_claim_names_a_test():
    claims = [row for part in CLAIMS for row in rows(PARTS[part])]
    assert len(claims) > 25
    assert [claim for claim in claims if not TEST_LINK.search(claim)] == []


@pytest.mark.parametrize(("file", "name", "target"), PROOFS)
def test_each_test_that_is_named_exists(file: str, name: str, target: str):
    path = (DOCUMENT.parent / target).resolve()
    assert (path.name, name in tests_in(path)) == (file, True)
