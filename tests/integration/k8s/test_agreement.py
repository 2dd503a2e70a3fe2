"""The manifests agree with each other and with the processes: names, ports, probes, limits."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import gateway.settings
import usersvc.settings
from chassis.config.settings import SHUTDOWN_DELAY_SECONDS
from chassis.database.pool import POOL_SIZE, STATEMENT_SECONDS
from chassis.rpc.server import DRAIN_SECONDS
from deploy.local.postgres import LOG_SETTINGS, REQUIRED_SETTINGS
from gateway.api import bulk
from gateway.api.app import PREFIX
from gateway.backend.errors import HTTP_ERRORS
from gateway.http import server as http_server
from gateway.http.body import MAX_BODY_BYTES
from gateway.http.connections import ClientTimeouts
from gateway.openapi.page import PATH as OPENAPI
from gateway.outbound.address_rule import IPV4_REFUSED, IPV6_PUBLIC
from gateway.outbound.settings import HTTPS_PORT
from gateway.portal.routes import all_routes
from gateway.scim.responses import ERROR_URN
from gateway.web.assets import PATH as ASSETS
from keysvc.settings import Settings as KeysvcSettings
from tests.support.k8s.edge import MAX_CONNECTIONS, max_heap_bytes
from tests.support.k8s.edge_objects import EdgeObjects, bytes_of
from tests.support.k8s.manifests import (
    NAMESPACES,
    OVERLAYS,
    REGIONS,
    SERVICES,
    Manifest,
    container,
    environment,
    find,
    namespaces,
    of_kind,
    pod,
    rendered,
    selects,
    workloads,
)
from tests.support.k8s.tools import ROOT
from usersvc.domain.erasure import BACKUP_RETENTION
from usersvc.wiring import FEED_CONNECTIONS

READERS = {
    "gateway": gateway.settings.read,
    "usersvc": usersvc.settings.read,
    "keysvc": KeysvcSettings.read,
}
DATABASES = {"usersvc": "users", "keysvc": "keys"}
KUBELET_RESERVE_SECONDS = 5
POOLS = 2
"""The two pools of a service; each waits for running statements when it closes."""
ENTRA_REQUESTS_PER_SECOND = 25
CUSTOMERS_PER_ADDRESS = 120
"""Customers whose Entra may send requests from one address through one proxy at the same time."""
BURSTS_PER_ADDRESS = 6
"""Customers that may use their whole burst at the same time."""
REFUSAL_CPU_SECONDS = 113e-6
"""CPU seconds of the most expensive rejection: no key or an unknown path, with its log line, over
300 connections. The rejection of a known key over its rate takes 65e-6 (docs/performance.md)."""
IDLE_CONNECTION_BYTES = 14 * 2**10
"""Bytes that Envoy 1.40 needs for an idle TLS connection (measured with 2,000)."""
SIGN_ON_PATHS = ("/login/enterprise/", "/labs/social/complete/saml/")


def max_rollout_replicas(deployment: Manifest) -> int:
    """The maximum number of replicas in a rollout; Kubernetes adds 25 % by default."""
    replicas: int = deployment["replicas"]
    surge = deployment.get("strategy", {}).get("rollingUpdate", {}).get("maxSurge", "25%")
    if isinstance(surge, str):
        surge = math.ceil(replicas * int(surge.removesuffix("%")) / 100)
    return replicas + int(surge)


def regions() -> Iterator[tuple[str, str]]:
    """Every region of every overlay."""
    for overlay in OVERLAYS:
        for namespace in NAMESPACES[overlay]:
            yield overlay, namespace


each_region = pytest.mark.parametrize(("overlay", "namespace"), list(regions()))
each_service = pytest.mark.parametrize("name", SERVICES)


class RecordingEnvironment(Mapping[str, str]):
    """Environment variables that record which of them were read."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.read.add(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_namespaces_of_an_overlay_are_those_that_tests_expect(overlay: str):
    assert sorted(namespaces(overlay)) == sorted(NAMESPACES[overlay])


@each_region
def test_namespace_is_named_after_region_and_holds_all_objects(overlay, namespace):
    cluster_wide = {"Namespace", "GatewayClass"}
    region = find(overlay, "Namespace", namespace)["metadata"]["name"].removeprefix("cloudacademy-")

    objects = rendered(overlay)
    assert [manifest for manifest in objects if manifest["kind"] not in cluster_wide] == [
        manifest
        for manifest in objects
        if manifest["metadata"].get("namespace") in namespaces(overlay)
    ]
    for service in ("gateway", "keysvc"):
        variables = environment(find(overlay, "Deployment", service, namespace), overlay, namespace)
        assert variables[f"{service.upper()}_REGION"] == region


@each_region
@each_service
def test_process_reads_every_variable_of_its_manifest(overlay, namespace, name):
    workload = find(overlay, "Deployment", name, namespace)
    variables = RecordingEnvironment(environment(workload, overlay, namespace))

    settings = READERS[name](variables)

    own = {variable for variable in variables if variable.startswith(f"{name.upper()}_")}
    assert own - variables.read == set()
    ports = {port["name"]: port["containerPort"] for port in container(workload)["ports"]}
    server = settings if name == "gateway" else settings.server
    assert (server.listen.host, server.listen.port) == (
        "0.0.0.0",
        ports["http" if name == "gateway" else "grpc"],
    )
    assert (server.admin.host, server.admin.port) == ("0.0.0.0", ports["admin"])
    assert server.tls is not None
    mounted = {mount["mountPath"] for mount in container(workload)["volumeMounts"]}
    assert {str(path.parent) for path in (server.tls.certificate, server.tls.authority)} <= mounted


@each_region
def test_selectors_match_intended_pods(overlay, namespace):
    labels = {
        workload["metadata"]["name"]: pod(workload)["metadata"]["labels"]
        for workload in workloads(overlay, namespace)
    }

    def selected_by(selector: Manifest) -> list[str]:
        return [name for name, own_labels in labels.items() if selects(selector, own_labels)]

    for name in SERVICES:
        deployment = find(overlay, "Deployment", name, namespace)["spec"]
        service = find(overlay, "Service", name, namespace)["spec"]
        budget = find(overlay, "PodDisruptionBudget", name, namespace)["spec"]
        scaler = find(overlay, "HorizontalPodAutoscaler", name, namespace)["spec"]
        assert selected_by(deployment["selector"]) == [name]
        assert selected_by({"matchLabels": service["selector"]}) == [name]
        assert selected_by(budget["selector"]) == [name]
        spreads = deployment["template"]["spec"]["topologySpreadConstraints"]
        assert [spread["topologyKey"] for spread in spreads] == [
            "topology.kubernetes.io/zone",
            "kubernetes.io/hostname",
        ]
        for spread in spreads:
            assert selected_by(spread["labelSelector"]) == [name]
        assert budget["maxUnavailable"] >= 1  # otherwise no node could be drained
        assert scaler["scaleTargetRef"]["name"] == name
        assert "replicas" not in deployment
    for monitor in of_kind(overlay, "PodMonitor", namespace):
        if monitor["metadata"]["name"] == "processes":
            assert sorted(selected_by(monitor["spec"]["selector"])) == sorted(SERVICES)


@pytest.mark.parametrize("overlay", ["us", "eu"])
@each_service
def test_deployment_survives_zone_failure_and_node_drain(overlay, name):
    replicas = find(overlay, "HorizontalPodAutoscaler", name)["spec"]["minReplicas"]
    budget = find(overlay, "PodDisruptionBudget", name)["spec"]

    assert replicas >= 3
    assert replicas > budget["maxUnavailable"]


@each_region
def test_gateway_trusts_exactly_one_proxy_for_client_address(overlay, namespace):
    variables = environment(find(overlay, "Deployment", "gateway", namespace), overlay, namespace)

    assert gateway.settings.read(variables).proxies == 1


@each_region
@each_service
def test_ports_and_probes_match_container(overlay, namespace, name):
    workload = find(overlay, "Deployment", name, namespace)
    ports = {port["name"] for port in container(workload)["ports"]}
    service = find(overlay, "Service", name, namespace)["spec"]

    assert {port["targetPort"] for port in service["ports"]} <= ports
    probed = "http" if name == "gateway" else "admin"
    assert {
        kind: container(workload)[f"{kind}Probe"]["httpGet"]
        for kind in ("startup", "readiness", "liveness")
    } == {
        "startup": {"path": "/healthz", "port": probed},
        "readiness": {"path": "/readyz", "port": probed},
        "liveness": {"path": "/healthz", "port": probed},
    }
    if name != "gateway":  # clients balance calls, so they must see every pod
        assert service["clusterIP"] == "None"


@each_region
def test_gateway_calls_services_by_names_of_their_certificates(overlay, namespace):
    variables = environment(find(overlay, "Deployment", "gateway", namespace), overlay, namespace)

    for name in DATABASES:
        target = urlsplit(variables[f"GATEWAY_{name.upper()}"])
        service = find(overlay, "Service", name, namespace)["spec"]["ports"][0]
        certificate = find(overlay, "Certificate", name, namespace)["spec"]
        assert (target.scheme, target.path) == ("dns", f"/{name}:{service['port']}")
        assert name in certificate["dnsNames"]


@each_region
@each_service
def test_process_has_certificate_of_regional_authority(overlay, namespace, name):
    workload = find(overlay, "Deployment", name, namespace)
    volumes = {volume["name"]: volume for volume in pod(workload)["spec"]["volumes"]}
    certificate = find(overlay, "Certificate", name, namespace)["spec"]

    assert volumes["certificates"]["secret"]["secretName"] == certificate["secretName"]
    assert certificate["dnsNames"] == [name]
    assert certificate["issuerRef"]["name"] == "authority"
    issuer = find(overlay, "Issuer", "authority", namespace)["spec"]
    authority = find(overlay, "Certificate", "authority", namespace)["spec"]
    assert issuer["ca"]["secretName"] == authority["secretName"]
    assert certificate["renewBefore"] == "720h"
    assert certificate["duration"] == "2160h"


@each_region
def test_egress_policy_permits_exactly_what_outgoing_traffic_needs(overlay, namespace):
    """Public addresses, HTTPS, and the port of the mail server; gateway/outbound refuses others."""
    workload = find(overlay, "Deployment", "gateway", namespace)
    settings = gateway.settings.read(environment(workload, overlay, namespace))
    policy = find(overlay, "NetworkPolicy", "gateway", namespace)["spec"]
    https, mail = (rule for rule in policy["egress"] if "ipBlock" in rule["to"][0])
    (ipv4, ipv6) = (each["ipBlock"] for each in https["to"])

    assert https["ports"] == [{"protocol": "TCP", "port": HTTPS_PORT}]
    assert settings.outbound.mail_server is not None
    assert mail["ports"] == [
        {"protocol": "TCP", "port": settings.outbound.mail_server.address.port}
    ]
    assert mail["to"] == https["to"]
    assert ipv4["cidr"] == "0.0.0.0/0"
    refused = {str(network) for network in IPV4_REFUSED if network.prefixlen < 24}
    assert set(ipv4["except"]) == refused
    assert ipv6["cidr"] == str(IPV6_PUBLIC)
    assert not settings.outbound.allow_loopback


@each_region
def test_saml_signing_key_is_mounted(overlay, namespace):
    workload = find(overlay, "Deployment", "gateway", namespace)
    volumes = {volume["name"]: volume for volume in pod(workload)["spec"]["volumes"]}
    settings = gateway.settings.read(environment(workload, overlay, namespace))

    assert volumes["saml"]["secret"]["secretName"] == "gateway-saml"
    saml = settings.keys.saml
    assert (str(saml.key), str(saml.certificate)) == (
        "/saml/tls.key",
        "/saml/tls.crt",
    )


@pytest.mark.parametrize("overlay", ["us", "eu"])
def test_saml_signing_key_outlives_cluster(overlay):
    """Identity providers store its certificate, so a new cluster must not create another one."""
    secret = find(overlay, "ExternalSecret", "gateway-saml")["spec"]

    assert "gateway-saml" not in {
        certificate["spec"]["secretName"] for certificate in of_kind(overlay, "Certificate")
    }
    assert secret["target"]["name"] == "gateway-saml"
    remote_key = f"provisioning/{overlay}/gateway"
    assert {entry["secretKey"]: entry["remoteRef"] for entry in secret["data"]} == {
        "tls.key": {"key": remote_key, "property": "SAML_KEY"},
        "tls.crt": {"key": remote_key, "property": "SAML_CERTIFICATE"},
    }


@pytest.mark.parametrize("namespace", NAMESPACES["kind"])
def test_saml_signing_key_of_kind_cluster_is_created_once(namespace):
    certificate = find("kind", "Certificate", "saml", namespace)["spec"]

    assert certificate["secretName"] == "gateway-saml"
    assert certificate["privateKey"] == {
        "algorithm": "RSA",
        "size": 3072,
        "rotationPolicy": "Never",
    }


@each_region
def test_pods_are_restricted_and_have_no_cluster_access(overlay, namespace):
    for workload in workloads(overlay, namespace):
        spec, main = pod(workload)["spec"], container(workload)
        account = find(overlay, "ServiceAccount", spec["serviceAccountName"], namespace)
        assert account["automountServiceAccountToken"] is False
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert main["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(main["resources"]["requests"]) == set(main["resources"]["limits"])
    (labels,) = (
        manifest["metadata"]["labels"]
        for manifest in of_kind(overlay, "Namespace")
        if manifest["metadata"]["name"] == namespace
    )
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@each_region
@each_service
def test_termination_grace_period_covers_drain(overlay, namespace, name):
    workload = find(overlay, "Deployment", name, namespace)
    pre_stop_seconds = container(workload)["lifecycle"]["preStop"]["sleep"]["seconds"]
    if name == "gateway":
        drain_seconds = http_server.DRAIN_SECONDS
    else:
        drain_seconds = SHUTDOWN_DELAY_SECONDS + DRAIN_SECONDS + POOLS * STATEMENT_SECONDS

    grace = pod(workload)["spec"]["terminationGracePeriodSeconds"]

    assert grace >= pre_stop_seconds + drain_seconds + KUBELET_RESERVE_SECONDS


@each_region
def test_migration_runs_service_image_and_bypasses_pooler(overlay, namespace):
    for name, database in DATABASES.items():
        job, deployment = (
            find(overlay, "Job", f"{name}-migrate", namespace),
            find(overlay, "Deployment", name, namespace),
        )
        url = urlsplit(environment(job, overlay, namespace)[f"{name.upper()}_DATABASE_URL"])
        assert container(job)["args"] == [name, "migrate"]
        assert pod(job)["spec"]["restartPolicy"] == "Never"  # a failed pod keeps its log
        assert container(job)["image"] == container(deployment)["image"]
        assert (url.hostname, url.path) == (f"{database}-rw", f"/{database}")
        READERS[name](environment(job, overlay, namespace))


@each_region
def test_database_urls_use_existing_names_and_verify_certificates(overlay, namespace):
    for name, database in DATABASES.items():
        cluster = find(overlay, "Cluster", database, namespace)["spec"]
        pooler = find(overlay, "Pooler", f"{database}-pooler", namespace)
        variables = environment(find(overlay, "Deployment", name, namespace), overlay, namespace)
        url = urlsplit(variables[f"{name.upper()}_DATABASE_URL"])
        listen = urlsplit(variables[f"{name.upper()}_DATABASE_LISTEN_URL"])

        assert cluster["bootstrap"]["initdb"]["database"] == database
        assert url.path == listen.path == f"/{database}"
        assert url.hostname == pooler["metadata"]["name"]
        assert url.hostname in cluster["certificates"]["serverAltDNSNames"]
        assert listen.hostname == f"{database}-rw"
        for database_url in (url, listen):
            assert database_url.query == "sslmode=verify-full&sslrootcert=/database/ca.crt"


@each_region
def test_database_logs_no_personal_data(overlay, namespace):
    for database in DATABASES.values():
        cluster = find(overlay, "Cluster", database, namespace)["spec"]
        parameters = cluster["postgresql"]["parameters"]
        assert parameters.items() >= {**LOG_SETTINGS, **REQUIRED_SETTINGS}.items()
        assert parameters["log_min_duration_statement"] == "-1"
        assert parameters["log_parameter_max_length"] == "0"
        assert parameters["log_parameter_max_length_on_error"] == "0"


@each_region
def test_database_keeps_public_privileges_for_its_operator(overlay, namespace):
    """CloudNativePG's replication and metrics connect with the privileges of PUBLIC."""
    for database in DATABASES.values():
        cluster = find(overlay, "Cluster", database, namespace)["spec"]
        assert "REVOKE" not in json.dumps(cluster["bootstrap"]["initdb"]).upper()


@pytest.mark.parametrize("name", DATABASES)
def test_listen_connections_bypass_pooler(name):
    """A pooler in transaction mode accepts LISTEN but never delivers notifications."""
    sources = "".join(path.read_text() for path in (ROOT / name).rglob("*.py"))
    variables = environment(find("us", "Deployment", name, REGIONS["us"]), "us", REGIONS["us"])

    listens = ".add_listener(" in sources or "NotificationFeed(" in sources
    assert listens == (f"{name.upper()}_DATABASE_LISTEN_URL" in variables)


@pytest.mark.parametrize("overlay", ["us", "eu"])
def test_connections_of_all_replicas_fit_database_limit(overlay):
    direct_connections = {"usersvc": FEED_CONNECTIONS, "keysvc": 1}
    for name, database in DATABASES.items():
        replicas = find(overlay, "HorizontalPodAutoscaler", name)["spec"]["maxReplicas"]
        cluster = find(overlay, "Cluster", database)["spec"]
        pooler = find(overlay, "Pooler", f"{database}-pooler")["spec"]
        parameters = pooler["pgbouncer"]["parameters"]
        pooled = pooler["instances"] * int(parameters["default_pool_size"])
        surge, operators = 1, 20
        direct = (replicas + surge) * direct_connections[name]

        allowed = int(cluster["postgresql"]["parameters"]["max_connections"])

        assert pooled + direct + operators <= allowed
        assert (replicas + surge) * POOL_SIZE <= int(parameters["max_client_conn"])
        assert pooler["pgbouncer"]["poolMode"] == "transaction"
        assert int(parameters["max_prepared_statements"]) >= 100  # asyncpg's statement cache
        # tests/integration/chassis/test_pooler.py measures what it is for.
        assert parameters["server_login_retry"] == "1"


@each_region
def test_edge_routes_host_of_region_to_gateway(overlay, namespace):
    region = namespace.removeprefix("cloudacademy-")
    listener = find(overlay, "Gateway", "edge", namespace)["spec"]["listeners"][0]
    variables = environment(find(overlay, "Deployment", "gateway", namespace), overlay, namespace)
    tenant = urlsplit(gateway.settings.read(variables).tenant_urls[region])
    certificate = find(overlay, "Certificate", "edge", namespace)["spec"]

    assert tenant.path == PREFIX
    assert listener["hostname"] == tenant.hostname
    assert certificate["dnsNames"] == [tenant.hostname]
    assert listener["tls"]["certificateRefs"] == [
        {"kind": "Secret", "name": certificate["secretName"]}
    ]
    for route in of_kind(overlay, "HTTPRoute", namespace):
        assert route["spec"]["parentRefs"] == [{"name": "edge", "sectionName": "https"}]
        for rule in route["spec"]["rules"]:
            (backend,) = rule["backendRefs"]
            service = find(overlay, "Service", backend["name"], namespace)["spec"]
            assert backend["port"] in {port["port"] for port in service["ports"]}
    (scim,) = find(overlay, "HTTPRoute", "scim", namespace)["spec"]["rules"]
    assert [match["path"]["value"] for match in scim["matches"]] == [PREFIX]


@each_region
def test_edge_routes_every_page_to_gateway(overlay, namespace):
    (pages,) = find(overlay, "HTTPRoute", "portal", namespace)["spec"]["rules"]
    matches = [match["path"] for match in pages["matches"]]
    for path in (*(route.path for route in all_routes()), ASSETS, *SIGN_ON_PATHS, OPENAPI):
        assert any(_matches(match, path) for match in matches), path


def _matches(match: Mapping[str, str], path: str) -> bool:
    """Whether a match of the Gateway API, whose prefixes match whole segments, covers a path."""
    if match["type"] == "Exact":
        return path == match["value"]
    return f"{path}/".startswith(f"{match['value']}/")


@each_region
def test_edge_timeout_and_body_limit_exceed_those_of_gateway(overlay, namespace):
    (scim,) = find(overlay, "HTTPRoute", "scim", namespace)["spec"]["rules"]
    policy = find(overlay, "BackendTrafficPolicy", "scim", namespace)["spec"]

    assert float(scim["timeouts"]["request"].removesuffix("s")) > bulk.SECONDS
    assert bytes_of(policy["requestBuffer"]["limit"]) > MAX_BODY_BYTES


@each_region
def test_edge_closes_idle_connections_before_gateway(overlay, namespace):
    """Otherwise a request could be sent on a connection that the gateway is closing."""
    for policy in of_kind(overlay, "BackendTrafficPolicy", namespace):
        idle = policy["spec"]["timeout"]["http"]["connectionIdleTimeout"]
        assert float(idle.removesuffix("s")) < http_server.KEEPALIVE_SECONDS


@each_region
def test_edge_buffers_bodies_of_slow_clients(overlay, namespace):
    """Otherwise a slow client would occupy the body memory of the gateway."""
    client = find(overlay, "ClientTrafficPolicy", "edge", namespace)["spec"]["timeout"]["http"]
    for policy in of_kind(overlay, "BackendTrafficPolicy", namespace):
        assert policy["spec"]["requestBuffer"]["limit"]
    assert float(client["requestReceivedTimeout"].removesuffix("s")) > ClientTimeouts().body


@each_region
def test_edge_opens_no_more_connections_than_gateway_accepts(overlay, namespace):
    """Even if all connections go to one gateway in a rollout, probes must still connect."""
    proxy = find(overlay, "EnvoyProxy", "edge", namespace)["spec"]["provider"]["kubernetes"]
    proxies = max_rollout_replicas(proxy["envoyDeployment"])
    breakers = [
        policy["spec"]["circuitBreaker"]
        for policy in of_kind(overlay, "BackendTrafficPolicy", namespace)
    ]
    variables = environment(find(overlay, "Deployment", "gateway", namespace), overlay, namespace)

    allowed = gateway.settings.read(variables).max_connections

    assert proxies * sum(breaker["maxConnections"] for breaker in breakers) + 20 <= allowed
    for breaker in breakers:  # an HTTP/1.1 connection carries one request
        assert breaker["maxParallelRequests"] <= breaker["maxConnections"]


@each_region
def test_customer_over_its_rate_is_rejected_by_gateway_not_edge(overlay, namespace):
    local = find(overlay, "BackendTrafficPolicy", "scim", namespace)["spec"]["rateLimit"]["local"]
    variables = environment(find(overlay, "Deployment", "gateway", namespace), overlay, namespace)

    rate = gateway.settings.read(variables).rate

    assert rate.per_second >= 2 * ENTRA_REQUESTS_PER_SECOND
    for rule in local["rules"]:
        assert rule["limit"]["requests"] >= CUSTOMERS_PER_ADDRESS * ENTRA_REQUESTS_PER_SECOND
        assert rule["limit"]["requests"] >= BURSTS_PER_ADDRESS * max(rate.per_second, rate.burst)


@each_region
def test_gateways_can_afford_to_reject_edge_rate_per_address(overlay, namespace):
    local = find(overlay, "BackendTrafficPolicy", "scim", namespace)["spec"]["rateLimit"]["local"]
    replicas = find(overlay, "HorizontalPodAutoscaler", "gateway", namespace)["spec"]["minReplicas"]
    pods = container(find(overlay, "Deployment", "gateway", namespace))
    proxy = find(overlay, "EnvoyProxy", "edge", namespace)["spec"]["provider"]["kubernetes"]
    proxies = proxy["envoyDeployment"]["replicas"]

    cores = replicas * float(pods["resources"]["limits"]["cpu"])

    for rule in local["rules"]:
        assert rule["limit"]["unit"] == "Second"
        busy = proxies * rule["limit"]["requests"] * REFUSAL_CPU_SECONDS
        assert busy < 0.4 * cores


@each_region
def test_edge_errors_use_details_of_gateway(overlay, namespace):
    details = {error.detail for error in HTTP_ERRORS.values()}
    policy = find(overlay, "BackendTrafficPolicy", "scim", namespace)["spec"]
    for rule in policy["responseOverride"]:
        (status,) = (code["value"] for code in rule["match"]["statusCodes"])
        error = json.loads(rule["response"]["body"]["inline"])
        assert rule["source"] == "Local"  # responses of the gateway pass unchanged
        assert (error["status"], error["schemas"]) == (str(status), [ERROR_URN])
        assert status not in (503, 504) or error["detail"] in details


@each_region
def test_edge_has_memory_for_its_connections(overlay, namespace):
    """Envoy Gateway derives the heap limit from the container's limit, so that must be set."""
    edge = EdgeObjects.of(overlay, namespace)
    connection = edge.client["spec"]["connection"]

    connection_bytes = IDLE_CONNECTION_BYTES + bytes_of(connection["bufferLimit"])

    assert connection["connectionLimit"]["value"] < MAX_CONNECTIONS
    assert connection["connectionLimit"]["value"] * connection_bytes < max_heap_bytes(edge)


@each_region
def test_calls_of_all_gateways_stay_within_service_concurrency(overlay, namespace):
    """With the minimum number of replicas, and half of the services unavailable."""
    calls = 0
    for name in ("gateway", "usersvc"):
        replicas = find(overlay, "HorizontalPodAutoscaler", name, namespace)["spec"]["minReplicas"]
        workload = find(overlay, "Deployment", name, namespace)
        settings = READERS[name](environment(workload, overlay, namespace))
        if name == "gateway":
            calls = replicas * settings.max_requests
        else:
            assert calls <= max(1, replicas // 2) * settings.server.max_calls


@each_region
def test_edge_rate_per_address_is_above_rate_of_entra(overlay, namespace):
    local = find(overlay, "BackendTrafficPolicy", "scim", namespace)["spec"]["rateLimit"]["local"]

    selected = [rule["clientSelectors"][0]["sourceCIDR"] for rule in local["rules"]]
    assert selected == [
        {"type": "Distinct", "value": "0.0.0.0/0"},
        {"type": "Distinct", "value": "::/0"},
    ]
    for rule in local["rules"]:
        assert rule["limit"]["unit"] == "Second"
        assert rule["limit"]["requests"] >= ENTRA_REQUESTS_PER_SECOND


@each_region
def test_edge_requires_tls_1_2(overlay, namespace):
    tls = find(overlay, "ClientTrafficPolicy", "edge", namespace)["spec"]["tls"]

    assert tls["minVersion"] in {"1.2", "1.3"}
    assert tls.get("maxVersion", "1.3") == "1.3"


@each_region
def test_access_log_has_no_client_header_except_host(overlay, namespace):
    (setting,) = find(overlay, "EnvoyProxy", "edge", namespace)["spec"]["telemetry"]["accessLog"][
        "settings"
    ]
    access_log = json.dumps(setting["format"])

    assert re.findall(r"%REQ\(([^)]*)\)", access_log) == [":AUTHORITY", ":METHOD"]
    assert "%PATH" not in access_log
    assert "QUERY" not in access_log


@pytest.mark.parametrize(("overlay", "other"), [("us", "eu"), ("eu", "us")])
def test_manifests_mention_the_other_region_only_by_its_address(overlay, other):
    hosts = {"us": "cloudacademy.com", "eu": "app.qa.com"}
    manifests = json.dumps(
        [
            manifest
            for manifest in rendered(overlay)
            if not manifest["metadata"]["name"].startswith("region-")
        ]
    )

    words = {f"cloudacademy-{other}", f"provisioning-{other}", f"provisioning/{other}"}
    words |= {hosts[other], {"us": "us-east-1", "eu": "eu-central-1"}[other]}
    assert {word for word in words if word in manifests} == set()


@pytest.mark.parametrize(("overlay", "aws_region"), [("us", "us-east-1"), ("eu", "eu-central-1")])
def test_secrets_and_backups_stay_in_region(overlay, aws_region):
    store = find(overlay, "SecretStore", "region")["spec"]["provider"]["aws"]
    assert store["region"] == aws_region
    for database in DATABASES.values():
        bucket = find(overlay, "ObjectStore", database)["spec"]["configuration"]["destinationPath"]
        cluster = find(overlay, "Cluster", database)["spec"]
        backup = find(overlay, "ScheduledBackup", database)["spec"]
        assert bucket == f"s3://provisioning-{overlay}-backup/{database}"
        assert cluster["plugins"][0]["parameters"] == {"barmanObjectName": database}
        assert cluster["plugins"][0]["isWALArchiver"] is True
        assert cluster["instances"] == 3
        assert backup["cluster"]["name"] == database


@pytest.mark.parametrize(("overlay", "aws_region"), [("us", "us-east-1"), ("eu", "eu-central-1")])
def test_cert_manager_has_role_for_dns_challenge(overlay, aws_region):
    """It needs a role per region: a namespaced Issuer cannot use the operator's credentials."""
    (solver,) = find(overlay, "Issuer", "web")["spec"]["acme"]["solvers"]
    role = find(overlay, "Role", "dns-token")
    binding = find(overlay, "RoleBinding", "dns-token")

    assert solver["dns01"]["route53"] == {
        "region": aws_region,
        "role": f"arn:aws:iam::000000000000:role/provisioning-{overlay}-dns",
        "auth": {"kubernetes": {"serviceAccountRef": {"name": "dns"}}},
    }
    assert find(overlay, "ServiceAccount", "dns")["automountServiceAccountToken"] is False
    assert role["rules"] == [
        {
            "apiGroups": [""],
            "resources": ["serviceaccounts/token"],
            "resourceNames": ["dns"],
            "verbs": ["create"],
        }
    ]
    assert binding["roleRef"]["name"] == "dns-token"
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "cert-manager", "namespace": "cert-manager"}
    ]


@pytest.mark.parametrize("overlay", REGIONS)
def test_backup_retention_matches_documented_erasure_period(overlay):
    stores = of_kind(overlay, "ObjectStore")
    retention = f"{BACKUP_RETENTION.days}d"
    assert [store["spec"]["retentionPolicy"] for store in stores] == [retention] * len(DATABASES)


def test_every_manifest_file_is_named_after_its_kind():
    for path in (ROOT / "deploy/k8s/base").glob("*/*.yaml"):
        kinds = {line.split()[1].lower() for line in _lines(path) if line.startswith("kind:")}
        assert kinds == {path.stem}, path


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()
