"""Custom resources match the schemas of their projects, as far as a package publishes them.

The schemas are TypeScript types and validators. The compiler finds unknown fields and values of the
wrong type; the validators check what types cannot express (lengths, patterns). CloudNativePG, its
backup plugin and Envoy Gateway have no package and are not checked here.
"""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.k8s.manifests import CUSTOM_RESOURCE_GROUPS, OVERLAYS, Manifest, rendered
from tests.support.k8s.tools import ROOT, system_tool

MODULES = ROOT / "requirements" / "crds" / "node_modules"
PACKAGES = {
    "cert-manager.io": "cert-manager",
    "external-secrets.io": "external-secrets",
    "gateway.networking.k8s.io": "gateway-api",
    "monitoring.coreos.com": "prometheus-operator",
}
UNCHECKED = {"barmancloud.cnpg.io", "gateway.envoyproxy.io", "postgresql.cnpg.io"}

OPTIONS = ["--strict", "--noEmit", "--skipLibCheck", "--target", "es2022"]
OPTIONS += ["--module", "nodenext", "--moduleResolution", "nodenext"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in which Node.js finds the packages."""
    if not MODULES.exists():
        system_tool("npm")
        pytest.skip("the schemas are not installed: run `make deploy-tools`")
    (tmp_path / "node_modules").symlink_to(MODULES)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    return tmp_path


def checked_objects(overlay: str) -> list[Manifest]:
    return [
        manifest
        for manifest in rendered(overlay)
        if manifest["apiVersion"].split("/")[0] in PACKAGES
    ]


def module(manifest: Manifest) -> str:
    group = manifest["apiVersion"].split("/")[0]
    return f"@kubernetes-models/{PACKAGES[group]}/{manifest['apiVersion']}/{manifest['kind']}"


def compiler_errors(folder: Path, objects: list[Manifest]) -> str:
    """The errors of the compiler."""
    lines = []
    for number, manifest in enumerate(objects):
        kind = f"Kind{number}"
        lines.append(f'import type {{ I{manifest["kind"]} as {kind} }} from "{module(manifest)}";')
        lines.append(f"export const object{number}: {kind} = {json.dumps(manifest)};")
    (folder / "objects.ts").write_text("\n".join(lines))
    compiler = str(MODULES / ".bin" / "tsc")
    return _output([compiler, *OPTIONS, "objects.ts"], folder)


def validator_errors(folder: Path, objects: list[Manifest]) -> str:
    """The errors of the validators."""
    lines = []
    for number, manifest in enumerate(objects):
        lines.append(f'import {{ {manifest["kind"]} as Kind{number} }} from "{module(manifest)}";')
        lines.append(
            f"try {{ new Kind{number}({json.dumps(manifest)}).validate(); }} "
            f'catch (error) {{ console.log("{manifest["kind"]}: " + error.message); }}'
        )
    (folder / "objects.mjs").write_text("\n".join(lines))
    return _output([system_tool("node"), "objects.mjs"], folder)


def _output(command: list[str], folder: Path) -> str:
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return result.stdout + result.stderr


def test_every_api_group_is_checked_or_exempt():
    assert set(PACKAGES) | UNCHECKED == CUSTOM_RESOURCE_GROUPS


def test_custom_resources_match_their_schemas(folder):
    by_overlay = {overlay: checked_objects(overlay) for overlay in OVERLAYS}
    objects = [each for objects in by_overlay.values() for each in objects]

    assert [overlay for overlay, found in by_overlay.items() if len(found) < 10] == []
    # One run for all overlays: the compiler spends most of its time on the types.
    assert compiler_errors(folder, objects) == ""
    assert validator_errors(folder, objects) == ""


def test_misspelt_field_and_invalid_value_are_detected(folder):
    (gateway,) = (manifest for manifest in checked_objects("us") if manifest["kind"] == "Gateway")
    misspelt = json.loads(json.dumps(gateway).replace('"gatewayClassName"', '"gatewayclassname"'))
    invalid = json.loads(json.dumps(gateway).replace('"hostname": "', '"hostname": "https://'))

    assert "gatewayclassname" in compiler_errors(folder, [misspelt])
    assert "hostname" in validator_errors(folder, [invalid])
