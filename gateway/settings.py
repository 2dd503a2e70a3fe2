"""The settings of the gateway, from environment variables."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from chassis.config.settings import Address, CertificateFiles, Environment
from gateway.api.resource_types import MAX_BYTES
from gateway.http.connections import ADDRESS_DIVISOR, MAX_CONNECTIONS
from gateway.limits.rate_limiter import Rate
from gateway.outbound.settings import MailServer, OutboundSettings
from gateway.signing.region_keys import RegionKeys, SamlFiles, settings_digest
from gateway.signing.shared_secrets import MAX_SECRETS, SharedSecrets
from gateway.web.page_limits import PageLimits

TENANT_URLS: Final = (
    "us=https://cloudacademy.com/webhooks/ad/v1/scim,eu=https://app.qa.com/webhooks/ad/v1/scim"
)
REGIONS: Final = ("us", "eu")
SECRET_BYTES: Final = 32
RATE: Final = Rate(100, 500)
"""The rate of one organization: four times the rate that Entra requires of a SCIM endpoint."""
MAX_REQUESTS: Final = 64
UNKNOWN_KEYS: Final = 30
SCHEMA_CACHE_MIB: Final = MAX_BYTES // (1024 * 1024)
PAGES: Final = PageLimits(organization=Rate(20, 200), address=Rate(50, 500), max_concurrent=16)
"""An open page of the log requests new entries every 4 seconds."""
OUTBOUND: Final = OutboundSettings()


@dataclass(frozen=True, slots=True)
class Settings:
    """The gateway's settings; each is the variable `GATEWAY_…` of the same name."""

    listen: Address
    usersvc: str
    keysvc: str
    region: str
    tenant_urls: Mapping[str, str]
    log_level: str
    tls: CertificateFiles | None
    admin: Address | None
    keys: RegionKeys
    """The keys that sign; all gateways of a region share them, and nobody else has them."""
    rate: Rate
    """The rate at which one organization may send requests to this gateway."""
    proxies: int = 0
    """The number of our proxies that each request passes."""
    max_requests: int = MAX_REQUESTS
    """The most SCIM requests that are handled concurrently."""
    max_connections: int = MAX_CONNECTIONS
    address_connections: int = MAX_CONNECTIONS // ADDRESS_DIVISOR
    """The most connections of one address; behind our proxies, the same as `max_connections`."""
    unknown_keys: int = UNKNOWN_KEYS
    """The most different unknown keys that an address may send in a burst."""
    pages: PageLimits = PAGES
    schema_cache_mib: int = SCHEMA_CACHE_MIB
    """The memory for cached custom schemas, in MiB."""
    outbound: OutboundSettings = OUTBOUND

    @property
    def tenant_url(self) -> str:
        """The Tenant URL that customers of this region enter in Entra."""
        return self.tenant_urls[self.region]

    def shared_digests(self) -> Mapping[str, str]:
        """Digests of the settings that all gateways of a region must share, by their names.

        They are published, so that different values are noticed.
        """
        tenant_urls = ",".join(f"{name}={url}" for name, url in sorted(self.tenant_urls.items()))
        return {**self.keys.digests(), "tenant_urls": settings_digest(tenant_urls)}

    @property
    def public_url(self) -> str:
        """The public URL of this region, without a path."""
        parts = urlsplit(self.tenant_url)
        return f"{parts.scheme}://{parts.netloc}"


def read(variables: Mapping[str, str]) -> Settings:
    """Read the settings from environment variables; raises SettingsError for invalid values."""
    environment = Environment(variables, "GATEWAY_")
    saml = environment.files("SAML_KEY", "SAML_CERTIFICATE")
    listen = environment.address("LISTEN", "127.0.0.1:8080")
    proxies = environment.integer("PROXIES", 0, 0, 10)
    max_connections = environment.integer("MAX_CONNECTIONS", MAX_CONNECTIONS, 1, 100_000)
    # Behind proxies, all connections come from a few addresses.
    per_address = max_connections if proxies else max(1, max_connections // ADDRESS_DIVISOR)
    exposed = not listen.is_loopback
    settings = Settings(
        listen=listen,
        usersvc=environment.text("USERSVC", "127.0.0.1:50051"),
        keysvc=environment.text("KEYSVC", "127.0.0.1:50052"),
        region=environment.choice("REGION", REGIONS),
        tenant_urls=environment.urls("TENANT_URLS", TENANT_URLS, REGIONS, https=exposed),
        log_level=environment.choice("LOG_LEVEL", ("debug", "info", "warning"), "info"),
        tls=environment.certificate_files(),
        admin=environment.optional_address("ADMIN_LISTEN"),
        keys=RegionKeys(
            SharedSecrets(
                environment.secrets("CURSOR_SECRET", SECRET_BYTES, MAX_SECRETS, exposed=exposed)
            ),
            SamlFiles(*saml) if saml else None,
        ),
        proxies=proxies,
        rate=_rate(environment, "ORGANIZATION", RATE),
        max_requests=environment.integer("MAX_REQUESTS", MAX_REQUESTS, 2, 10_000),
        max_connections=max_connections,
        address_connections=environment.integer("ADDRESS_CONNECTIONS", per_address, 1, 100_000),
        unknown_keys=environment.integer("UNKNOWN_KEYS", UNKNOWN_KEYS, 1, 1_000_000),
        pages=PageLimits(
            _rate(environment, "PAGE", PAGES.organization),
            _rate(environment, "SIGN_IN", PAGES.address),
            environment.integer("MAX_PAGES", PAGES.max_concurrent, 2, 10_000),
        ),
        schema_cache_mib=environment.integer("SCHEMA_CACHE_MIB", SCHEMA_CACHE_MIB, 1, 10_000),
        outbound=_outbound(environment, exposed=exposed),
    )
    environment.check()
    return settings


def _outbound(environment: Environment, *, exposed: bool) -> OutboundSettings:
    authority = environment.files("OUTBOUND_AUTHORITY")
    mail_server = environment.optional_address("SMTP_SERVER")
    tls = environment.choice("SMTP_TLS", ("starttls", "implicit"), "starttls")
    return OutboundSettings(
        nameservers=environment.addresses("OUTBOUND_NAMESERVERS"),
        proxy=environment.optional_address("OUTBOUND_PROXY"),
        authority=authority[0] if authority else None,
        allow_loopback=environment.development_switch("OUTBOUND_LOOPBACK", exposed=exposed),
        mail_server=MailServer(mail_server, tls == "implicit") if mail_server else None,
    )


def _rate(environment: Environment, name: str, default: Rate) -> Rate:
    """The rate from the variables `…_RATE` (requests per second) and `…_BURST`."""
    return Rate(
        environment.integer(f"{name}_RATE", int(default.per_second), 1, 1_000_000),
        environment.integer(f"{name}_BURST", default.burst, 1, 1_000_000),
    )
