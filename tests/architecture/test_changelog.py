"""CHANGELOG.md has the form of Keep a Changelog, and the version comes from it."""

import re
from pathlib import Path

from tools.release import parse_version, project_version, released_versions

ROOT = Path(__file__).parents[2]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
SECTIONS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_project_version_is_the_newest_release():
    version = project_version((ROOT / "pyproject.toml").read_text())
    assert version == released_versions(CHANGELOG)[0]


def test_releases_are_newest_first_below_unreleased():
    headings = re.findall(r"^## (.+)$", CHANGELOG, re.MULTILINE)
    versions = released_versions(CHANGELOG)
    assert headings[0] == "[Unreleased]"
    assert [each.partition(" - ")[0].strip("[]") for each in headings[1:]] == versions
    assert versions == sorted(set(versions), key=parse_version, reverse=True)


def test_changelog_has_only_sections_of_keep_a_changelog():
    assert set(re.findall(r"^### (.+)$", CHANGELOG, re.MULTILINE)) <= SECTIONS
