"""Etags of update requests (aip.dev/154)."""

from collections.abc import Iterable

from chassis.errors import ETAG_MISMATCH, Refusal


def require_etag(required: Iterable[str], current: str) -> None:
    """Refuse ETAG_MISMATCH unless each required etag is the current one; an empty one matches any.

    An update has two: the request's own etag, and the one inside the resource that it sends. A
    client that sends back the resource it has read expects the latter to be checked.
    """
    if any(etag and etag != current for etag in required):
        raise Refusal(ETAG_MISMATCH, current)
