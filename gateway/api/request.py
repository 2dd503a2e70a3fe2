"""One SCIM request as a route sees it, and the answers that routes give."""

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol, TypeVar

from aiohttp import web

from gateway.auth.authenticator import Caller
from gateway.backend.client import Origin
from gateway.http.response_memory import MEBIBYTE, Reservation
from gateway.scim.errors import ScimError, invalid_syntax
from gateway.scim.responses import dumps, error_body
from gateway.scim.schema import USER, ResourceType

MEDIA_TYPE: Final = "application/scim+json"
MAX_BODY_BYTES: Final = 1024 * 1024
EAGER_BYTES: Final = 256 * 1024
"""A response up to this size is built before it is sent, and has a Content-Length."""
STREAM_BYTES: Final = 1 * MEBIBYTE
"""The memory that is reserved for a response that is built while it is sent."""
_PARAMETERS: Final = (
    "filter",
    "attributes",
    "excludedAttributes",
    "sortBy",
    "sortOrder",
    "startIndex",
    "count",
    "cursor",
)

MAX_INLINE_BYTES: Final = 64 * 1024
"""Larger bodies are parsed in the worker thread: 1 MiB takes up to 0.15 s, this at most 10 ms."""

Document = dict[str, Any]
Result = TypeVar("Result")


class Offload(Protocol):
    """Runs a pure function in the worker thread, at the expense of the caller's organization."""

    async def __call__(self, function: Callable[[], Result]) -> Result:
        """The function's result. Refuses (503) more computations than may wait."""
        ...


async def inline(function: Callable[[], Result]) -> Result:
    """Run a function at once, where there is no worker."""
    return function()


@dataclass(frozen=True, slots=True)
class RefusedPart:
    """An operation of a bulk request that was refused."""

    method: str
    path: str
    data: Mapping[str, Any] | None
    error: ScimError


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request with what is known of it: who calls, what id the path names.

    It does not say how the request came: alone, or as a part of another.
    """

    request_id: str
    base_url: str
    caller: Caller
    resource_id: str
    parameters: Mapping[str, str]
    headers: Mapping[str, str]
    load: Callable[[], Document]
    """Loads the JSON object of the body, or of this part of a bulk request."""
    memory: Reservation
    """What it reserves for a large response; released when that is sent."""
    omits_body: bool = False
    """Whether only the status and the headers of the answer are used."""
    user_type: ResourceType = USER
    """The User of the caller's organization, with the attributes that it added."""
    refused: list[RefusedPart] = field(default_factory=list)
    """What was refused of a request that was answered."""
    count_more: Callable[[int], None] = lambda _: None
    """Charges further requests that came inside this one."""
    body_bytes: int = 0
    """The size of the whole request's body."""
    offload: Offload = inline

    @property
    def organization_id(self) -> str:
        """The organization that the verified key speaks for."""
        return self.caller.organization_id

    @property
    def origin(self) -> Origin:
        """What services are told of the request."""
        return Origin(self.request_id, self.caller.key_id)

    def own(self, resource_type: ResourceType) -> ResourceType:
        """A type of resources as the caller's organization has it."""
        return self.user_type if resource_type is USER else resource_type

    def parameter(self, name: str) -> str | None:
        """A query parameter, None when it is absent. Unknown ones are ignored."""
        return self.parameters.get(name)

    def header(self, name: str) -> str | None:
        """A header, None when it is absent."""
        return self.headers.get(name)

    async def parsed(self, parse: Callable[[Document], Result]) -> Result:
        """What a pure function makes of the body, in the worker thread if the body is large.

        Refuses (400 invalidSyntax) a body that is not a JSON object, and what `parse` refuses.
        """
        if self.body_bytes <= MAX_INLINE_BYTES:
            return parse(self.load())
        return await self.offload(lambda: parse(self.load()))


def parameters(request: web.Request) -> Mapping[str, str]:
    """The query parameters. Refuses (400 invalidSyntax) one of ours that is given twice."""
    query = request.query
    for name in _PARAMETERS:
        if len(query.getall(name, ())) > 1:
            raise invalid_syntax(f"The parameter {name} is given twice; send it once.")
    return query


@dataclass(frozen=True, slots=True)
class Answer:
    """What a route answers."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    rest: AsyncGenerator[bytes, None] | None = None
    """What follows the body, built while it is sent (`gateway.http.streaming`)."""

    def streamed(self) -> "Answer":
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


def answer(document: object, status: int = 200, **headers: str) -> Answer:
    """A JSON document."""
    return Answer(status, dumps(document), headers)


def resource_answer(document: Mapping[str, Any], resource: Document, status: int = 200) -> Answer:
    """A resource, as projected into `document`, with the headers that say what its `meta` does."""
    return Answer(status, dumps(document), resource_headers(resource))


def resource_headers(resource: Document) -> Mapping[str, str]:
    """The headers that say what the `meta` of a resource does."""
    meta = resource["meta"]
    location = meta["location"]
    # RFC 7643 section 3.1 has the location in Content-Location, RFC 7644 section 3.3 in Location.
    return {"ETag": meta["version"], "Location": location, "Content-Location": location}


async def streamed_answer(
    exchange: Exchange,
    parts: AsyncGenerator[bytes, None],
    headers: Mapping[str, str],
    status: int = 200,
) -> Answer:
    """A document in parts: a small one is built at once, a large one while it is sent.

    Raises what the first EAGER_BYTES raise, and TurnedAwayError (503) when there is no memory for
    the rest.
    """
    if exchange.omits_body:
        await parts.aclose()
        return Answer(status, headers=headers)
    made, size = [], 0
    try:
        async for part in parts:
            made.append(part)
            size += len(part)
            if size > EAGER_BYTES:
                await exchange.memory.grow(max(0, STREAM_BYTES - exchange.memory.size))
                return Answer(status, b"".join(made), headers, parts)
    except BaseException:
        await parts.aclose()
        raise
    return Answer(status, b"".join(made), headers)


def error_answer(error: ScimError) -> Answer:
    """A refusal as SCIM's error document (RFC 7644 section 3.12)."""
    return Answer(error.status, dumps(error_body(error)), getattr(error, "headers", {}))
