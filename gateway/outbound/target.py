"""The host of an outgoing request, from its URL."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from yarl import URL

from gateway.outbound.address_rule import AddressRule, IpAddress, parse_address
from gateway.outbound.errors import OutboundError, OutboundReason
from gateway.outbound.settings import HTTPS_PORT

MAX_URL_CHARACTERS: Final = 2_048


@dataclass(frozen=True, slots=True)
class Target:
    """A checked URL."""

    url: URL
    host: str
    """In lower case, without a final dot."""
    port: int
    address: IpAddress | None
    """The address, if the URL has one in place of a name."""

    @classmethod
    def parse(cls, text: str, rule: AddressRule, hosts: Collection[str] | None) -> "Target":
        """Check a URL.

        Refuses (INVALID_URL) any scheme except https, user information, fragments and text that
        parsers may read differently; (HOST_REFUSED) a host that is not in `hosts`, if given;
        (ADDRESS_REFUSED) an address or port that the rule refuses.
        """
        url = _parsed(text)
        host = (url.raw_host or "").lower().removesuffix(".")
        if not host:
            raise invalid_url("has no host")
        if hosts is not None and host not in hosts:
            raise OutboundError(OutboundReason.HOST_REFUSED, f"{host} is not a permitted host")
        port = url.port or HTTPS_PORT
        address = _address(host)
        if address is not None:
            rule.check(address, port, HTTPS_PORT)
        elif port != HTTPS_PORT and not rule.allow_loopback:
            raise OutboundError(OutboundReason.ADDRESS_REFUSED, f"port {port} is not {HTTPS_PORT}")
        return cls(url, host, port, address)


def invalid_url(problem: str) -> OutboundError:
    """The error for a URL to which no request is sent."""
    return OutboundError(OutboundReason.INVALID_URL, f"the URL {problem}")


def _parsed(text: str) -> URL:
    if len(text) > MAX_URL_CHARACTERS:
        raise invalid_url(f"has more than {MAX_URL_CHARACTERS} characters")
    if not text.isascii() or not text.isprintable() or set(text) & set(' \\"<>^`{|}'):
        raise invalid_url("has characters that must be encoded")
    try:
        url, other = URL(text), urlsplit(text)
        other_host, other_port = other.hostname, other.port
    except ValueError:
        raise invalid_url("is invalid") from None
    if url.scheme != "https":
        raise invalid_url("does not begin with https://")
    if "@" in other.netloc or url.fragment or "#" in text:
        raise invalid_url("has user information or a fragment")
    # Two parsers must agree on where the request goes.
    if (url.raw_host or "").lower() != other_host or url.explicit_port != other_port:
        raise invalid_url("is ambiguous")
    return url


def _address(host: str) -> IpAddress | None:
    try:
        return parse_address(host)
    except OutboundError:
        if ":" in host:  # an IPv6 address with a zone
            raise
        return None
