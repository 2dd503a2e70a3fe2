"""One SCIM request as a route sees it, and the answers that routes give."""

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

from aiohttp import web

from gateway.auth.authenticator import Caller
from gateway.backend.client import Origin
from gateway.http.response_memory import MEBIBYTE, Reservation
from gateway.http.responses import EAGER_BYTES, Document, ScimResponse
from gateway.scim.errors import ScimError, invalid_syntax
from gateway.scim.projection import Projection
from gateway.scim.projection import parse as parse_projection
from gateway.scim.schema import USER, ResourceType

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
class ScimRequest:
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

    def projection(self, resource_type: ResourceType) -> Projection:
        """The attributes that the request asks for (RFC 7644 section 3.9)."""
        return parse_projection(
            resource_type, self.parameter("attributes"), self.parameter("excludedAttributes")
        )

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


async def streamed_answer(
    exchange: ScimRequest,
    parts: AsyncGenerator[bytes, None],
    headers: Mapping[str, str],
    status: int = 200,
) -> ScimResponse:
    """A document in parts: a small one is built at once, a large one while it is sent.

    Raises what the first EAGER_BYTES raise, and RejectedError (503) when there is no memory for
    the rest.
    """
    if exchange.omits_body:
        await parts.aclose()
        return ScimResponse(status, headers=headers)
    made, size = [], 0
    try:
        async for part in parts:
            made.append(part)
            size += len(part)
            if size > EAGER_BYTES:
                await exchange.memory.grow(max(0, STREAM_BYTES - exchange.memory.size))
                return ScimResponse(status, b"".join(made), headers, parts)
    except BaseException:
        await parts.aclose()
        raise
    return ScimResponse(status, b"".join(made), headers)
