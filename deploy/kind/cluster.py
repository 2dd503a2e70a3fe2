"""The steps from nothing to two regions in a cluster of one machine."""

import base64
import json
import secrets
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local.connection import Connection, read_connection, write_connection
from deploy.local.files import write_private
from deploy.local.terminal import say

CLUSTER = "provisioning"
KUBECTL = ("kubectl", "--context", f"kind-{CLUSTER}")
MIGRATIONS = ("usersvc-migrate", "keysvc-migrate")
IMAGE = "provisioning:kind"
CREATED_BY = "make up"
TAKEN_SECONDS = 120
"""An operator that is available may still refuse objects until its admission webhook answers."""


@dataclass(frozen=True, slots=True)
class Operator:
    """A part of others that has to be in the cluster, at one version."""

    name: str
    namespace: str
    manifest: str


OPERATORS = (
    Operator(
        "cert-manager 1.21.1",
        "cert-manager",
        "https://github.com/cert-manager/cert-manager/releases/download/v1.21.1/cert-manager.yaml",
    ),
    Operator(
        "CloudNativePG 1.30.0",
        "cnpg-system",
        "https://github.com/cloudnative-pg/cloudnative-pg/releases/download/v1.30.0/cnpg-1.30.0.yaml",
    ),
    Operator(
        "Envoy Gateway 1.10.0",
        "envoy-gateway-system",
        "https://github.com/envoyproxy/gateway/releases/download/v1.10.0/install.yaml",
    ),
)


@dataclass(frozen=True, slots=True)
class Region:
    """A namespace of the cluster, and where its edge is reached."""

    name: str
    port: int

    @property
    def namespace(self) -> str:
        return f"cloudacademy-{self.name}"

    @property
    def tenant_url(self) -> str:
        return f"https://localhost:{self.port}/webhooks/ad/v1/scim"


REGIONS = (Region("us", 8443), Region("eu", 8543))


class StepFailedError(Exception):
    """A command ended badly; what it said has been shown."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster made from the checkout at `root`, with what is to be kept in `directory`."""

    root: Path
    directory: Path

    def exists(self) -> bool:
        """Whether it was made before."""
        return CLUSTER in _read("kind", "get", "clusters").split()

    def create(self) -> None:
        """Make it, where there is none yet."""
        if not self.exists():
            self._forget()  # the keys of a cluster that is no more
            config = str(self.root / "deploy/kind/cluster.yaml")
            _run("kind", "create", "cluster", "--config", config, "--wait", "180s")

    def load_image(self) -> None:
        """Build the image and put it into the cluster, which asks no registry for it."""
        dockerfile = str(self.root / "deploy/image/Dockerfile")
        _run("docker", "build", "--tag", IMAGE, "--file", dockerfile, str(self.root))
        _run("kind", "load", "docker-image", IMAGE, "--name", CLUSTER)

    def install_operators(self) -> None:
        """Bring the parts of others, and wait for them."""
        for operator in OPERATORS:
            say(f"  {operator.name}")
            _run(*KUBECTL, "apply", "--server-side", "--filename", operator.manifest)
        for operator in OPERATORS:
            everything = ("--all", "--namespace", operator.namespace)
            _wait("condition=Available", "deployment", *everything)

    def deploy(self) -> None:
        """Roll the regions out: databases and migrations first, then what uses them."""
        overlay = str(self.root / "deploy/k8s/overlays/kind")
        for region in REGIONS:
            self._make_secrets(region)
            _run(
                *(*KUBECTL, "delete", "job", "--namespace", region.namespace),
                *MIGRATIONS,
                "--ignore-not-found",
            )
        processes = "app.kubernetes.io/component notin (gateway, usersvc, keysvc)"
        _run_until_taken(*KUBECTL, "apply", "--kustomize", overlay, "--selector", processes)
        for region in REGIONS:
            there = ("--all", "--namespace", region.namespace)
            _wait("condition=Ready", "certificates.cert-manager.io", *there)
            _wait("condition=Ready", "clusters.postgresql.cnpg.io", *there)
            for job in MIGRATIONS:
                _wait_for_job(f"job/{job}", region.namespace)
        _run(*KUBECTL, "apply", "--kustomize", overlay)
        for region in REGIONS:
            there = ("--all", "--namespace", region.namespace)
            _wait("condition=Available", "deployment", *there)
            _wait("condition=Programmed", "gateways.gateway.networking.k8s.io", *there)

    def connect(self, region: Region) -> Connection:
        """The Tenant URL and key of a region's first organization, which is made once."""
        file = self.directory / f"kind-{region.name}.env"
        kept = read_connection(file)
        if kept is None:
            kept = Connection(region.tenant_url, self._first_token(region))
            write_connection(file, kept)
        certificate = _read(
            *(*KUBECTL, "get", "secret", "edge-certificate", "--namespace", region.namespace),
            *("--output", r"jsonpath={.data.ca\.crt}"),
        )
        write_private(self.authority(region), base64.b64decode(certificate).decode())
        return kept

    def authority(self, region: Region) -> Path:
        """Whom a client of the region has to trust."""
        return self.directory / f"kind-{region.name}.pem"

    def remove(self) -> None:
        """Take away the cluster and all that was kept of it."""
        _run("kind", "delete", "cluster", "--name", CLUSTER)
        self._forget()

    def _forget(self) -> None:
        """Nothing that was kept of a cluster is good for the next."""
        for region in REGIONS:
            for kind in ("env", "pem"):
                (self.directory / f"kind-{region.name}.{kind}").unlink(missing_ok=True)

    def _make_secrets(self, region: Region) -> None:
        """Secrets that production has from its store; they outlive a second `make up`."""
        names = _read(*KUBECTL, "get", "namespaces", "--output", "name")
        if f"namespace/{region.namespace}" not in names.split():
            _run(*KUBECTL, "create", "namespace", region.namespace)
        there = ("--namespace", region.namespace)
        if "secret/gateway-secrets" in _read(
            *KUBECTL, "get", "secrets", *there, "--output", "name"
        ):
            return
        # By the standard input: arguments are everybody's to read.
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "gateway-secrets", "namespace": region.namespace},
            "stringData": {"CURSOR_SECRET": secrets.token_hex(32)},
        }
        _run(*KUBECTL, "create", "--filename", "-", given=json.dumps(secret))

    def _first_token(self, region: Region) -> str:
        def operate(*command: str) -> dict[str, dict[str, str]]:
            there = ("--namespace", region.namespace, "deployment/keysvc", "--")
            answer = _read(*KUBECTL, "exec", *there, "python3", "-m", "keysvc", *command)
            read: dict[str, dict[str, str]] = json.loads(answer)
            return read

        made = operate("create-organization", "--display-name", f"Acme {region.name.upper()}")
        organization = made["organization"]["id"]
        operate("activate-integration", organization)
        return str(operate("generate-key", organization, "--created-by", CREATED_BY)["token"])


def _wait(condition: str, *what: str) -> None:
    _run(*KUBECTL, "wait", f"--for={condition}", "--timeout=600s", *what)


def _wait_for_job(job: str, namespace: str) -> None:
    try:
        _wait("condition=Complete", job, "--namespace", namespace)
    except StepFailedError:
        _run(*KUBECTL, "logs", job, "--namespace", namespace, "--all-pods")
        raise


def _run_until_taken(*command: str) -> None:
    end = time.monotonic() + TAKEN_SECONDS
    while True:
        try:
            _run(*command)
        except StepFailedError:
            if time.monotonic() > end:
                raise
            say("  not taken yet, once more")
            time.sleep(1)
        else:
            return


def _run(*command: str, given: str | None = None) -> None:
    if subprocess.run(command, input=given, text=True, check=False).returncode != 0:
        raise StepFailedError(_shown(command))


def _read(*command: str) -> str:
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if result.returncode != 0:
        raise StepFailedError(_shown(command))
    return result.stdout


def _shown(command: Sequence[str]) -> str:
    return f"`{' '.join(command)}` failed; what it said is above."
