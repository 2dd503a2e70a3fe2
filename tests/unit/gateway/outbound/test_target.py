"""URLs of outgoing requests."""

import pytest

from gateway.outbound.address_rule import AddressRule
from gateway.outbound.errors import OutboundError, OutboundReason
from gateway.outbound.target import Target

STRICT = AddressRule()


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("https://login.microsoftonline.com/common/keys?a=b", "login.microsoftonline.com", 443),
        ("https://LOGIN.Example.com./keys", "login.example.com", 443),
        ("https://a.test:443", "a.test", 443),
        ("https://1.1.1.1/", "1.1.1.1", 443),
        ("https://[2606:4700::1111]/", "2606:4700::1111", 443),
    ],
)
def test_https_url_has_a_host_and_port(text: str, host: str, port: int):
    target = Target.parse(text, STRICT, None)

    assert (target.host, target.port) == (host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://a.test/",
        "ftp://a.test/",
        "file:///etc/passwd",
        "//a.test/",
        "https://",
        "https:///a",
        "https://user@a.test/",
        "https://user:password@a.test/",
        "https://a.test@b.test/",
        "https://a.test/#fragment",
        "https://a.test/#",
        "https://a.test\\@b.test/",
        "https://a.test/\r\nX: y",
        "https://a.test /",
        "https://\uff41.test/",
        "https://a.test:99999/",
        "https://a.test:x/",
        "https://[::1/",
        "https://a.test/" + "a" * 2048,
    ],
)
def test_url_that_is_not_plain_https_is_invalid(text: str):
    with pytest.raises(OutboundError) as caught:
        Target.parse(text, AddressRule(allow_loopback=True), None)
    assert caught.value.reason is OutboundReason.INVALID_URL


@pytest.mark.parametrize(
    "text",
    [
        "https://127.0.0.1/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/",
        "https://[::ffff:a00:1]/",
        "https://[fd00:ec2::254]/",
        "https://a.test:8443/",
        "https://1.1.1.1:22/",
    ],
)
def test_url_of_a_refused_address_or_port_is_refused(text: str):
    with pytest.raises(OutboundError) as caught:
        Target.parse(text, STRICT, None)
    assert caught.value.reason is OutboundReason.ADDRESS_REFUSED


@pytest.mark.parametrize(
    "host", ["evil.test", "login.microsoftonline.com.evil.test", "xlogin.microsoftonline.com"]
)
def test_host_outside_the_allowlist_is_refused(host: str):
    with pytest.raises(OutboundError) as caught:
        Target.parse(f"https://{host}/keys", STRICT, {"login.microsoftonline.com"})
    assert caught.value.reason is OutboundReason.HOST_REFUSED
