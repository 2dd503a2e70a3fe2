"""Routing and TLS of a real Envoy, configured from the manifests, in front of a region."""

import asyncio
import json
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.api.app import PREFIX
from gateway.http.body import MAX_BODY_BYTES
from tests.support.edge.edges import stand_in_gateway, us
from tests.support.edge.envoys import Edge, running_edge
from tests.support.k8s.edge import EdgeObjects, EdgeSetup, bootstrap
from tests.support.k8s.manifests import OVERLAYS, namespaces
from tests.support.k8s.tools import deploy_tool, system_tool
from tests.support.stack import Stack
from tests.support.waiting import pace, wait_until

HOST = "cloudacademy.com"
USERS = f"{PREFIX}/Users"


@pytest.fixture(scope="module")
def edge(tenant: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """An edge in front of a gateway, and of the gRPC port of usersvc for its health check."""
    gateway = (urlsplit(tenant.url).hostname or "", urlsplit(tenant.url).port or 0)
    usersvc = ("127.0.0.1", tenant.service_port("usersvc"))
    with running_edge(us(), tmp_path_factory.mktemp("edge"), gateway, usersvc) as running:
        yield running


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_envoy_accepts_the_configuration_of_every_region(overlay, tmp_path, edge: Edge):
    for namespace in namespaces(overlay):
        objects = EdgeObjects.of(overlay, namespace)
        files = edge.authority.parent
        certificate = type(
            "Files", (), {"certificate": files / "tls.crt", "key": files / "tls.key"}
        )
        setup = EdgeSetup("127.0.0.1", 1, ("127.0.0.1", 2), certificate, tmp_path / "log")
        config = tmp_path / "envoy.json"
        config.write_text(json.dumps(bootstrap(objects, setup)))

        result = subprocess.run(
            [deploy_tool("envoy"), "--mode", "validate", "--config-path", str(config)],
            capture_output=True,
            text=True,
            check=False,
        )

        assert result.returncode == 0, result.stderr


async def test_scim_request_reaches_the_gateway_with_its_key(edge: Edge, tenant: Stack):
    async with edge.session() as http:
        responses = [
            await http.get(edge.url(USERS), headers={"Authorization": f"Bearer {token}"})
            for token in (tenant.token, "nonsense")
        ]

    assert [response.status for response in responses] == [200, 401]
    assert responses[0].headers["Content-Type"] == "application/scim+json"


async def test_page_has_a_strict_transport_security_header(edge: Edge):
    async with edge.session() as http:
        response = await http.get(edge.url("/login/"))

    assert response.status == 200
    assert response.headers["Strict-Transport-Security"] == "max-age=31536000"


def test_scim_request_over_http_2_reaches_the_gateway(edge: Edge, tenant: Stack):
    command = [system_tool("curl"), "--silent", "--http2", "--cacert", str(edge.authority)]
    command += ["--resolve", f"{HOST}:{edge.port}:127.0.0.1", "--output", "/dev/null"]
    command += ["--header", f"Authorization: Bearer {tenant.token}"]
    command += ["--write-out", "%{http_version} %{http_code}", edge.url(USERS)]

    result = subprocess.run(command, capture_output=True, text=True, check=True)

    assert result.stdout == "2 200"


async def test_grpc_health_check_reaches_the_service(edge: Edge):
    credentials = grpc.ssl_channel_credentials(edge.authority.read_bytes())
    options = [("grpc.ssl_target_name_override", HOST), ("grpc.default_authority", HOST)]
    async with grpc.aio.secure_channel(
        f"127.0.0.1:{edge.port}", credentials, options=options
    ) as channel:
        response = await health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(), timeout=10
        )

    assert response.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize(
    ("version", "negotiated"),
    [
        (ssl.TLSVersion.TLSv1, None),
        (ssl.TLSVersion.TLSv1_1, None),
        (ssl.TLSVersion.TLSv1_2, "TLSv1.2"),
        (ssl.TLSVersion.TLSv1_3, "TLSv1.3"),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tls_versions_below_1_2_are_refused(edge: Edge, version, negotiated):
    context = edge.context()
    context.minimum_version, context.maximum_version = version, version
    context.set_ciphers("ALL:@SECLEVEL=0")  # otherwise OpenSSL does not offer the old versions

    if negotiated is None:
        with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
            handshake(edge, context)
    else:
        assert handshake(edge, context)[0] == negotiated


def test_edge_prefers_http_2(edge: Edge):
    context = edge.context()
    context.set_alpn_protocols(["http/1.1", "h2"])

    assert handshake(edge, context)[1] == "h2"


def handshake(edge: Edge, context: ssl.SSLContext, name: str = HOST) -> tuple[str, str]:
    """The negotiated TLS version and application protocol."""
    with (
        socket.create_connection(("127.0.0.1", edge.port), 10) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        return secure.version() or "", secure.selected_alpn_protocol() or ""


def test_server_name_of_the_other_region_is_refused(edge: Edge):
    with pytest.raises((ssl.SSLError, ConnectionError)):
        handshake(edge, edge.context(), "app.qa.com")


async def test_host_header_of_the_other_region_gets_404(edge: Edge, tenant: Stack):
    headers = {"Authorization": f"Bearer {tenant.token}", "Host": "app.qa.com"}
    async with edge.session() as http:
        response = await http.get(edge.url(USERS), headers=headers)

    assert response.status == 404
    assert "WWW-Authenticate" not in response.headers  # the request did not reach the gateway


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/metrics", "/webhooks/ad/v1"])
async def test_paths_other_than_scim_and_the_portal_get_404(edge: Edge, path):
    async with edge.session() as http:
        response = await http.get(edge.url(path))

    assert response.status == 404
    assert "X-Request-Id" not in response.headers


async def test_body_over_the_limit_gets_413_from_the_gateway(edge: Edge, tenant: Stack):
    response = await send(edge, tenant, MAX_BODY_BYTES + 1)
    assert (response.status, response.content_type) == (413, "application/scim+json")


async def test_body_over_the_edge_limit_does_not_reach_the_gateway(edge: Edge, tenant: Stack):
    response = await send(edge, tenant, 2 * MAX_BODY_BYTES + 1)
    assert (response.status, response.content_type) == (413, "application/scim+json")
    assert "X-Request-Id" not in response.headers


async def send(edge: Edge, tenant: Stack, size: int) -> aiohttp.ClientResponse:
    headers = {"Authorization": f"Bearer {tenant.token}", "Content-Type": "application/scim+json"}
    async with edge.session() as http:
        return await http.post(edge.url(USERS), headers=headers, data=b" " * size)


async def test_only_an_address_over_its_rate_gets_429(tmp_path):
    objects = us()
    (scim,) = (policy for policy in objects.backend if policy["metadata"]["name"] == "scim")
    for rule in scim["spec"]["rateLimit"]["local"]["rules"]:
        rule["limit"] = {"requests": 3, "unit": "Hour"}

    async with stand_in_gateway(0) as gateway:
        with running_edge(objects, tmp_path, gateway) as edge:
            async with edge.session("127.0.0.1") as first, edge.session("127.0.0.2") as second:
                greedy = [(await first.get(edge.url(USERS))).status for _ in range(5)]
                modest = [(await second.get(edge.url(USERS))).status for _ in range(3)]

    assert (greedy, modest) == ([200, 200, 200, 429, 429], [200, 200, 200])


async def test_slow_response_of_the_gateway_gets_504(tmp_path):
    objects = us()
    for route in objects.routes:
        for rule in route["spec"]["rules"]:
            rule["timeouts"]["request"] = "0.5s"

    async with stand_in_gateway(5) as gateway:
        with running_edge(objects, tmp_path, gateway) as edge:
            async with edge.session() as http:
                response = await http.get(edge.url(USERS))

    assert response.status == 504


async def test_slow_request_gets_408(tmp_path):
    objects = us()
    objects.client["spec"]["timeout"]["http"]["requestReceivedTimeout"] = "0.5s"

    async def slow_body() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" "
            await pace(0.1)  # a slow client

    async with stand_in_gateway(0) as gateway:
        with running_edge(objects, tmp_path, gateway) as edge:
            async with edge.session() as http:
                response = await http.post(edge.url(USERS), data=slow_body())

    assert response.status == 408


async def test_access_log_has_requests_but_no_keys_or_personal_data(edge: Edge, tenant: Stack):
    query = '?filter=userName eq "ann@corp.test"'
    async with edge.session() as http:
        headers = {"Authorization": f"Bearer {tenant.token}"}
        response = await http.get(edge.url(USERS + query), headers=headers)

    line = await asyncio.to_thread(logged_line, edge.access_log, response.headers["X-Request-Id"])

    assert (line["host"], line["method"], line["status"]) == (HOST, "GET", 200)
    assert line["route"] == "scim/0"
    text = edge.access_log.read_text()
    assert tenant.token not in text
    assert "Bearer" not in text
    assert "ann" not in text


def logged_line(log: Path, request_id: str) -> dict[str, object]:
    """The log line of a request. Envoy writes it with a delay."""
    found = wait_until(
        lambda: [line for line in log.read_text().splitlines() if request_id in line],
        what=log.read_text,
    )
    line: dict[str, object] = json.loads(found[0])
    return line
