"""Make a release: `python -m tools.release 1.2.0`, or `make release VERSION=1.2.0`.

Moves the section Unreleased of CHANGELOG.md to the version, with today's date (UTC), and sets the
version in pyproject.toml. Prints the commands that commit and tag; runs neither of them.
"""

import re
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
CHANGELOG: Final = ROOT / "CHANGELOG.md"
PYPROJECT: Final = ROOT / "pyproject.toml"

Version = tuple[int, int, int]

_VERSION: Final = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
_UNRELEASED: Final = re.compile(r"^## \[Unreleased\]\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_RELEASED: Final = re.compile(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$", re.MULTILINE)
_PROJECT_VERSION: Final = re.compile(r'^version = "([^"]*)"$', re.MULTILINE)


class ReleaseError(Exception):
    """The release cannot be made; no file was changed."""


def parse_version(text: str) -> Version:
    """Read `1.2.0`. Refuses anything but three numbers (semver.org, without suffixes)."""
    match = _VERSION.fullmatch(text)
    if match is None:
        raise ReleaseError(f"{text!r} is not a version such as 1.2.0")
    return int(match[1]), int(match[2]), int(match[3])


def released_versions(changelog: str) -> list[str]:
    """The versions of the changelog, in the order in which they stand there: newest first."""
    return _RELEASED.findall(changelog)


def project_version(pyproject: str) -> str:
    """The version in the text of pyproject.toml."""
    match = _PROJECT_VERSION.search(pyproject)
    if match is None:
        raise ReleaseError("pyproject.toml has no version")
    return match[1]


def release(changelog: str, version: str, today: date) -> str:
    """The changelog with its unreleased changes under a version.

    Refuses a version that is not above all released ones, and a release without changes.
    """
    new = parse_version(version)
    if any(parse_version(each) >= new for each in released_versions(changelog)):
        raise ReleaseError(f"{version} is not above the newest released version")
    unreleased = _UNRELEASED.search(changelog)
    if unreleased is None or not unreleased[1].strip():
        raise ReleaseError("CHANGELOG.md has no unreleased changes")
    heading = f"## [Unreleased]\n\n## [{version}] - {today.isoformat()}\n"
    return changelog[: unreleased.start()] + heading + changelog[unreleased.start(1) :]


def with_version(pyproject: str, version: str) -> str:
    """The text of pyproject.toml with another version."""
    project_version(pyproject)
    return _PROJECT_VERSION.sub(f'version = "{version}"', pyproject, count=1)


def main(version: str) -> None:
    """Write both files and print what to do next."""
    changelog = release(CHANGELOG.read_text(), version, datetime.now(UTC).date())
    pyproject = with_version(PYPROJECT.read_text(), version)
    CHANGELOG.write_text(changelog)
    PYPROJECT.write_text(pyproject)
    print(f"CHANGELOG.md and pyproject.toml have version {version}. Check the diff, then:\n")
    print(f"  git commit -m 'release: {version}' CHANGELOG.md pyproject.toml")
    print(f"  git tag -a v{version} -m '{version}'")


if __name__ == "__main__":
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else "")
    except ReleaseError as error:
        sys.exit(f"No release: {error}.")
