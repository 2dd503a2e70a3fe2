"""The lines and the exit code of `make audit` for reports of pip-audit."""

from deploy.audit import CLEAN, UNKNOWN, VULNERABLE, summarize

SAFE = {"name": "yarl", "version": "1.0", "vulns": []}
SKIPPED = {"name": "lxml", "skip_reason": "Dependency not found on PyPI: lxml (6.1.3)"}
BAD = {
    "name": "aiohttp",
    "version": "3.0",
    "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["3.1"], "aliases": [], "description": ""}],
}


def report(*dependencies):
    return {"dependencies": list(dependencies), "fixes": []}


def test_audit_without_vulnerabilities_is_clean():
    lines, code = summarize([report(SAFE), report(SAFE)])

    assert (lines, code) == (["No known vulnerabilities; packages scanned: 1."], CLEAN)


def test_audit_with_skipped_package_is_unknown():
    lines, code = summarize([report(SAFE, SKIPPED)])

    assert code == UNKNOWN
    assert "Packages NOT audited: 1." in lines[-1]


def test_audit_with_vulnerability_and_skipped_package_fails():
    lines, code = summarize([report(BAD, SKIPPED)])

    assert code == VULNERABLE
    assert lines[0] == "aiohttp 3.0: PYSEC-2026-1, fixed in 3.1"


def test_audit_without_packages_is_unknown():
    assert summarize([report()]) == ([], UNKNOWN)
