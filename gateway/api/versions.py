"""Versions of a resource that others may change meanwhile (RFC 7644 section 3.14)."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from gateway.api.preconditions import is_known, wanted_etags
from gateway.api.request import ScimRequest
from gateway.backend.errors import RefusedError
from gateway.convert.user import etag_header
from gateway.http.responses import ScimResponse
from gateway.limits.rejections import RETRY_AFTER_SECONDS
from gateway.scim.errors import ScimError

LOST_RACES: Final = 10
"""How often a change without If-Match is tried anew on a resource that others change."""
_PAUSE_SECONDS: Final = 0.005
"""The first pause between tries is up to this long, each later one up to twice the one before."""

Outcome = TypeVar("Outcome")


async def wanted_etag(exchange: ScimRequest, current: Callable[[], Awaitable[str]]) -> str:
    """The version that If-Match asks for, empty for any; of several, the current one.

    Refuses (412) several of which none is current.
    """
    etags = wanted_etags(exchange.header("If-Match"))
    if etags is None:
        return ""
    if len(etags) == 1:
        return etags[0]
    etag = await current()
    if etag not in etags:
        raise changed()
    return etag


def not_modified(exchange: ScimRequest, etag: str) -> ScimResponse | None:
    """The answer 304 to a client that has this version already, by its If-None-Match."""
    if not is_known(exchange.header("If-None-Match"), etag):
        return None
    return ScimResponse(304, headers={"ETag": etag_header(etag)})


def without_content(etag: str) -> ScimResponse:
    """The answer 204 to a change; its version tells the client what to read next."""
    return ScimResponse(204, headers={"ETag": etag_header(etag)})


def require_version(wanted: str, current: str) -> None:
    """Refuse (412) a change that asks for another version than the current one."""
    if wanted and wanted != current:
        raise changed()


async def unraced(attempt: Callable[[], Awaitable[Outcome]], etag: str) -> Outcome:
    """The outcome of an attempt to read, change and write that nobody else came between.

    With an etag a lost race is the client's to know of (412). Without one the attempt is made
    LOST_RACES times, with a pause before each but the first, and then refused (503).
    """
    for lost in range(LOST_RACES):
        if lost:
            # Random, because those who race would meet again if all waited for as long.
            await asyncio.sleep(random.uniform(0, _PAUSE_SECONDS * 2 ** (lost - 1)))  # noqa: S311
        try:
            return await attempt()
        except RefusedError as refused:
            if refused.reason != "ETAG_MISMATCH" or etag:
                raise
    raise ContendedError


class ContendedError(ScimError):
    """A resource that others changed between each of our reads and writes."""

    def __init__(self) -> None:
        super().__init__(
            503,
            None,
            "Others keep changing this resource. Nothing was changed; try again.",
            {"Retry-After": str(RETRY_AFTER_SECONDS)},
        )


def changed() -> ScimError:
    """The refusal of a change to a version that is no longer current."""
    return ScimError(
        412, None, "The resource has changed since the version in If-Match. Read it again."
    )
