"""The settings of outgoing traffic."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chassis.config.settings import Address

HTTPS_PORT: Final = 443


@dataclass(frozen=True, slots=True)
class MailServer:
    """The region's SMTP server (submission, RFC 6409)."""

    address: Address
    implicit_tls: bool
    """True: TLS from the first byte (RFC 8314). False: STARTTLS, which is then required."""


@dataclass(frozen=True, slots=True)
class OutboundSettings:
    """The settings of outgoing traffic; the variables `GATEWAY_OUTBOUND_…` and `GATEWAY_SMTP_…`."""

    nameservers: tuple[Address, ...] = ()
    """The name servers; empty: those of /etc/resolv.conf."""
    proxy: Address | None = None
    """The HTTP proxy for HTTPS (CONNECT, RFC 9110 section 9.3.6)."""
    authority: Path | None = None
    """A PEM file of certificate authorities that are trusted beside those of the system."""
    allow_loopback: bool = False
    """Permits connections to this machine, for development."""
    mail_server: MailServer | None = None
    """None disables e-mail."""
