"""A SCIM request as routes receive it."""

import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import unquote_to_bytes

from aiohttp import web

from gateway.auth.authenticator import Caller
from gateway.backend.client import Origin
from gateway.http.response_memory import MEBIBYTE, ResponseReservation
from gateway.http.responses import EAGER_BYTES, Document, ScimResponse
from gateway.scim.errors import ScimError, invalid_syntax
from gateway.scim.projection import Projection
from gateway.scim.projection import parse as parse_projection
from gateway.scim.schema import USER, ResourceType

STREAM_BYTES: Final = 1 * MEBIBYTE
"""The memory to reserve for a response that is built while it is sent."""
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
_NON_ASCII_BYTE: Final = re.compile("%[89A-Fa-f][0-9A-Fa-f]")

MAX_INLINE_BYTES: Final = 64 * 1024
"""Larger bodies are parsed in the worker thread: 1 MiB takes up to 0.15 s, this size 10 ms."""

Result = TypeVar("Result")


class Offload(Protocol):
    """Runs a pure function in the worker thread and charges its CPU time to the organization."""

    async def __call__(self, function: Callable[[], Result]) -> Result:
        """Return the result of the function. Refuses RejectedError (503) if the queue is full."""
        ...


class ExtraSlots(Protocol):
    """Slots of the organization for parts of a request that run beside its first part."""

    def try_acquire(self) -> bool:
        """Take a slot if one is free and no request waits for it."""
        ...

    def release(self) -> None:
        """Return a slot."""
        ...

    def measure(self, part: Coroutine[Any, Any, None]) -> Awaitable[None]:
        """Run a coroutine and charge its CPU time to the organization."""
        ...


class NoExtraSlots:
    """Lets parts run only one after another."""

    def try_acquire(self) -> bool:
        return False

    def release(self) -> None:
        raise AssertionError("no slot was acquired")

    def measure(self, part: Coroutine[Any, Any, None]) -> Awaitable[None]:
        return part


async def inline(function: Callable[[], Result]) -> Result:
    """Run a function immediately, in the event loop."""
    return function()


@dataclass(frozen=True, slots=True)
class RefusedPart:
    """A refused operation of a bulk request."""

    method: str
    path: str
    data: Mapping[str, Any] | None
    error: ScimError


@dataclass(frozen=True, slots=True)
class ScimRequest:
    """A request with its caller and the resource id of its path.

    A route need not know whether the request is part of a bulk request.
    """

    request_id: str
    base_url: str
    caller: Caller
    resource_id: str
    parameters: Mapping[str, str]
    headers: Mapping[str, str]
    parse_body: Callable[[], Document]
    """Parses the JSON object of the body, or of this part of a bulk request."""
    memory: ResponseReservation
    """The memory for a large response; released once the response is sent."""
    omits_body: bool = False
    """Whether the sender uses only the status and the headers of the response."""
    client: str = ""
    """The name of the client application, for the provisioning log only."""
    user_type: ResourceType = USER
    """The User type of the caller's organization, with its custom attributes."""
    refused: list[RefusedPart] = field(default_factory=list)
    """Operations of a bulk request that were refused, although the request itself was answered."""
    charge_requests: Callable[[int], None] = lambda _: None
    """Charges the further operations of a bulk request to the rate limit."""
    body_bytes: int = 0
    """The size of the body, or of this part of a bulk request."""
    offload: Offload = inline
    extra_slots: ExtraSlots = field(default_factory=NoExtraSlots)
    started: float = field(default_factory=time.perf_counter)
    """When the request was received, by `time.perf_counter`."""
    is_client_gone: Callable[[], bool] = lambda: False
    """Whether the client has closed the connection and can receive no response."""

    @property
    def organization_id(self) -> str:
        """The organization that the verified key acts for."""
        return self.caller.organization_id

    @property
    def origin(self) -> Origin:
        """The request id, key id and client, which are sent to the services."""
        return Origin(self.request_id, self.caller.key_id, self.client)

    def own(self, resource_type: ResourceType) -> ResourceType:
        """A resource type with the custom attributes of the caller's organization."""
        return self.user_type if resource_type is USER else resource_type

    def parameter(self, name: str) -> str | None:
        """A query parameter; None if it is absent. Unknown parameters are ignored."""
        return self.parameters.get(name)

    def header(self, name: str) -> str | None:
        """A header; None if it is absent."""
        return self.headers.get(name)

    def projection(self, resource_type: ResourceType) -> Projection:
        """The attributes that the response has (RFC 7644 section 3.9)."""
        return parse_projection(
            resource_type, self.parameter("attributes"), self.parameter("excludedAttributes")
        )

    async def parsed(self, parse: Callable[[Document], Result]) -> Result:
        """The result of a pure function of the body; a large body is parsed in the worker thread.

        Refuses (400 invalidSyntax) a body that is not a JSON object, and what `parse` refuses.
        """
        if self.body_bytes <= MAX_INLINE_BYTES:
            return parse(self.parse_body())
        return await self.offload(lambda: parse(self.parse_body()))


def parameters(request: web.Request) -> Mapping[str, str]:
    """The query parameters.

    Refuses (400 invalidSyntax) a query that is not UTF-8, in which a filter would find nothing, and
    a known parameter that is given twice.
    """
    _check_utf_8(request.rel_url.raw_query_string)
    query = request.query
    for name in _PARAMETERS:
        if len(query.getall(name, ())) > 1:
            raise invalid_syntax(f"The query parameter {name} is given twice; send it once.")
    return query


def _check_utf_8(raw_query: str) -> None:
    if raw_query.isascii() and not _NON_ASCII_BYTE.search(raw_query):
        return
    try:
        unquote_to_bytes(raw_query.encode(errors="surrogateescape")).decode()
    except UnicodeDecodeError:
        raise invalid_syntax(
            "The query is not UTF-8. Encode it as UTF-8 before percent-encoding it, such as"
            " %C3%A9 for é."
        ) from None


async def streamed_response(
    request: ScimRequest,
    parts: AsyncGenerator[bytes, None],
    headers: Mapping[str, str],
    status: int = 200,
) -> ScimResponse:
    """A response in parts: a small one is built before it is sent, a large one while it is sent.

    Raises errors of the parts within the first EAGER_BYTES, and RejectedError (503) if there is no
    memory for the rest.
    """
    if request.omits_body:
        await parts.aclose()
        return ScimResponse(status, headers=headers)
    built, size = [], 0
    try:
        async for part in parts:
            built.append(part)
            size += len(part)
            if size > EAGER_BYTES:
                await request.memory.acquire(max(0, STREAM_BYTES - request.memory.size))
                return ScimResponse(status, b"".join(built), headers, parts)
    except BaseException:
        await parts.aclose()
        raise
    return ScimResponse(status, b"".join(built), headers)
