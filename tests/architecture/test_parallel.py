"""The pytest hooks of tests/support work in a parallel run with pytest-xdist."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.scheduling import LONGEST, TOGETHER, scope_of

ROOT = Path(__file__).resolve().parents[2]
HOOKS = """
from tests.support.exclusive import pytest_runtest_protocol
from tests.support.skips import pytest_sessionfinish, pytest_terminal_summary
"""
SKIPPED = "import pytest\n\ndef test_nothing():\n    pytest.skip('no reason')\n"
INTERVALS = """
import json, os, time
from pathlib import Path
import pytest

def run(name):
    began = time.monotonic()
    time.sleep(0.05)
    with (Path(__file__).parent / 'intervals').open('a') as file:
        file.write(json.dumps([name, began, time.monotonic()]) + '\\n')

@pytest.mark.parametrize('number', range(10))
def test_with_others(number):
    run('with others')

@pytest.mark.exclusive
@pytest.mark.parametrize('number', range(3))
def test_exclusive(number):
    run('exclusive')
"""


def run(
    folder: Path, source: str, *options: str, hooks: str = HOOKS, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run these tests with two workers."""
    (folder / "conftest.py").write_text(hooks)
    (folder / "test_sample.py").write_text(source)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = exclusive: x\n")
    outer = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "xdist",
            "-n",
            "2",
            "-p",
            "no:cacheprovider",
            *options,
            str(folder),
        ],
        cwd=folder,
        env={
            **outer,
            "PYTHONPATH": str(ROOT),
            "PYTEST_ADDOPTS": "--import-mode=importlib",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # others take most of the time to start
        }
        | environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize(("ci", "code"), [("true", 1), ("", 0)])
def test_skipped_test_fails_a_parallel_run_only_in_ci(tmp_path: Path, ci: str, code: int):
    result = run(tmp_path, SKIPPED, CI=ci)

    assert result.returncode == code, result.stdout
    assert ("CI is set, and tests were skipped" in result.stdout) is bool(code)
    assert "1 skipped" in result.stdout.splitlines()[-1]


def test_exclusive_test_overlaps_no_other_test(tmp_path: Path):
    result = run(tmp_path, INTERVALS, CI="")

    assert result.returncode == 0, result.stdout
    lines = [json.loads(line) for line in (tmp_path / "intervals").read_text().splitlines()]
    assert len(lines) == 13
    for name, began, ended in lines:
        others = [each for each in lines if each != [name, began, ended]]
        overlapping = [each for each in others if each[1] < ended and began < each[2]]
        assert name != "exclusive" or overlapping == []


def test_files_with_exclusive_tests_come_last(tmp_path: Path):
    hook = "from tests.support.scheduling import pytest_collection_modifyitems\n"
    (tmp_path / "test_without_exclusive.py").write_text("def test_other():\n    pass\n")

    result = run(tmp_path, INTERVALS, "--collect-only", "-q", hooks=hook, CI="")

    files = [line.partition("::")[0] for line in result.stdout.splitlines() if "::" in line]
    assert list(dict.fromkeys(files)) == ["test_without_exclusive.py", "test_sample.py"]


def test_files_and_folders_named_by_the_scheduler_exist():
    assert [file for file in LONGEST if not (ROOT / file).is_file()] == []
    assert [folder for folder in TOGETHER if not (ROOT / folder).is_dir()] == []


def test_files_that_share_the_image_are_one_unit_of_work():
    assert scope_of("tests/integration/image/test_pods.py::test_a") == "tests/integration/image"
    assert (
        scope_of("tests/unit/gateway/scim/test_schema.py::test_a[b]")
        == "tests/unit/gateway/scim/test_schema.py"
    )
