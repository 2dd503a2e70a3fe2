"""docs/security.md: each claim links to a test, and each linked test exists."""

import re
from pathlib import Path

import pytest

from tests.support.documents import TEST_LINK, named_tests

DOCUMENT = Path(__file__).parents[2] / "docs/security.md"
TEXT = DOCUMENT.read_text()
TESTS = sorted(set(TEST_LINK.findall(TEXT)))
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
CLAIMS = ("Attacks and defenses", "Personal data")


def rows(section: str) -> list[str]:
    """The rows of the tables in a section of the document, without the header rows."""
    table = re.compile(r"^\|.*\|\n\|[-| ]+\|\n((?:\|.*\|\n)+)", re.MULTILINE)
    return [row for rows in table.findall(section) for row in rows.splitlines()]


def test_each_claim_links_to_a_test():
    claims = [row for name in CLAIMS for row in rows(SECTIONS[name])]
    assert len(claims) > 25
    assert [claim for claim in claims if not TEST_LINK.search(claim)] == []


@pytest.mark.parametrize(("file", "name", "target"), TESTS)
def test_every_linked_test_exists(file: str, name: str, target: str):
    path = (DOCUMENT.parent / target).resolve()
    assert (path.name, name in named_tests(path)) == (file, True)
