"""Reads plain requests with one regular expression instead of the HTTP parser.

Most requests are plain, so most rejections are cheap. The expression and the parser agree on the
start, the end and the caller of a plain request (RFC 9112 sections 3, 5 and 6). A request is not
plain if the parser might read it differently, or answer it by closing the connection.
"""

import re
from typing import Final

MAX_BYTES: Final = 16 * 1024
"""The size limit of a plain request."""
MAX_HEAD_BYTES: Final = 8_000
MAX_LINES: Final = 100
"""Within these two limits, no header is too long for the parser, and no head has too many."""

_SPECIAL: Final = (
    rb"authorization|connection|content-length|expect|proxy-connection|transfer-encoding|upgrade"
    rb"|content-(?:location|range)|etag|max-forwards|sec-websocket-[a-z0-9-]+|server"
)
_ONCE: Final = (b"\r\ncontent-type:", b"\r\nuser-agent:")
_HOST: Final = b"\r\nhost:"
_OTHERS: Final = (
    rb"(?:(?i:connection): ?(?i:keep-alive)\r\n"
    rb"|(?!(?i:%s):)[!#$%%&'*+.^_`|~0-9A-Za-z-]++:[\t -~]*+\r\n)*" % _SPECIAL
)
_LENGTH: Final = rb"(?:(?i:content-length): ?(?P<%s>[0-9]{1,7}+)\r\n%s)?"
_HEAD: Final = re.compile(
    rb"(?:GET|POST|PUT|PATCH|DELETE) (?P<target>[!-~]++) HTTP/1\.1\r\n"
    + _OTHERS
    + _LENGTH % (b"length", _OTHERS)
    + rb"(?i:authorization): ?(?P<authorization>[!-~]++ [!-~]++)\r\n"
    + _OTHERS
    + _LENGTH % (b"length_after", _OTHERS)
    + rb"\r\n"
)


class PlainRequests:
    """Reads plain requests with an Authorization header and a target below one of `paths`."""

    def __init__(self, paths: tuple[str, ...]) -> None:
        self._paths = tuple(each.encode() for each in paths)

    def authorization(self, data: bytes) -> str | None:
        """The Authorization header, if the bytes are exactly one complete plain request.

        None for a part of a request, for several requests, and for a request that is not plain.
        """
        if len(data) > MAX_BYTES:
            return None
        head = _HEAD.match(data)
        if head is None or not head["target"].startswith(self._paths):
            return None
        authorization, before, after = head["authorization"], head["length"], head["length_after"]
        if (before and after) or head.end() + int(before or after or 0) != len(data):
            return None
        return authorization.decode() if _is_unambiguous(head[0]) else None


def _is_unambiguous(head: bytes) -> bool:
    """Whether a head has no repeated or oversized header that the parser refuses."""
    if len(head) > MAX_HEAD_BYTES or head.count(b"\r\n") > MAX_LINES:
        return False
    lowered = head.lower()
    return lowered.count(_HOST) == 1 and all(lowered.count(each) < 2 for each in _ONCE)
