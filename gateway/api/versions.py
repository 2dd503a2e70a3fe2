"""Optimistic concurrency with resource versions (RFC 7644 section 3.14)."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from gateway.api.preconditions import client_has, wanted_etags
from gateway.api.request import ScimRequest
from gateway.backend.errors import HTTP_ERRORS, RefusedError
from gateway.convert.user import etag_header
from gateway.http.responses import ScimResponse
from gateway.limits.rejections import RETRY_AFTER_SECONDS
from gateway.scim.errors import ScimError, describe

MAX_ATTEMPTS: Final = 10
"""The most attempts of a write without If-Match while other writes change the resource."""
_PAUSE_SECONDS: Final = 0.005
"""The longest first pause between attempts; it doubles with each attempt."""

Outcome = TypeVar("Outcome")


async def wanted_etag(request: ScimRequest, current: Callable[[], Awaitable[str]]) -> str:
    """The version that a write requires (If-Match, If-None-Match); an empty string means any.

    If several versions are permitted, the result is the current one. Refuses (412) a current
    version that If-Match does not list or that If-None-Match lists (RFC 9110 section 13.1).
    """
    etags, excluded = wanted_etags(request.header("If-Match")), request.header("If-None-Match")
    if excluded is None and (etags is None or len(etags) == 1):
        return etags[0] if etags else ""
    etag = await current()
    if etags is not None and etag not in etags:
        raise etag_mismatch()
    if client_has(excluded, etag):
        raise _excluded(str(excluded), etag)
    return etag


def not_modified(request: ScimRequest, etag: str) -> ScimResponse | None:
    """The response 304 if the client has this version already (If-None-Match); otherwise None.

    Refuses (412) a version that If-Match does not list.
    """
    etags = wanted_etags(request.header("If-Match"))
    if etags is not None and etag not in etags:
        raise etag_mismatch()
    if not client_has(request.header("If-None-Match"), etag):
        return None
    return ScimResponse(304, headers={"ETag": etag_header(etag)})


def no_content(etag: str) -> ScimResponse:
    """The response 204 to a write, with the new version of the resource."""
    return ScimResponse(204, headers={"ETag": etag_header(etag)})


def require_version(wanted: str, current: str) -> None:
    """Refuse (412) a write that requires another version than the current one."""
    if wanted and wanted != current:
        raise etag_mismatch()


async def retry_on_conflict(attempt: Callable[[], Awaitable[Outcome]], etag: str) -> Outcome:
    """Repeat a read-modify-write while other writes change the resource in between.

    With an etag, a conflict is an error for the client (412). Without one, up to MAX_ATTEMPTS are
    made, with a pause before each but the first; then the request is refused (503).
    """
    for failures in range(MAX_ATTEMPTS):
        if failures:
            # A random pause: equal pauses would make the same requests collide again.
            await asyncio.sleep(random.uniform(0, _PAUSE_SECONDS * 2 ** (failures - 1)))  # noqa: S311
        try:
            return await attempt()
        except RefusedError as error:
            if error.reason != "ETAG_MISMATCH" or etag:
                raise
    raise ContendedError


class ContendedError(ScimError):
    """Other writes changed the resource in every attempt."""

    def __init__(self) -> None:
        super().__init__(
            503,
            None,
            "Other requests keep changing this resource. Nothing was changed; send this one again.",
            {"Retry-After": str(RETRY_AFTER_SECONDS)},
        )


def _excluded(header: str, etag: str) -> ScimError:
    """The error for a write to a version that If-None-Match excludes."""
    return ScimError(
        412,
        None,
        f"If-None-Match is {describe(header)}, and the resource exists with the version "
        f"{etag_header(etag)}. To change it, omit If-None-Match, or send the version as If-Match.",
    )


def etag_mismatch() -> ScimError:
    """The error for a write to a version that is no longer current, as usersvc refuses it."""
    error = HTTP_ERRORS["ETAG_MISMATCH"]
    return ScimError(error.status, error.scim_type, error.detail)
