"""Runs a region from its rendered manifests without a cluster: one container for each workload.

Commands, variables, users, read-only roots, volumes and probes come from the manifests. This module
generates the secrets and everything that operators would create: certificates, databases, the edge.
"""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from chassis.config.settings import CertificateFiles
from tests.support.chassis.authorities import DAY, Authority, new_key
from tests.support.image.hosts import Hosts, hosts
from tests.support.image.images import HARDENED, Finished, Store, output
from tests.support.k8s.edge import EdgeObjects, EdgeSetup, bootstrap
from tests.support.k8s.manifests import Manifest, container, environment, find, of_kind, pod
from tests.support.k8s.tools import ROOT, deploy_tool
from tests.support.postgres import TestPostgres
from tests.support.waiting import wait_until

DATABASES = {"users": "usersvc", "keys": "keysvc"}
NONROOT_GROUP = 65532
"""The group of the image's user."""
WAIT_SECONDS = 60.0


@dataclass
class Region:
    """A running region of an overlay."""

    overlay: str
    namespace: str
    store: Store
    image: str
    folder: Path
    hosts: Hosts
    secrets: dict[tuple[str, str], str] = field(default_factory=dict)
    organization: str = ""
    """The first organization, once a test has created it."""

    # --- actions of a cluster ---------------------------------------------------------------

    def run_job(self, name: str) -> Finished:
        """Run a Job's container until it ends."""
        workload = find(self.overlay, "Job", name, self.namespace)
        if name not in self.hosts.addresses:
            self.hosts.add(name)
        command = [*self.store.podman, "run", "--rm", *self._options(workload)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    def start(self, name: str) -> None:
        """Start a Deployment's container and wait for its probes as the kubelet does."""
        workload = find(self.overlay, "Deployment", name, self.namespace)
        self.hosts.add(name)
        output([*self.store.podman, "run", "--detach", "--name", name, *self._options(workload)])
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            eventually(lambda probe=probe: self.probe(name, probe) == 200, lambda: self.log(name))

    def probe(self, name: str, probe: str) -> int:
        """The HTTP status that a probe gets, or 0 without a response."""
        only = container(find(self.overlay, "Deployment", name, self.namespace))
        request = only[probe]["httpGet"]
        (port,) = (
            each["containerPort"] for each in only["ports"] if each["name"] == request["port"]
        )
        return self.get(name, port, request["path"])[0]

    def get(self, name: str, port: int, path: str) -> tuple[int, str]:
        """The response of a pod to a GET from the bridge."""
        script = (
            "import sys, urllib.request, urllib.error\n"
            "try:\n"
            "    response = urllib.request.urlopen(sys.argv[1], timeout=5)\n"
            "except urllib.error.HTTPError as error:\n"
            "    response = error\n"
            "except OSError:\n"
            "    print(0)\n"
            "    sys.exit()\n"
            "print(response.status)\n"
            "print(response.read().decode())\n"
        )
        url = f"http://{self.hosts.addresses[name]}:{port}{path}"
        status, _, body = output(self.hosts.node_command("python3", "-c", script, url)).partition(
            "\n"
        )
        return int(status), body

    def execute(self, name: str, *command: str) -> Any:
        """The parsed JSON output of an operator's command in a pod."""
        return json.loads(output([*self.store.podman, "exec", name, *command]))

    def stop(self, name: str) -> tuple[int, float]:
        """Stop a pod as the kubelet does after preStop; returns the exit code and the duration."""
        workload = find(self.overlay, "Deployment", name, self.namespace)
        pre_stop_seconds = container(workload)["lifecycle"]["preStop"]["sleep"]["seconds"]
        grace_seconds = pod(workload)["spec"]["terminationGracePeriodSeconds"] - pre_stop_seconds
        start = time.monotonic()
        output([*self.store.podman, "stop", "--time", str(grace_seconds), name])
        seconds = time.monotonic() - start
        state = output([*self.store.podman, "inspect", "--format", "{{.State.ExitCode}}", name])
        return int(state), seconds

    def log(self, name: str) -> str:
        """The output of a pod."""
        result = subprocess.run(
            [*self.store.podman, "logs", name], capture_output=True, text=True, check=False
        )
        return result.stdout + result.stderr

    def _options(self, workload: Manifest) -> list[str]:
        spec, only, name = pod(workload)["spec"], container(workload), workload["metadata"]["name"]
        secure = spec["securityContext"]
        options = ["--network", f"ns:/run/netns/{self.hosts.namespace(name)}", *HARDENED]
        options += ["--user", f"{secure['runAsUser']}:{secure['runAsGroup']}"]
        variables = environment(workload, self.overlay, self.namespace, self.secrets)
        for variable, value in variables.items():
            options += ["--env", f"{variable}={value}"]
        for volume in spec["volumes"]:
            (mount,) = (each for each in only["volumeMounts"] if each["name"] == volume["name"])
            source = self.folder / volume["secret"]["secretName"]
            options += ["--volume", f"{source}:{mount['mountPath']}:ro"]
        for host, address in self._names().items():
            options += ["--add-host", f"{host}:{address}"]
        return [*options, self.image, *only["args"]]

    def _names(self) -> dict[str, str]:
        """The names that the cluster's DNS would resolve."""
        services = {each["metadata"]["name"] for each in of_kind(self.overlay, "Service")}
        pods = {name: address for name, address in self.hosts.addresses.items() if name in services}
        databases = (f"{database}-{kind}" for database in DATABASES for kind in ("rw", "pooler"))
        return pods | dict.fromkeys(databases, self.hosts.address)


@contextmanager
def running_region(
    overlay: str, *, namespace: str, store: Store, image: str, folder: Path, postgres: TestPostgres
) -> Iterator[Region]:
    """Run a whole region, from migrations to the edge."""
    with ExitStack() as ends:
        region = Region(overlay, namespace, store, image, folder, ends.enter_context(hosts()))
        ends.callback(_remove_pods, region)
        _write_certificates(region)
        ends.enter_context(_databases(region, postgres))
        region.secrets["gateway-secrets", "CURSOR_SECRET"] = os.urandom(32).hex()
        for service in DATABASES.values():
            finished = region.run_job(f"{service}-migrate")
            assert finished.returncode == 0, finished.stderr
        for name in (*DATABASES.values(), "gateway"):
            region.start(name)
        ends.enter_context(_edge(region))
        yield region


def _remove_pods(region: Region) -> None:
    command = [*region.store.podman, "rm", "--all", "--force", "--time", "1"]
    subprocess.run(command, capture_output=True, check=False)


def _write_certificates(region: Region) -> None:
    """Write the certificates that cert-manager and the secret store would provide."""
    authority = Authority()
    for manifest in of_kind(region.overlay, "Certificate", region.namespace):
        spec = manifest["spec"]
        if not spec.get("isCA"):
            folder, algorithm = region.folder / spec["secretName"], spec["privateKey"]["algorithm"]
            _issue(authority, folder, spec["dnsNames"], algorithm)
    for manifest in of_kind(region.overlay, "ExternalSecret", region.namespace):
        if "tls.key" in {entry["secretKey"] for entry in manifest["spec"]["data"]}:
            _issue(authority, region.folder / manifest["spec"]["target"]["name"], ["saml"], "RSA")


def _issue(
    authority: Authority, folder: Path, names: list[str], algorithm: str = "ECDSA"
) -> CertificateFiles:
    key = rsa.generate_private_key(65537, 3072) if algorithm == "RSA" else new_key()
    end = datetime.now(UTC) + DAY
    signed = authority.sign(names[0], key.public_key(), [x509.DNSName(name) for name in names], end)
    folder.mkdir()
    folder.chmod(0o755)
    files = CertificateFiles(folder / "tls.crt", folder / "tls.key", folder / "ca.crt")
    files.certificate.write_bytes(signed.public_bytes(Encoding.PEM))
    files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    files.authority.write_bytes(authority.pem)
    for file in folder.iterdir():  # as fsGroup and defaultMode do
        os.chown(file, 0, NONROOT_GROUP)
        file.chmod(0o440)
    return files


@contextmanager
def _databases(region: Region, postgres: TestPostgres) -> Iterator[None]:
    """Create databases, owners and a server with TLS, as CloudNativePG does."""
    authority = Authority("cnpg")
    cluster = postgres.cluster
    for database, service in DATABASES.items():
        # CloudNativePG has two clusters; here one server has both databases, so names must differ.
        owner, password = f"{service}_{region.namespace}", os.urandom(16).hex()
        cluster.create_role_and_database(database, owner, password)
        region.secrets[f"{database}-app", "username"] = owner
        region.secrets[f"{database}-app", "password"] = password
        _issue(authority, region.folder / f"{database}-ca", [database])
    names = [f"{database}-{kind}" for database in DATABASES for kind in ("rw", "pooler")]
    files = _issue(authority, region.folder / "postgres-tls", names)
    sockets = Path(cluster.query("SHOW unix_socket_directories;").strip())
    command = [
        str(ROOT / ".venv/bin/python"),
        str(Path(__file__).with_name("postgres_tls_proxy.py")),
    ]
    command += [f"{region.hosts.address}:5432", str(files.certificate), str(files.key)]
    command += [str(sockets / f".s.PGSQL.{cluster.port}")]
    proxy = subprocess.Popen(region.hosts.node_command(*command))
    try:
        yield
    finally:
        proxy.terminate()
        proxy.wait(10)


@contextmanager
def _edge(region: Region) -> Iterator[None]:
    """Run Envoy as Envoy Gateway does."""
    objects = EdgeObjects.of(region.overlay, region.namespace)
    folder = region.folder / "edge-certificate"
    files = CertificateFiles(folder / "tls.crt", folder / "tls.key", folder / "ca.crt")
    gateway = (region.hosts.addresses["gateway"], 8080)
    log = region.folder / "access.log"
    setup = EdgeSetup(region.hosts.address, 443, gateway, files, log)
    config = region.folder / "envoy.json"
    config.write_text(json.dumps(bootstrap(objects, setup)))
    command = [deploy_tool("envoy"), "--config-path", str(config), "--concurrency", "1"]
    envoy = subprocess.Popen(
        region.hosts.node_command(*command, "--use-dynamic-base-id", "--log-level", "error")
    )
    try:
        yield
    finally:
        envoy.terminate()
        envoy.wait(30)


def client(region: Region, *command: str, **variables: str) -> Finished:
    """Run a program that connects to the region by name and over TLS, as customers do."""
    host = EdgeObjects.of(region.overlay, region.namespace).host
    trusted = str(region.folder / "edge-certificate" / "ca.crt")
    return subprocess.run(
        region.hosts.command_with_names({host: region.hosts.address}, command),
        env={**os.environ, "SSL_CERT_FILE": trusted, **variables},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def tenant_url(region: Region) -> str:
    """The region's Tenant URL."""
    name = region.namespace.removeprefix("cloudacademy-")
    gateway = find(region.overlay, "Deployment", "gateway", region.namespace)
    urls = environment(gateway, region.overlay, region.namespace, region.secrets)[
        "GATEWAY_TENANT_URLS"
    ]
    return dict(entry.split("=", 1) for entry in urls.split(","))[name]


def eventually(condition: Callable[[], bool], describe: Callable[[], str]) -> None:
    """Wait for a condition of the cluster; fail with `describe()` when it does not become true."""
    wait_until(condition, WAIT_SECONDS, describe)
