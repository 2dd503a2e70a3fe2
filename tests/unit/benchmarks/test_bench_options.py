"""Measurements leave the checkout unchanged: only an option makes them write to docs/."""

import subprocess

import pytest

from tests.support.stack import ROOT
from tools.benchmarks import __main__ as bench
from tools.benchmarks import profile

DOCS = ROOT / "docs"
BUILD = ROOT / "build"


def test_the_report_goes_to_build_unless_documents_are_updated():
    assert bench.parse_options([]).report.is_relative_to(BUILD)
    assert bench.parse_options(["--full"]).report.is_relative_to(BUILD)
    assert bench.parse_options(["--update-docs"]).report == DOCS


def test_flame_graphs_go_to_build_unless_documents_are_updated():
    assert profile.parse_options([]).into.is_relative_to(BUILD)
    assert profile.parse_options(["--update-docs"]).into == DOCS / "performance"


def commands(target: str, *variables: str) -> str:
    """What `make` would run for a target."""
    command = ("make", "--dry-run", "--always-make", target, *variables)
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return result.stdout.replace(str(ROOT), "")


TARGETS = ("bench", "bench-full", "profile", "screenshots")


@pytest.mark.parametrize(
    "target", [*TARGETS, "overload", "stall", "leaks", "conformance", "chaos", "soak", "fuzz"]
)
def test_make_target_names_no_document_by_default(target: str):
    output = commands(target)
    assert "--update-docs" not in output
    assert "docs/" not in output


@pytest.mark.parametrize("target", TARGETS)
def test_make_target_updates_documents_with_update_docs(target: str):
    output = commands(target, "UPDATE_DOCS=1")
    assert "--update-docs" in output or "PORTAL_SCREENSHOTS=docs/portal" in output


def test_only_the_benchmark_program_names_the_documents():
    programs = [
        path for folder in ("tests", "tools") for path in (ROOT / folder).rglob("__main__.py")
    ]
    naming = [path for path in programs if '"docs' in (text := path.read_text()) or "docs/" in text]
    assert [path.parent.name for path in naming] == ["benchmarks"]
