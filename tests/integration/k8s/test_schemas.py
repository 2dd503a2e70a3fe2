"""Each object matches its Kubernetes schema and passes the policies of checkov."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.k8s.manifests import CUSTOM_RESOURCE_GROUPS, OVERLAYS, rendered, text
from tests.support.k8s.tools import deploy_tool

VERSIONS = ("1.34", "1.37")
"""The oldest Kubernetes in which all features that we use are stable, and the newest."""

BUILT_IN = {"networking.k8s.io", "rbac.authorization.k8s.io"}

SKIPPED = {
    # Settings come only from the environment, so they are in no command line and no log.
    "CKV_K8S_35": "secrets as files",
}
SKIPPED_IN_KIND = {
    # The image is built and loaded locally; no registry has it.
    "CKV_K8S_15": "image pull policy Always",
    "CKV_K8S_43": "image by digest",
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_built_in_object_matches_its_schema_strictly(overlay, version, tmp_path):
    built_in = [manifest for manifest in rendered(overlay) if not _is_custom(manifest)]
    file = tmp_path / "objects.json"
    file.write_text("\n---\n".join(json.dumps(manifest) for manifest in built_in))

    result = subprocess.run(
        [deploy_tool("kubernetes-validate"), "--strict", "-k", version, str(file)],
        capture_output=True,
        text=True,
        check=False,
    )

    lines = (result.stdout + result.stderr).splitlines()
    assert result.returncode == 0, lines
    assert len([line for line in lines if "passed for resource" in line]) == len(built_in)


def test_api_groups_without_schema_are_known():
    found = {manifest["apiVersion"].split("/")[0] for manifest in _all() if _is_custom(manifest)}
    assert found == CUSTOM_RESOURCE_GROUPS


def test_manifests_pass_checkov(tmp_path):
    command = [deploy_tool("checkov"), "--framework", "kubernetes", "--skip-download", "--quiet"]
    command += ["--compact", "--output", "json", "--skip-check", ",".join(SKIPPED)]
    for overlay in OVERLAYS:  # in one run, because checkov takes seconds to start
        file = tmp_path / f"{overlay}.yaml"
        file.write_text(text(overlay))
        command += ["--file", str(file)]

    result = subprocess.run(command, capture_output=True, text=True, check=False)

    report = json.loads(result.stdout)
    failed = [
        (Path(check["file_path"]).stem, check["check_id"], check["check_name"], check["resource"])
        for check in report["results"]["failed_checks"]
        if not ("/kind.yaml" in check["file_path"] and check["check_id"] in SKIPPED_IN_KIND)
    ]
    assert failed == []
    assert report["summary"]["passed"] > 300 * len(OVERLAYS)
    assert report["summary"]["parsing_errors"] == 0


def test_manifests_contain_no_secret():
    assert [manifest for manifest in _all() if manifest["kind"] == "Secret"] == []


def _all() -> list[dict]:
    return [manifest for overlay in OVERLAYS for manifest in rendered(overlay)]


def _is_custom(manifest: dict) -> bool:
    group = manifest["apiVersion"].rpartition("/")[0]
    return "." in group and group not in BUILT_IN
