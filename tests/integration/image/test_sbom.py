"""The image's bill of materials is complete, valid and reproducible."""

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation import make_schemabased_validator

from tests.support.image.images import DEBIAN
from tests.support.image.shared import Image
from tests.support.k8s.tools import ROOT

LOCK = ROOT / "requirements/runtime.txt"
STATUS = """Package: libc6
Status: install ok installed
Version: 2.36-9+deb12u13
Architecture: amd64
Description: GNU C Library
 and a second line

Package: tzdata
Version: 2026b-0+deb12u1
Architecture: all
"""


def locked() -> dict[tuple[str, str], set[str]]:
    """The hashes of each locked requirement by name and version."""
    entry = re.compile(r"^([\w.-]+)(?:\[.*\])?==([^ ;]+)(.*(?:\n    .*)*)", re.MULTILINE)
    entries = entry.findall(LOCK.read_text())
    return {
        (name, version): set(re.findall(r"--hash=sha256:(\w+)", rest))
        for name, version, rest in entries
    }


def listed(document: dict[str, Any]) -> dict[tuple[str, str], set[str]]:
    """The hashes in a bill of materials, by name and version."""
    return {
        (component["name"], component["version"]): {
            digest["content"]
            for reference in component["externalReferences"]
            for digest in reference["hashes"]
        }
        for component in document["components"]
        if component["purl"].startswith("pkg:pypi/")
    }


def debian(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (component["name"], component["version"])
        for component in document["components"]
        if component["purl"].startswith("pkg:deb/")
    ]


def check(text: str) -> dict[str, Any]:
    """Check that a document is valid and has every locked requirement with its hashes."""
    document = json.loads(text)
    validator = make_schemabased_validator(OutputFormat.JSON, SchemaVersion.V1_6)
    assert validator.validate_str(text) is None
    assert len(locked()) > 20
    assert listed(document) == locked()
    return document


def requirements() -> str:
    """The output of cyclonedx-py for the lock file."""
    command = [sys.executable, "-m", "cyclonedx_py", "requirements", "--no-validate"]
    command.append("--output-reproducible")
    return subprocess.run([*command, str(LOCK)], capture_output=True, text=True, check=True).stdout


cached_requirements = cache(requirements)


def run_sbom(*arguments: str, source: str = "") -> subprocess.CompletedProcess[str]:
    """Run the script with which the Dockerfile creates the bill of materials."""
    script = [sys.executable, str(ROOT / "deploy/image/sbom.py"), *arguments]
    return subprocess.run(
        script, input=source or cached_requirements(), capture_output=True, text=True, check=False
    )


def test_sbom_has_every_locked_requirement_with_hashes():
    first = run_sbom("1.2.3")
    document = check(first.stdout)
    assert document["metadata"]["component"]["version"] == "1.2.3"
    assert first.stdout == run_sbom("1.2.3", source=requirements()).stdout


@pytest.mark.parametrize("layout", ["debian", "distroless"])
def test_sbom_lists_the_packages_of_both_base_layouts(layout: str, tmp_path: Path):
    if layout == "debian":
        (tmp_path / "status").write_text(STATUS)
    else:
        (tmp_path / "status.d").mkdir()
        for paragraph in STATUS.split("\n\n"):
            (tmp_path / "status.d" / paragraph.split()[1]).write_text(paragraph)
    document = check(run_sbom("1.2.3", str(tmp_path)).stdout)
    assert debian(document) == [("libc6", "2.36-9+deb12u13"), ("tzdata", "2026b-0+deb12u1")]


def test_sbom_rejects_base_without_packages(tmp_path: Path):
    result = run_sbom("1.2.3", str(tmp_path))
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"sbom: {tmp_path} lists no package\n"


@pytest.mark.timeout(600)
def test_image_contains_its_sbom(image: Image):
    found = json.loads(image.store.buildah("inspect", "--type", "image", image.name))
    reference = found["OCIv1"]["config"]["Labels"]["com.cloudacademy.sbom"]
    read = image.store.run(
        image.name, "-c", f"print(open({reference!r}).read())", options=("--entrypoint", "python3")
    )
    document = check(read.stdout)
    status = (DEBIAN / "var/lib/dpkg/status").read_text()
    versions = re.findall(r"^Package: (.+)\n(?:.+\n)*?Version: (.+)", status, re.MULTILINE)
    assert len(versions) > 50
    assert sorted(debian(document)) == sorted(versions)
