"""If-Match and If-None-Match (RFC 7644 section 3.14, RFC 9110 section 13.1)."""

import re
from typing import Final

from gateway.scim.errors import ScimError

# RFC 9110 section 8.8.3. This service never issues an empty etag, so an empty one is refused.
_TAG: Final = r'(?:W/)?"([\x21\x23-\x7e]++)"'
_ETAG: Final = re.compile(_TAG)
_LIST: Final = re.compile(rf"\s*+{_TAG}\s*+(?:,\s*+{_TAG}\s*+)*")
MAX_LENGTH: Final = 1_024


def wanted_etags(header: str | None) -> tuple[str, ...] | None:
    """The etags that a header lists; None if any etag matches (no header, or `*`).

    The `W/` prefix is ignored in comparisons. Refuses (400 invalidValue) malformed headers.
    """
    if header is None or header.strip() == "*":
        return None
    if len(header) > MAX_LENGTH or not _LIST.fullmatch(header):
        raise ScimError(
            400,
            "invalidValue",
            'If-Match and If-None-Match must be * or a list of versions like W/"1".',
        )
    return tuple(_ETAG.findall(header))


def client_has(header: str | None, etag: str) -> bool:
    """Whether If-None-Match lists this version, so the client has it already."""
    if header is None:
        return False
    etags = wanted_etags(header)
    return etags is None or etag in etags
