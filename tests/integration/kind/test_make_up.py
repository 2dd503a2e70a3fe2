"""`make up`: its prerequisites and the order of its steps.

No cluster runs here. A stand-in replaces the programs that `make up` calls: it records the calls
and prints typical output. So these tests check the steps, not whether a cluster accepts them.
"""

import base64
import os
import re
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.k8s.manifests import find, of_kind
from tests.support.k8s.tools import ROOT

STAND_IN = """#!/bin/sh
if [ "$(basename "$0")" = kubectl ]; then
  echo "$1 $2" >> "{log}.contexts"
  [ "$1" != --context ] || shift 2
fi
echo "$(basename "$0") $*" >> "{log}"
case "$(basename "$0") $*" in
  "kind get clusters") {clusters} ;;
  "kubectl get namespaces"*) echo namespace/default ;;
  "kubectl get secret edge-certificate"*) printf {certificate} ;;
  *create-organization*) echo '{{"organization": {{"id": "0190"}}}}' ;;
  *activate-integration*) echo '{{}}' ;;
  *generate-key*) echo '{{"token": "cak_xx_secret"}}' ;;
  "kubectl create --filename -") cat >> "{log}.stdin" ;;
  "kubectl logs"*) echo "output of the Job" ;;
  {failing_once}) [ -e "{log}.failed" ] || {{ : > "{log}.failed"; exit 1; }} ;;
  {failing}) echo "it broke" >&2; exit 1 ;;
esac
"""
CERTIFICATE = "-----BEGIN CERTIFICATE-----"


@dataclass
class Machine:
    """A machine with only the given programs."""

    folder: Path

    @property
    def log(self) -> Path:
        return self.folder / "calls"

    def install(
        self,
        *programs: str,
        clusters: str = "true",
        failing: str = "nothing",
        failing_once: str = "nothing",
    ) -> None:
        (self.folder / "bin").mkdir(exist_ok=True)
        for name in programs:
            path = self.folder / "bin" / name
            certificate = base64.b64encode(CERTIFICATE.encode()).decode()
            path.write_text(
                STAND_IN.format(
                    log=self.log,
                    clusters=clusters,
                    certificate=certificate,
                    failing=failing,
                    failing_once=failing_once,
                )
            )
            path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        (self.folder / "bin").mkdir(exist_ok=True)
        for name in ("sh", "basename", "cat", "echo", "printf"):  # needed by the stand-ins
            link = self.folder / "bin" / name
            if not link.exists():
                link.symlink_to(f"/bin/{name}")
        return subprocess.run(
            [sys.executable, "-m", "deploy.kind", *arguments, "--directory", str(self.directory)],
            cwd=ROOT,
            env={
                "PATH": str(self.folder / "bin"),
                "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "build")]),
            },
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def directory(self) -> Path:
        return self.folder / "run"

    def calls(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_make_up_without_tools_names_them_and_alternative(machine: Machine):
    result = machine.run("up")

    assert result.returncode == 1
    for name in ("docker", "kind", "kubectl"):
        assert f"{name} is not installed: https://" in result.stdout
    assert "make run REGION=eu" in result.stdout
    assert not machine.log.exists()


def test_make_up_without_docker_engine_does_nothing(machine: Machine):
    machine.install("docker", "kind", "kubectl", failing='"docker version"*')

    result = machine.run("up")

    assert result.returncode == 1
    assert "its engine does not answer: it broke" in result.stdout
    assert "make run" in result.stdout
    assert [call for call in machine.calls() if not call.startswith("docker version")] == []


def test_make_up_creates_both_regions_and_prints_their_access(machine: Machine):
    machine.install("docker", "kind", "kubectl")

    result = machine.run("up", "--people", "0")

    assert result.returncode == 0, result.stderr
    steps = (
        "kind create cluster",
        "docker build --tag provisioning:kind",
        "kind load docker-image provisioning:kind",
        "kubectl apply --server-side --filename https://github.com/cert-manager/",
        "kubectl wait --for=condition=Available --timeout=600s deployment --all",
        "kubectl create namespace cloudacademy-us",
        "kubectl delete job --namespace cloudacademy-us usersvc-migrate keysvc-migrate",
        r"kubectl apply --kustomize \S+ --selector",  # everything except the processes
        "kubectl wait --for=condition=Ready --timeout=600s clusters.postgresql.cnpg.io --all",
        "kubectl wait --for=condition=Complete --timeout=600s job/usersvc-migrate --namespace",
        "kubectl wait --for=condition=Complete --timeout=600s job/keysvc-migrate --namespace",
        r"kubectl apply --kustomize \S+$",
        "kubectl exec --namespace cloudacademy-us deployment/keysvc",
    )
    positions = [index_of(machine.calls(), step) for step in steps]
    assert positions == sorted(positions)
    for port in (8443, 8543):
        assert f"https://localhost:{port}/webhooks/ad/v1/scim" in result.stdout
    assert (machine.directory / "kind-us.pem").read_text() == CERTIFICATE
    assert "SECRET_TOKEN=cak_xx_secret" in (machine.directory / "kind-eu.env").read_text()


def index_of(calls: list[str], step: str) -> int:
    """The index of the first call of a step."""
    found = [number for number, call in enumerate(calls) if re.match(step, call)]
    assert found, (step, calls)
    return found[0]


def test_make_up_puts_no_secret_on_command_line(machine: Machine):
    machine.install("docker", "kind", "kubectl")
    machine.run("up", "--people", "0")

    stdin = machine.log.with_suffix(".stdin").read_text()

    assert "CURSOR_SECRET" in stdin
    assert "CURSOR_SECRET" not in machine.log.read_text()


def test_second_make_up_reuses_cluster_and_key(machine: Machine):
    machine.install("docker", "kind", "kubectl")
    machine.run("up", "--people", "0")
    machine.log.unlink()
    machine.install("docker", "kind", "kubectl", clusters="echo provisioning")

    result = machine.run("up", "--people", "0")

    assert result.returncode == 0
    assert [
        call for call in machine.calls() if "create cluster" in call or "generate" in call
    ] == []
    assert "cak_xx_secret" in result.stdout


def test_make_up_stops_at_failed_step(machine: Machine):
    machine.install("docker", "kind", "kubectl", failing='"docker build"*')

    result = machine.run("up", "--people", "0")

    assert result.returncode == 1
    assert "docker build" in result.stderr
    assert "it broke" in result.stderr
    assert [call for call in machine.calls() if call.startswith("kubectl apply")] == []


def test_make_up_prints_log_of_failed_migration(machine: Machine):
    machine.install("docker", "kind", "kubectl", failing='"kubectl wait"*job/keysvc-migrate*')

    result = machine.run("up", "--people", "0")

    assert result.returncode == 1
    assert "output of the Job" in result.stdout
    assert machine.calls()[-1] == (
        "kubectl logs job/keysvc-migrate --namespace cloudacademy-us --all-pods"
    )


def test_make_up_retries_while_admission_webhook_is_unavailable(machine: Machine):
    machine.install("docker", "kind", "kubectl", failing_once='"kubectl apply --kustomize"*')

    result = machine.run("up", "--people", "0")

    assert result.returncode == 0, result.stderr
    applied = [call for call in machine.calls() if call.startswith("kubectl apply --kustomize")]
    assert ["--selector" in call for call in applied] == [True, True, False]


def test_make_up_ignores_key_of_deleted_cluster(machine: Machine):
    machine.install("docker", "kind", "kubectl")
    machine.directory.mkdir()
    old = "TENANT_URL=https://localhost:8443/webhooks/ad/v1/scim\nSECRET_TOKEN=cak_old\n"
    (machine.directory / "kind-us.env").write_text(old)

    result = machine.run("up", "--people", "0")

    assert "cak_old" not in result.stdout
    assert "cak_xx_secret" in (machine.directory / "kind-us.env").read_text()


def test_make_up_touches_only_its_own_cluster(machine: Machine):
    machine.install("docker", "kind", "kubectl")

    machine.run("up", "--people", "0")

    contexts = machine.log.with_suffix(".contexts").read_text().splitlines()
    assert set(contexts) == {"--context kind-provisioning"}
    assert [call for call in machine.calls() if call.startswith("kubectl config")] == []


def test_make_down_removes_cluster_and_local_files(machine: Machine):
    machine.install("docker", "kind", "kubectl")
    machine.run("up", "--people", "0")

    result = machine.run("down")

    assert result.returncode == 0
    assert machine.calls()[-1] == "kind delete cluster --name provisioning"
    assert list(machine.directory.iterdir()) == []


def test_host_ports_map_to_node_ports_of_edges():
    config = (ROOT / "deploy/kind/cluster.yaml").read_text()

    for region, port in (("us", 8443), ("eu", 8543)):
        proxy = find("kind", "EnvoyProxy", "edge", f"cloudacademy-{region}")["spec"]
        service = proxy["provider"]["kubernetes"]["envoyService"]["patch"]["value"]["spec"]
        (node_port,) = (entry["nodePort"] for entry in service["ports"])
        urls = next(
            config_map["data"]["TENANT_URLS"]
            for config_map in of_kind("kind", "ConfigMap")
            if config_map["metadata"]["namespace"] == f"cloudacademy-{region}"
        )
        assert f"containerPort: {node_port}, hostPort: {port}" in config
        assert f"{region}=https://localhost:{port}/" in urls
