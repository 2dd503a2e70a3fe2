"""Which addresses outgoing connections may use."""

from ipaddress import ip_address

import pytest

from gateway.outbound.address_rule import AddressRule, is_public, parse_address
from gateway.outbound.errors import OutboundError, OutboundReason

PUBLIC = (
    "1.1.1.1",
    "20.190.128.1",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "223.255.255.255",
    "2a01:111::1",
    "2606:4700::1111",
    "::ffff:1.1.1.1",
    "64:ff9b::101:101",
    "2002:101:101::1",
)
REFUSED = (
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",  # IPv4-compatible, deprecated
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:7f00:1",  # IPv4-translated
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::101:101",  # NAT64 of one network
    "100::1",
    "2001::1",  # Teredo
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a00:1::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
)
LOOPBACK = ("127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1")


@pytest.mark.parametrize("text", PUBLIC)
def test_address_of_the_internet_is_public(text: str):
    assert is_public(ip_address(text))


@pytest.mark.parametrize("text", REFUSED)
def test_address_that_is_not_of_the_internet_is_not_public(text: str):
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", sorted({*REFUSED} - {*LOOPBACK}))
def test_permitted_loopback_permits_no_other_address(text: str):
    with pytest.raises(OutboundError) as caught:
        AddressRule(allow_loopback=True).check(ip_address(text), 443, 443)
    assert caught.value.reason is OutboundReason.ADDRESS_REFUSED


@pytest.mark.parametrize("text", LOOPBACK)
def test_permitted_loopback_permits_every_port(text: str):
    AddressRule(allow_loopback=True).check(ip_address(text), 9000, 443)


def test_public_address_is_refused_on_another_port():
    with pytest.raises(OutboundError, match="port 22 is not 443"):
        AddressRule(allow_loopback=True).check(ip_address("1.1.1.1"), 22, 443)


@pytest.mark.parametrize("text", ["fe80::1%eth0", "2606:4700::1%1", "0x7f000001", "127.1", "host"])
def test_text_that_is_no_plain_address_is_refused(text: str):
    with pytest.raises(OutboundError):
        parse_address(text)


def test_socket_is_created_for_checked_addresses_only():
    rule = AddressRule()
    with pytest.raises(OutboundError):
        rule.socket_for(2, ("127.0.0.1", 443), 443)
    with pytest.raises(OutboundError):
        rule.socket_for(2, ("localhost", 443), 443)
    rule.socket_for(2, ("1.1.1.1", 443), 443).close()
