"""What every page tells the browser to allow: next to nothing."""

from collections.abc import Mapping
from typing import Final

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)

SECURITY: Final[Mapping[str, str]] = {
    "Content-Security-Policy": POLICY,
    # Not no-referrer: with that, browsers hide the Origin of our own forms from us.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    # Pages hold people's data, one of them a key: none is kept, by anybody.
    "Cache-Control": "no-store",
    "Server": "Cloud Academy",
}
