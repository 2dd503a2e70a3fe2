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
"""The time limit of one lookup, all attempts included."""
ATTEMPT_SECONDS: Final = 2.0
"""The time limit of one attempt at one name server."""
MAX_ADDRESSES: Final = 16
MAX_TXT_RECORDS: Final = 100
MAX_TXT_CHARACTERS: Final = 16_384
"""The limit of all TXT records of a name together."""
MAX_NAME_CHARACTERS: Final = 253
"""RFC 1035 section 3.1, without the last dot."""


class Resolver:
    """Looks up names without a cache, to see a changed record once the name servers return it.

    Names are absolute. The search list of /etc/resolv.conf is not used, because it could resolve a
    customer's name to a service of the cluster.
    """

    def __init__(self, settings: OutboundSettings, metrics: OutboundMetrics) -> None:
        self._nameservers = settings.nameservers
        self._metrics = metrics

    async def addresses(self, host: str) -> Sequence[IpAddress]:
        """The IPv4 and IPv6 addresses of a host, at most MAX_ADDRESSES.

        Refuses NAME_NOT_FOUND for a host without an address, and DNS_UNAVAILABLE. If the lookup of
        one kind of address fails, the addresses of the other kind are returned.
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

    async def txt_records(self, name: str) -> Sequence[str]:
        """The TXT records of a name (RFC 1035 section 3.3.14); empty if it has none.

        The parts of a record are joined, and bytes that are not ASCII are replaced. Refuses
        NAME_NOT_FOUND, DNS_UNAVAILABLE, and TOO_LARGE over MAX_TXT_RECORDS or MAX_TXT_CHARACTERS.
        """
        with self._metrics.lookup():
            answer = await self._resolve(name, "TXT")
            texts = [b"".join(record.strings).decode("ascii", "replace") for record in answer]
            if len(texts) > MAX_TXT_RECORDS or sum(map(len, texts)) > MAX_TXT_CHARACTERS:
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
            # Only the class of the error is included: its text contains whole DNS messages.
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


class TxtLookups:
    """TXT lookups on behalf of organizations, which prove their domains with TXT records."""

    def __init__(self, resolver: Resolver, slots: OutboundSlots) -> None:
        self._resolver = resolver
        self._slots = slots

    async def txt_records(self, organization_id: str, name: str) -> Sequence[str]:
        """`Resolver.txt_records`, within the limits of the organization and the name (BUSY)."""
        async with self._slots.slot(organization_id, f"dns {name.lower()}"):
            return await self._resolver.txt_records(name)


def _absolute(name: str) -> dns.name.Name:
    """Parse an absolute name; refuses NAME_NOT_FOUND for text that cannot be a host's name.

    International names are accepted in their ASCII form only (RFC 5891), so that each name has one
    spelling.
    """
    labels = name.removesuffix(".").split(".")
    if not name.isascii() or len(name) > MAX_NAME_CHARACTERS or "\\" in name or "" in labels:
        raise OutboundError(OutboundReason.NAME_NOT_FOUND, "this is not a valid DNS name")
    try:
        return dns.name.from_text(name)
    except dns.exception.DNSException:
        raise OutboundError(OutboundReason.NAME_NOT_FOUND, "this is not a valid DNS name") from None


def _failure(host: str, answers: Sequence[object]) -> OutboundError:
    """The error for a host without addresses.

    DNS_UNAVAILABLE if a lookup got no answer, because a later one may succeed.
    """
    refusals = [each for each in answers if isinstance(each, OutboundError)]
    for each in answers:
        if isinstance(each, BaseException) and each not in refusals:
            raise AssertionError("unexpected error of a lookup") from each
    for each in refusals:
        if each.reason is OutboundReason.DNS_UNAVAILABLE:
            return OutboundError(each.reason, str(each))
    return OutboundError(OutboundReason.NAME_NOT_FOUND, f"{host} has no address")
