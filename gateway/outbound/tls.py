"""The TLS settings of outgoing connections."""

import ssl
from pathlib import Path

from chassis.startup import StartError, redact


def client_context(authority: Path | None) -> ssl.SSLContext:
    """Verifies certificates and host names, with TLS 1.2 or newer.

    Trusts the system's authorities and those of the PEM file `authority`. Raises StartError if the
    file cannot be used.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if authority is not None:
        try:
            context.load_verify_locations(authority)
        except (OSError, ssl.SSLError) as error:  # SSLError: the file has no certificate
            raise StartError(
                f"cannot read GATEWAY_OUTBOUND_AUTHORITY {redact(str(authority))}: {error.strerror}"
            ) from None
    return context
