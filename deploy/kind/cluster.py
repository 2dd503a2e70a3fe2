"""The steps that create a cluster on one machine and roll out both regions in it."""

import base64
import json
import secrets
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local.client_settings import ClientSettings, read_client_settings, write_client_settings
from deploy.local.files import write_private
from deploy.local.terminal import say

CLUSTER = "provisioning"
KUBECTL = ("kubectl", "--context", f"kind-{CLUSTER}")
MIGRATIONS = ("usersvc-migrate", "keysvc-migrate")
IMAGE = "provisioning:kind"
CREATED_BY = "make up"
ACCEPTED_SECONDS = 120
"""How long to retry: an available operator may reject objects until its webhook responds."""


@dataclass(frozen=True, slots=True)
class Operator:
    """A third-party operator that the cluster needs, at one version."""

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
    """A namespace of the cluster, and the port of its edge on this machine."""

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
    """A command failed; its output has been printed."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster built from the checkout at `root`; tokens and certificates go to `directory`."""

    root: Path
    directory: Path

    def exists(self) -> bool:
        """Whether the cluster exists."""
        return CLUSTER in _read("kind", "get", "clusters").split()

    def create(self) -> None:
        """Create the cluster unless it exists."""
        if not self.exists():
            self._delete_local_files()  # tokens of a deleted cluster are invalid
            config = str(self.root / "deploy/kind/cluster.yaml")
            _run("kind", "create", "cluster", "--config", config, "--wait", "180s")

    def load_image(self) -> None:
        """Build the image and load it into the cluster, which pulls it from no registry."""
        dockerfile = str(self.root / "deploy/image/Dockerfile")
        _run("docker", "build", "--tag", IMAGE, "--file", dockerfile, str(self.root))
        _run("kind", "load", "docker-image", IMAGE, "--name", CLUSTER)

    def install_operators(self) -> None:
        """Install the third-party operators and wait until they are available."""
        for operator in OPERATORS:
            say(f"  {operator.name}")
            _run(*KUBECTL, "apply", "--server-side", "--filename", operator.manifest)
        for operator in OPERATORS:
            everything = ("--all", "--namespace", operator.namespace)
            _wait("condition=Available", "deployment", *everything)

    def deploy(self) -> None:
        """Roll out the regions: databases and migrations first, then the services."""
        overlay = str(self.root / "deploy/k8s/overlays/kind")
        for region in REGIONS:
            self._create_secrets(region)
            _run(
                *(*KUBECTL, "delete", "job", "--namespace", region.namespace),
                *MIGRATIONS,
                "--ignore-not-found",
            )
        processes = "app.kubernetes.io/component notin (gateway, usersvc, keysvc)"
        _run_until_accepted(*KUBECTL, "apply", "--kustomize", overlay, "--selector", processes)
        for region in REGIONS:
            all_of_region = ("--all", "--namespace", region.namespace)
            _wait("condition=Ready", "certificates.cert-manager.io", *all_of_region)
            _wait("condition=Ready", "clusters.postgresql.cnpg.io", *all_of_region)
            for job in MIGRATIONS:
                _wait_for_job(f"job/{job}", region.namespace)
        _run(*KUBECTL, "apply", "--kustomize", overlay)
        for region in REGIONS:
            all_of_region = ("--all", "--namespace", region.namespace)
            _wait("condition=Available", "deployment", *all_of_region)
            _wait("condition=Programmed", "gateways.gateway.networking.k8s.io", *all_of_region)

    def connect(self, region: Region) -> ClientSettings:
        """The Tenant URL and key of a region's first organization, which is created once."""
        file = self.directory / f"kind-{region.name}.env"
        settings = read_client_settings(file)
        if settings is None:
            settings = ClientSettings(region.tenant_url, self._first_token(region))
            write_client_settings(file, settings)
        certificate = _read(
            *(*KUBECTL, "get", "secret", "edge-certificate", "--namespace", region.namespace),
            *("--output", r"jsonpath={.data.ca\.crt}"),
        )
        write_private(self.authority(region), base64.b64decode(certificate).decode())
        return settings

    def authority(self, region: Region) -> Path:
        """The file with the CA certificate that a client of the region must trust."""
        return self.directory / f"kind-{region.name}.pem"

    def remove(self) -> None:
        """Delete the cluster and its local files."""
        _run("kind", "delete", "cluster", "--name", CLUSTER)
        self._delete_local_files()

    def _delete_local_files(self) -> None:
        """Delete tokens and certificates, which are not valid in the next cluster."""
        for region in REGIONS:
            for kind in ("env", "pem"):
                (self.directory / f"kind-{region.name}.{kind}").unlink(missing_ok=True)

    def _create_secrets(self, region: Region) -> None:
        """Create the secrets that production reads from its store, unless they exist."""
        names = _read(*KUBECTL, "get", "namespaces", "--output", "name")
        if f"namespace/{region.namespace}" not in names.split():
            _run(*KUBECTL, "create", "namespace", region.namespace)
        namespace = ("--namespace", region.namespace)
        if "secret/gateway-secrets" in _read(
            *KUBECTL, "get", "secrets", *namespace, "--output", "name"
        ):
            return
        # On standard input: other users can read command-line arguments.
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "gateway-secrets", "namespace": region.namespace},
            "stringData": {"CURSOR_SECRET": secrets.token_hex(32)},
        }
        _run(*KUBECTL, "create", "--filename", "-", stdin=json.dumps(secret))

    def _first_token(self, region: Region) -> str:
        def keysvc(*command: str) -> dict[str, dict[str, str]]:
            container = ("--namespace", region.namespace, "deployment/keysvc", "--")
            output = _read(*KUBECTL, "exec", *container, "python3", "-m", "keysvc", *command)
            result: dict[str, dict[str, str]] = json.loads(output)
            return result

        created = keysvc("create-organization", "--display-name", f"Acme {region.name.upper()}")
        organization = created["organization"]["id"]
        keysvc("activate-integration", organization)
        return str(keysvc("generate-key", organization, "--created-by", CREATED_BY)["token"])


def _wait(condition: str, *what: str) -> None:
    _run(*KUBECTL, "wait", f"--for={condition}", "--timeout=600s", *what)


def _wait_for_job(job: str, namespace: str) -> None:
    try:
        _wait("condition=Complete", job, "--namespace", namespace)
    except StepFailedError:
        _run(*KUBECTL, "logs", job, "--namespace", namespace, "--all-pods")
        raise


def _run_until_accepted(*command: str) -> None:
    end = time.monotonic() + ACCEPTED_SECONDS
    while True:
        try:
            _run(*command)
        except StepFailedError:
            if time.monotonic() > end:
                raise
            say("  not accepted yet, trying again")
            time.sleep(1)
        else:
            return


def _run(*command: str, stdin: str | None = None) -> None:
    if subprocess.run(command, input=stdin, text=True, check=False).returncode != 0:
        raise StepFailedError(_failure(command))


def _read(*command: str) -> str:
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if result.returncode != 0:
        raise StepFailedError(_failure(command))
    return result.stdout


def _failure(command: Sequence[str]) -> str:
    return f"`{' '.join(command)}` failed; its output is above."
