"""Custom resources match the schemas of their projects, as far as a package publishes them.

The schemas are TypeScript types and validators. The compiler finds unknown names and values of the
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
UNJUDGED = {"barmancloud.cnpg.io", "gateway.envoyproxy.io", "postgresql.cnpg.io"}

OPTIONS = ["--strict", "--noEmit", "--skipLibCheck", "--target", "es2022"]
OPTIONS += ["--module", "nodenext", "--moduleResolution", "nodenext"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in which Node.js finds the packages."""
    if not MODULES.exists():
        system_tool("npm")
        pytest.skip("the schemas are not there: `make deploy-tools` installs them")
    (tmp_path / "node_modules").symlink_to(MODULES)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    return tmp_path


def checked_objects(overlay: str) -> list[Manifest]:
    return [one for one in rendered(overlay) if one["apiVersion"].split("/")[0] in PACKAGES]


def module(one: Manifest) -> str:
    group = one["apiVersion"].split("/")[0]
    return f"@kubernetes-models/{PACKAGES[group]}/{one['apiVersion']}/{one['kind']}"


def compiler_errors(folder: Path, objects: list[Manifest]) -> str:
    """The errors of the compiler."""
    lines = []
    for number, one in enumerate(objects):
        kind = f"Kind{number}"
        lines.append(f'import type {{ I{one["kind"]} as {kind} }} from "{module(one)}";')
        lines.append(f"export const one{number}: {kind} = {json.dumps(one)};")
    (folder / "objects.ts").write_text("\n".join(lines))
    compiler = str(MODULES / ".bin" / "tsc")
    return _output([compiler, *OPTIONS, "objects.ts"], folder)


def validator_errors(folder: Path, objects: list[Manifest]) -> str:
    """The errors of the validators."""
    lines = []
    for number, one in enumerate(objects):
        lines.append(f'import {{ {one["kind"]} as Kind{number} }} from "{module(one)}";')
        lines.append(
            f"try {{ new Kind{number}({json.dumps(one)}).validate(); }} "
            f'catch (error) {{ console.log("{one["kind"]}: " + error.message); }}'
        )
    (folder / "objects.mjs").write_text("\n".join(lines))
    return _output([system_tool("node"), "objects.mjs"], folder)


def _output(command: list[str], folder: Path) -> str:
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return result.stdout + result.stderr


def test_every_api_group_is_checked_or_exempt():
    assert set(PACKAGES) | UNJUDGED == CUSTOM_RESOURCE_GROUPS


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_custom_resources_match_their_schemas(overlay, folder):
    objects = checked_objects(overlay)

    assert len(objects) >= 10
    assert compiler_errors(folder, objects) == ""
    assert validator_errors(folder, objects) == ""


def test_misspelt_name_and_wrong_value_are_found(folder):
    (gateway,) = (one for one in checked_objects("us") if one["kind"] == "Gateway")
    misspelt = json.loads(json.dumps(gateway).replace('"gatewayClassName"', '"gatewayclassname"'))
    wrong = json.loads(json.dumps(gateway).replace('"hostname": "', '"hostname": "https://'))

    assert "gatewayclassname" in compiler_errors(folder, [misspelt])
    assert "hostname" in validator_errors(folder, [wrong])
