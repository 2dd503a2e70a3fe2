"""The error of every outgoing request, lookup and connection."""

from enum import StrEnum


class OutboundReason(StrEnum):
    """Why something outgoing failed; the label `error_type` of the metrics."""

    ADDRESS_REFUSED = "address_refused"
    """The host has an address that is not public."""
    BUSY = "busy"
    """Too many outgoing requests of the organization, or to the host."""
    CONNECTION_FAILED = "connection_failed"
    """No address of the host accepts a connection, or the connection was lost."""
    DNS_UNAVAILABLE = "dns_unavailable"
    """No name server answered in time, or the domain's name servers failed."""
    HOST_REFUSED = "host_refused"
    """The host is not in the allowlist of the request."""
    INVALID_RESPONSE = "invalid_response"
    """The response is not valid HTTP or SMTP, or its encoding is not supported."""
    INVALID_URL = "invalid_url"
    NAME_NOT_FOUND = "name_not_found"
    """The name does not exist, or has no address."""
    PROXY_FAILED = "proxy_failed"
    """The proxy is unreachable or refuses to connect."""
    REDIRECTED = "redirected"
    TIMEOUT = "timeout"
    TLS_FAILED = "tls_failed"
    """The certificate is not valid for the host, or the server speaks no TLS 1.2."""
    TOO_LARGE = "too_large"


class OutboundError(Exception):
    """Something outgoing failed. The text names the cause and contains no secret."""

    def __init__(self, reason: OutboundReason, text: str) -> None:
        super().__init__(text)
        self.reason = reason
