"""DNS lookups: addresses of hosts, and TXT records that prove domains."""

import asyncio
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver
from dns.nameserver import Do53Nameserver

from gateway.outbound.address_rule import IpAddress
from gateway.outbound.errors import OutboundError, OutboundReason
from gateway.outbound.settings import OutboundSettings
from gateway.outbound.slots import OutboundSlots
from gateway.outbound.telemetry import OutboundMetrics

LOOKUP_SECONDS: Final = 5.0
"""The limit of one lookup, with all its attempts."""
ATTEMPT_SECONDS: Final = 2.0
"""The limit of one attempt with one name server."""
MAX_ADDRESSES: Final = 16
MAX_TEXTS: Final = 100
MAX_TEXT_CHARACTERS: Final = 16_384
"""The limit of all TXT records of a name together."""
MAX_NAME_CHARACTERS: Final = 253
"""RFC 1035 section 3.1, without the last dot."""


class Resolver:
    """Looks up names without a cache, so that a changed record is seen as soon as it can be.

    Names are absolute: the search list of /etc/resolv.conf, which could lead a customer's name to a
    service of the cluster, is not used.
    """

    def __init__(self, settings: OutboundSettings, metrics: OutboundMetrics) -> None:
        self._nameservers = settings.nameservers
        self._metrics = metrics

    async def addresses(self, host: str) -> Sequence[IpAddress]:
        """The IPv4 and IPv6 addresses of a host, at most MAX_ADDRESSES.

        Refuses NAME_NOT_FOUND for a host without an address, and DNS_UNAVAILABLE. A failure for one
        kind of address is ignored if there are addresses of the other kind.
        """
        with self._metrics.lookup():
            answers = await asyncio.gather(
                self._resolve(host, "A"), self._resolve(host, "AAAA"), return_exceptions=True
            )
            found = [
                ip_address(record.address)
                for answer in answers
                if not isinstance(answer, BaseException)
                for record in answer
            ]
            if not found:
                raise _failure(host, answers)
            return found[:MAX_ADDRESSES]

    async def texts(self, name: str) -> Sequence[str]:
        """The TXT records of a name (RFC 1035 section 3.3.14); empty if it has none.

        The parts of a record are joined, and bytes that are not ASCII are replaced. Refuses
        NAME_NOT_FOUND, DNS_UNAVAILABLE, and TOO_LARGE over MAX_TEXTS or MAX_TEXT_CHARACTERS.
        """
        with self._metrics.lookup():
            answer = await self._resolve(name, "TXT")
            texts = [b"".join(record.strings).decode("ascii", "replace") for record in answer]
            if len(texts) > MAX_TEXTS or sum(map(len, texts)) > MAX_TEXT_CHARACTERS:
                raise OutboundError(OutboundReason.TOO_LARGE, f"{name} has too many TXT records")
            return texts

    async def _resolve(self, name: str, kind: str) -> dns.resolver.Answer:
        absolute = _absolute(name)
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                return await self._stub_resolver().resolve(
                    absolute, kind, search=False, raise_on_no_answer=False, lifetime=LOOKUP_SECONDS
                )
        except (dns.resolver.NXDOMAIN, dns.resolver.YXDOMAIN):
            raise OutboundError(OutboundReason.NAME_NOT_FOUND, f"{name} does not exist") from None
        except (dns.exception.DNSException, OSError) as error:  # TimeoutError is an OSError
            # Only the class of the error: dnspython's texts contain whole messages.
            cause = type(error).__name__
            raise OutboundError(
                OutboundReason.DNS_UNAVAILABLE, f"no name server answered for {name}: {cause}"
            ) from None

    def _stub_resolver(self) -> dns.asyncresolver.Resolver:
        # Created for each lookup, because /etc/resolv.conf may change while the process runs.
        resolver = dns.asyncresolver.Resolver(configure=not self._nameservers)
        if self._nameservers:
            resolver.nameservers = [
                Do53Nameserver(each.host, each.port) for each in self._nameservers
            ]
        resolver.timeout = ATTEMPT_SECONDS
        return resolver


class DomainTexts:
    """TXT lookups for organizations, which prove domains with them."""

    def __init__(self, resolver: Resolver, slots: OutboundSlots) -> None:
        self._resolver = resolver
        self._slots = slots

    async def texts(self, organization_id: str, name: str) -> Sequence[str]:
        """`Resolver.texts`, within the limits of the organization and the name (BUSY)."""
        async with self._slots.slot(organization_id, f"dns {name.lower()}"):
            return await self._resolver.texts(name)


def _absolute(name: str) -> dns.name.Name:
    """The name in DNS's form; refuses NAME_NOT_FOUND for text that cannot be a host's name.

    International names are accepted in their ASCII form only (RFC 5891), so that a name has one
    spelling.
    """
    labels = name.removesuffix(".").split(".")
    if not name.isascii() or len(name) > MAX_NAME_CHARACTERS or "\\" in name or "" in labels:
        raise OutboundError(OutboundReason.NAME_NOT_FOUND, "this is not a name of the DNS")
    try:
        return dns.name.from_text(name)
    except dns.exception.DNSException:
        raise OutboundError(
            OutboundReason.NAME_NOT_FOUND, "this is not a name of the DNS"
        ) from None


def _failure(host: str, answers: Sequence[object]) -> OutboundError:
    """The error for a host without addresses: DNS_UNAVAILABLE if that may be temporary."""
    refusals = [each for each in answers if isinstance(each, OutboundError)]
    for each in answers:
        if isinstance(each, BaseException) and each not in refusals:
            raise AssertionError("unexpected error of a lookup") from each
    for each in refusals:
        if each.reason is OutboundReason.DNS_UNAVAILABLE:
            return OutboundError(each.reason, str(each))
    return OutboundError(OutboundReason.NAME_NOT_FOUND, f"{host} has no address")
