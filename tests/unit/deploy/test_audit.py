"""What `make audit` says of what pip-audit reports."""

from deploy.audit import FINE, UNKNOWN, VULNERABLE, judge

SAFE = {"name": "yarl", "version": "1.0", "vulns": []}
SKIPPED = {"name": "lxml", "skip_reason": "Dependency not found on PyPI: lxml (6.1.3)"}
BAD = {
    "name": "aiohttp",
    "version": "3.0",
    "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["3.1"], "aliases": [], "description": ""}],
}


def report(*dependencies):
    return {"dependencies": list(dependencies), "fixes": []}


def test_packages_without_vulnerabilities_are_fine():
    assert judge([report(SAFE), report(SAFE)]) == (["Nothing is known against 1 packages."], FINE)


def test_a_package_that_nobody_tells_about_is_not_fine():
    lines, code = judge([report(SAFE, SKIPPED)])

    assert code == UNKNOWN
    assert "Of 1 packages nothing could be learned" in lines[-1]
    assert "NOT audited" in lines[-1]


def test_a_vulnerability_outweighs_what_is_not_known():
    lines, code = judge([report(BAD, SKIPPED)])

    assert code == VULNERABLE
    assert lines[0] == "aiohttp 3.0: PYSEC-2026-1, mended in 3.1"


def test_no_packages_at_all_are_not_fine():
    assert judge([report()]) == ([], UNKNOWN)
