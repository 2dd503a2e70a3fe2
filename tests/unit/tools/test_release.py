"""`make release` moves the unreleased changes to a version."""

from datetime import date

import pytest

from tools.release import ReleaseError, project_version, release, with_version

TODAY = date(2026, 12, 1)
CHANGELOG = """# Changelog

## [Unreleased]

### Added

- A page.

## [0.1.0] - 2026-11-27

First version.
"""


def test_release_moves_unreleased_changes_to_the_version():
    assert release(CHANGELOG, "0.2.0", TODAY) == CHANGELOG.replace(
        "## [Unreleased]\n", "## [Unreleased]\n\n## [0.2.0] - 2026-12-01\n"
    )


@pytest.mark.parametrize("version", ["", "1", "v1.0.0", "1.0.0rc1", "01.0.0", "1.0.0\n"])
def test_release_refuses_text_that_is_not_a_version(version: str):
    with pytest.raises(ReleaseError):
        release(CHANGELOG, version, TODAY)


@pytest.mark.parametrize("version", ["0.1.0", "0.0.9"])
def test_release_refuses_a_version_that_is_not_newer(version: str):
    with pytest.raises(ReleaseError):
        release(CHANGELOG, version, TODAY)


def test_release_compares_versions_as_numbers():
    released = release(CHANGELOG, "0.10.0", TODAY)
    changed = released.replace("## [Unreleased]\n", "## [Unreleased]\n\n- A fix.\n")
    with pytest.raises(ReleaseError):
        release(changed, "0.9.0", TODAY)


def test_release_without_changes_is_refused():
    released = release(CHANGELOG, "0.2.0", TODAY)
    with pytest.raises(ReleaseError):
        release(released, "0.3.0", TODAY)


def test_with_version_changes_only_the_version_of_the_project():
    text = '[project]\nversion = "0.1.0"\n\n[tool.x]\nversion = "9"\n'
    changed = with_version(text, "0.2.0")
    assert changed == text.replace("0.1.0", "0.2.0")
    assert project_version(changed) == "0.2.0"
