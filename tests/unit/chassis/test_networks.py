"""The networks of an address, to which limits apply."""

import pytest

from chassis.networks import ClientNetwork, network_of


@pytest.mark.parametrize(
    ("address", "host", "site"),
    [
        ("192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ("", "", ""),
        ("fe80::1%eth0", "fe80::/64", "fe80::/48"),
    ],
)
def test_networks_are_an_ipv4_address_or_an_ipv6_64_and_48(address: str, host: str, site: str):
    assert network_of(address) == ClientNetwork(host, site)
