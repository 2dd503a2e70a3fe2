"""The address rule on real connections, directly and through a proxy."""

import asyncio
from ipaddress import ip_address

import pytest
from yarl import URL

from chassis.config.settings import Address
from gateway.outbound.address_rule import AddressRule
from gateway.outbound.connectors import DirectRoute, Message
from gateway.outbound.errors import OutboundReason
from gateway.outbound.hosts import Hosts
from gateway.outbound.resolver import Resolver
from gateway.outbound.settings import OutboundSettings
from gateway.outbound.target import Target
from gateway.outbound.telemetry import OutboundMetrics
from gateway.outbound.tls import client_context
from tests.support.outbound.outside import HOST, Outside, refusal, request
from tests.support.outbound.servers import Server, connect_proxy, ok, running, tls_server

PUBLIC = "93.184.216.34"
"""A public address, to which only the proxy of these tests "connects"."""


@pytest.mark.parametrize("kind", ["A", "AAAA"])
@pytest.mark.parametrize("through_proxy", [False, True])
async def test_name_with_a_private_address_is_refused(
    outside: Outside, kind: str, through_proxy: bool
):
    private = {"A": ["10.0.0.1"], "AAAA": ["::ffff:127.0.0.1"]}[kind]
    outside.names.records = {(HOST, kind): private}
    async with (
        tls_server(outside.certificate(), ok(b"")) as server,
        connect_proxy(server.port) as proxy,
    ):
        settings = {"proxy": Address("127.0.0.1", proxy.port)} if through_proxy else {}
        async with outside.clients(allow_loopback=False, **settings) as clients:
            call = clients.https.send(request(f"https://{HOST}/"))
            assert await refusal(call) is OutboundReason.ADDRESS_REFUSED

    assert server.connections == proxy.connections == 0


async def test_name_with_public_and_private_addresses_is_refused(outside: Outside):
    outside.names.records[HOST, "A"] = [PUBLIC, "192.168.0.1"]
    async with connect_proxy(1) as proxy:
        address = Address("127.0.0.1", proxy.port)
        async with outside.clients(allow_loopback=False, proxy=address) as clients:
            call = clients.https.send(request(f"https://{HOST}/"))
            assert await refusal(call) is OutboundReason.ADDRESS_REFUSED

    assert proxy.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "localhost."])
async def test_loopback_is_refused_unless_the_setting_permits_it(outside: Outside, host: str):
    async with tls_server(outside.certificate(), ok(b"")) as server:
        url = f"https://{host}:{server.port}/"
        async with outside.clients(allow_loopback=False) as clients:
            assert await refusal(clients.https.send(request(url))) is OutboundReason.ADDRESS_REFUSED
        assert server.connections == 0
        if host == "localhost":
            async with outside.clients() as clients:
                assert (await clients.https.send(request(url))).status == 200


async def test_rebound_name_is_resolved_once_and_the_checked_address_used(outside: Outside):
    """The second answer of the DNS server is an address of this machine."""
    outside.names.records[HOST, "A"] = [PUBLIC]
    outside.names.later[HOST, "A"] = ["127.0.0.1"]
    async with (
        tls_server(outside.certificate(), ok(b"public")) as server,
        connect_proxy(server.port) as proxy,
    ):
        address = Address("127.0.0.1", proxy.port)
        async with outside.clients(allow_loopback=False, proxy=address) as clients:
            response = await clients.https.send(request(f"https://{HOST}/"))
            assert response.body == b"public"
            assert outside.names.queries[HOST, "A"] == 1
            assert proxy.requests[0].startswith(f"CONNECT {PUBLIC}:443 ".encode())

            call = clients.https.send(request(f"https://{HOST}/"))
            assert await refusal(call) is OutboundReason.ADDRESS_REFUSED
    assert len(proxy.requests) == 1


async def test_direct_connection_resolves_a_name_once(outside: Outside):
    outside.names.later[HOST, "A"] = ["10.0.0.1"]
    async with tls_server(outside.certificate(), ok(b"")) as server, outside.clients() as clients:
        url = f"https://{HOST}:{server.port}/"
        assert (await clients.https.send(request(url))).status == 200
        assert outside.names.queries[HOST, "A"] == 1

        assert await refusal(clients.https.send(request(url))) is OutboundReason.ADDRESS_REFUSED
    assert server.connections == 1


async def test_connection_is_refused_at_its_socket_without_earlier_checks(outside: Outside):
    """A target that was never checked, as if a check before the connection had a gap."""
    hosts = Hosts(
        Resolver(OutboundSettings((outside.names.address,)), OutboundMetrics()), AddressRule()
    )

    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pass

    route = DirectRoute(hosts, client_context(None))
    async with running(Server(), close) as server:
        url = URL(f"https://127.0.0.1:{server.port}/")
        target = Target(url, "127.0.0.1", server.port, ip_address("127.0.0.1"))

        async def send() -> None:
            async with route.send(target, Message("GET", {}, None)):
                pass

        assert await refusal(send()) is OutboundReason.ADDRESS_REFUSED
    await route.close()

    assert server.connections == 0


async def test_tls_through_the_proxy_is_verified_for_the_name(outside: Outside):
    outside.names.records[HOST, "A"] = [PUBLIC]
    async with (
        tls_server(outside.certificate("another.test"), ok(b"")) as server,
        connect_proxy(server.port) as proxy,
    ):
        address = Address("127.0.0.1", proxy.port)
        async with outside.clients(allow_loopback=False, proxy=address) as clients:
            call = clients.https.send(request(f"https://{HOST}/"))
            assert await refusal(call) is OutboundReason.TLS_FAILED

    assert server.requests == []


async def test_proxy_is_asked_for_the_next_address_after_a_refusal(outside: Outside):
    outside.names.records[HOST, "A"] = ["93.184.216.1", PUBLIC]
    async with (
        tls_server(outside.certificate(), ok(b"second")) as server,
        connect_proxy(server.port, refused=frozenset({"93.184.216.1"})) as proxy,
    ):
        address = Address("127.0.0.1", proxy.port)
        async with outside.clients(allow_loopback=False, proxy=address) as clients:
            response = await clients.https.send(request(f"https://{HOST}/path"))

    assert response.body == b"second"
    assert server.requests[0].startswith(b"GET /path HTTP/1.1\r\nHost: receiver.test\r\n")


async def test_unreachable_proxy_is_reported_and_never_bypassed(outside: Outside):
    async with connect_proxy(1) as proxy:
        address = Address("127.0.0.1", proxy.port)
    async with (
        tls_server(outside.certificate(), ok(b"")) as server,
        outside.clients(proxy=address) as clients,
    ):
        call = clients.https.send(request(f"https://{HOST}:{server.port}/"))
        assert await refusal(call) is OutboundReason.PROXY_FAILED

    assert server.connections == 0
