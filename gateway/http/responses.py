"""Responses: as handlers return them, and as HTTP."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from gateway.scim.errors import ScimError
from gateway.scim.responses import dumps, error_body

MEDIA_TYPE: Final = "application/scim+json"
EAGER_BYTES: Final = 256 * 1024
"""A response up to this size is built before it is sent, and has a Content-Length."""

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ScimResponse:
    """The response of a handler."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    rest: AsyncGenerator[bytes, None] | None = None
    """The parts after the body, built while they are sent (`gateway.http.streaming`)."""

    def streamed(self) -> "ScimResponse":
        """The same response, sent in parts if it is large, so its memory stays reserved."""
        if self.rest is not None or len(self.body) <= EAGER_BYTES:
            return self
        headers = {**self.headers, "Content-Length": str(len(self.body))}
        return replace(self, headers=headers, rest=_nothing())

    def to_http(self, request_id: str) -> web.StreamResponse:
        """The response as HTTP; always with SCIM's media type (RFC 7644 section 3.1)."""
        headers = {
            "Content-Type": MEDIA_TYPE,
            "X-Request-Id": request_id,
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Server": "Cloud Academy",
            **self.headers,
        }
        if self.rest is not None:
            return web.StreamResponse(status=self.status, headers=headers)
        return web.Response(status=self.status, body=self.body, headers=headers)


async def _nothing() -> AsyncGenerator[bytes, None]:
    return
    yield b""


def document_response(document: object, status: int = 200, **headers: str) -> ScimResponse:
    """A response with a JSON document."""
    return ScimResponse(status, dumps(document), headers)


def resource_response(
    document: Mapping[str, Any], resource: Document, status: int = 200
) -> ScimResponse:
    """A response with a resource, projected into `document`; its `meta` is also in the headers."""
    return ScimResponse(status, dumps(document), resource_headers(resource))


def resource_headers(resource: Document) -> Mapping[str, str]:
    """The `meta` of a resource as headers."""
    meta = resource["meta"]
    location = meta["location"]
    # RFC 7643 section 3.1 has the location in Content-Location, RFC 7644 section 3.3 in Location.
    return {"ETag": meta["version"], "Location": location, "Content-Location": location}


def error_response(error: ScimError) -> ScimResponse:
    """A response with an error document (RFC 7644 section 3.12)."""
    return ScimResponse(error.status, dumps(error_body(error)), error.headers)


def raw_error_response(error: ScimError, **more_headers: str) -> bytes:
    """A complete HTTP response as bytes, for a connection whose request is not parsed."""
    response = error_response(error)
    headers = {
        "Content-Type": MEDIA_TYPE,
        "Content-Length": str(len(response.body)),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Server": "Cloud Academy",
        **response.headers,
        **more_headers,
    }
    lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + response.body
