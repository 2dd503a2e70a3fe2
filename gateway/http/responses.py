"""Responses as routes give them, and as they go over the wire."""

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
    """What a route answers."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    rest: AsyncGenerator[bytes, None] | None = None
    """What follows the body, built while it is sent (`gateway.http.streaming`)."""

    def streamed(self) -> "ScimResponse":
        """The same answer, sent in parts if it is large: its memory stays counted meanwhile."""
        if self.rest is not None or len(self.body) <= EAGER_BYTES:
            return self
        headers = {**self.headers, "Content-Length": str(len(self.body))}
        return replace(self, headers=headers, rest=_nothing())

    def response(self, request_id: str) -> web.StreamResponse:
        """The answer as HTTP; always of SCIM's media type (RFC 7644 section 3.1)."""
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


def answer(document: object, status: int = 200, **headers: str) -> ScimResponse:
    """A JSON document."""
    return ScimResponse(status, dumps(document), headers)


def resource_answer(
    document: Mapping[str, Any], resource: Document, status: int = 200
) -> ScimResponse:
    """A resource, as projected into `document`, with the headers that say what its `meta` does."""
    return ScimResponse(status, dumps(document), resource_headers(resource))


def resource_headers(resource: Document) -> Mapping[str, str]:
    """The headers that say what the `meta` of a resource does."""
    meta = resource["meta"]
    location = meta["location"]
    # RFC 7643 section 3.1 has the location in Content-Location, RFC 7644 section 3.3 in Location.
    return {"ETag": meta["version"], "Location": location, "Content-Location": location}


def error_answer(error: ScimError) -> ScimResponse:
    """A refusal as SCIM's error document (RFC 7644 section 3.12)."""
    return ScimResponse(error.status, dumps(error_body(error)), error.headers)


def as_http(error: ScimError, **more: str) -> bytes:
    """The whole answer to somebody who is turned away, as it goes over the wire."""
    answer = error_answer(error)
    headers = {
        "Content-Type": MEDIA_TYPE,
        "Content-Length": str(len(answer.body)),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Server": "Cloud Academy",
        **answer.headers,
        **more,
    }
    lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + answer.body
