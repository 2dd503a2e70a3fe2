"""Requests that can be read without the HTTP parser, as most can: a pattern tells where they end.

A request that is refused costs little then. What is read so begins, ends and speaks for
the same caller as the parser has it (RFC 9112 sections 3, 5 and 6); whatever the parser
might read in another way, or answer by ending the connection, is none of these.
"""

import re
from typing import Final

MAX_BYTES: Final = 16 * 1024
"""Of a request; longer ones go to the parser."""
MAX_HEAD_BYTES: Final = 8_000
MAX_LINES: Final = 100
"""With these, no name and no value is too long for the parser, and no head has too many."""

_WITH_CARE: Final = (
    rb"authorization|connection|content-length|expect|proxy-connection|transfer-encoding|upgrade"
    rb"|content-(?:location|range)|etag|max-forwards|sec-websocket-[a-z0-9-]+|server"
)
_ONCE: Final = (b"\r\ncontent-type:", b"\r\nuser-agent:")
_HOST: Final = b"\r\nhost:"
_OTHERS: Final = (
    rb"(?:(?i:connection): ?(?i:keep-alive)\r\n"
    rb"|(?!(?i:%s):)[!#$%%&'*+.^_`|~0-9A-Za-z-]++:[\t -~]*+\r\n)*+" % _WITH_CARE
)
_LENGTH: Final = rb"(?:(?i:content-length): ?(?P<%s>[0-9]{1,7}+)\r\n%s)?+"
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
    """Those with an Authorization header whose target begins with one of `paths`."""

    def __init__(self, paths: tuple[str, ...]) -> None:
        self._paths = tuple(each.encode() for each in paths)

    def authorization(self, data: bytes) -> str | None:
        """The header, if the bytes are one whole request of these.

        None as well for a part of a request, more than one, and one that is to be
        read with more care.
        """
        if len(data) > MAX_BYTES:
            return None
        head = _HEAD.match(data)
        if head is None or not head["target"].startswith(self._paths):
            return None
        authorization, before, after = head["authorization"], head["length"], head["length_after"]
        if (before and after) or head.end() + int(before or after or 0) != len(data):
            return None
        return authorization.decode() if _is_usual(head[0]) else None


def _is_usual(head: bytes) -> bool:
    """Whether nothing is there twice or too large that the parser refuses then."""
    if len(head) > MAX_HEAD_BYTES or head.count(b"\r\n") > MAX_LINES:
        return False
    lowered = head.lower()
    return lowered.count(_HOST) == 1 and all(lowered.count(each) < 2 for each in _ONCE)
