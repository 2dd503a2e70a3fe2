"""Values and rules of single sign-on connections."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from chassis.errors import InvalidField, Refusal
from keysvc.domain.errors import SSO_NOT_TESTED
from keysvc.domain.organizations import refuse_control_characters
from keysvc.domain.sso_domains import SsoDomain, check_domain

URL_MAXIMUM: Final = 2_000
ENTITY_ID_MAXIMUM: Final = 1_024
CERTIFICATES_MAXIMUM: Final = 5
DOMAINS_MAXIMUM: Final = 5

_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN: Final = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})+")
_NOT_IN_URLS: Final = '"<>\\^`{|} #'  # no fragment: a query is appended
_TESTED_FIELDS: Final = ("sso_url", "idp_entity_id", "certificates")
"""A change of these fields invalidates an earlier test."""


@dataclass(frozen=True, slots=True)
class SsoSetup:
    """The part of a connection that the organization sets. The certificates are PEM."""

    sso_url: str = ""
    idp_entity_id: str = ""
    certificates: tuple[str, ...] = ()
    create_missing_users: bool = False
    domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SsoConnection:
    """The single sign-on connection of an organization."""

    organization_id: UUID
    version: int
    active: bool
    test_time: datetime | None
    update_time: datetime
    setup: SsoSetup
    organization_name: str = ""
    domains: tuple[SsoDomain, ...] = ()
    """The domains of the setup, with their proofs."""

    @property
    def etag(self) -> str:
        """The version for callers. It grows with each change of the setup."""
        return str(self.version)


def normalize_setup(setup: SsoSetup) -> SsoSetup:
    """Validate a setup and normalize its domains. Refuses InvalidField."""
    _check_url(setup.sso_url)
    if not 1 <= len(setup.idp_entity_id) <= ENTITY_ID_MAXIMUM:
        raise InvalidField("connection.idp_entity_id", "must have 1 to 1,024 characters")
    refuse_control_characters("connection.idp_entity_id", setup.idp_entity_id)
    if not 1 <= len(setup.certificates) <= CERTIFICATES_MAXIMUM:
        raise InvalidField("connection.certificates", "must be 1 to 5 certificates")
    domains = tuple(dict.fromkeys(domain.strip().lower() for domain in setup.domains))
    if len(domains) > DOMAINS_MAXIMUM:
        raise InvalidField("connection.domains", "must be at most 5 domains")
    for domain in domains:
        if not _DOMAIN.fullmatch(domain):
            raise InvalidField("connection.domains", "must be domains such as acme.com")
        check_domain("connection.domains", domain)
    return replace(setup, domains=tuple(sorted(domains)))


def without_domain(setup: SsoSetup, domain: str) -> SsoSetup:
    """The setup without a domain."""
    return replace(setup, domains=tuple(each for each in setup.domains if each != domain))


def changed_fields(before: SsoSetup, after: SsoSetup) -> list[str]:
    """The names of the fields with different values."""
    names = [each.name for each in fields(SsoSetup)]
    return [name for name in names if getattr(before, name) != getattr(after, name)]


def invalidates_test(changed: Sequence[str]) -> bool:
    """Whether a change of these fields makes a new test necessary."""
    return any(name in _TESTED_FIELDS for name in changed)


def check_tested(connection: SsoConnection) -> None:
    """Refuse (SSO_NOT_TESTED) a connection whose current setup has not been tested."""
    if connection.test_time is None:
        raise Refusal(SSO_NOT_TESTED)


def domain_of(email: str) -> str:
    """The domain after the last @, in lower case; empty without an @."""
    return email.strip().rpartition("@")[2].lower() if "@" in email else ""


def _check_url(url: str) -> None:
    if not 1 <= len(url) <= URL_MAXIMUM:
        raise InvalidField("connection.sso_url", "must have 1 to 2,000 characters")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise InvalidField("connection.sso_url", "must be a URL") from None
    is_local = parts.scheme == "http" and _is_loopback(host)
    if not host or not (parts.scheme == "https" or is_local) or parts.username is not None:
        raise InvalidField("connection.sso_url", "must be an https URL")
    if not url.isascii() or not url.isprintable() or any(each in url for each in _NOT_IN_URLS):
        raise InvalidField("connection.sso_url", "must be a URL")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
