"""A SCIM client that sends requests as Entra does and checks responses as Entra's validators do."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, urlsplit, urlunsplit

import aiohttp
from yarl import URL

from tools.entra.groups import GROUP
from tools.entra.mapping import USER

MEDIA_TYPE = "application/scim+json"
LIST_RESPONSE = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"

Resource = Mapping[str, Any]


class RequestError(Exception):
    """The server rejected a request; `detail` is what Entra shows to the customer's admin."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status}: {detail}" if status else detail)
        self.status = status
        self.detail = detail


class UnauthorizedError(RequestError):
    """The Secret Token was rejected. Entra would quarantine the job at once."""


class ServiceIncompatibleError(RequestError):
    """The response violates SCIM or the rules of Entra's validators."""


@dataclass(frozen=True, slots=True)
class Response:
    """A response and the request that it answers."""

    request: str
    status: int
    headers: Mapping[str, str]
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One HTTP request and its result; status 0 if there was no response."""

    method: str
    target: str
    status: int
    seconds: float
    retry_after: str = ""


@dataclass(frozen=True, slots=True)
class Retries:
    """The number of retries after 429 or 503, and the longest wait in seconds."""

    times: int = 5
    longest_wait: float = 30.0


class Pacer:
    """Spaces requests evenly: `rate` a second; None is unlimited."""

    def __init__(self, rate: float | None) -> None:
        self._interval = 1 / rate if rate else 0.0
        self._next = 0.0

    async def wait(self) -> None:
        if not self._interval:
            return
        now = time.monotonic()
        self._next = max(self._next + self._interval, now)
        await asyncio.sleep(self._next - now)


class EntraClient:
    """The requests of Entra's provisioning service against one tenant, one method each."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        *,
        pacer: Pacer,
        retries: Retries,
        observe: Callable[[RequestRecord], None],
    ) -> None:
        self._session = session
        self._base = base_url(url)
        self._pacer = pacer
        self._retries = retries
        self._observe = observe

    async def probe(self, attribute: str = "userName") -> None:
        """Search for a random GUID, as Test Connection does; raises if it finds a user."""
        guid = str(uuid.uuid4())
        if await self.find(attribute, guid) is not None:
            raise ServiceIncompatibleError(200, f"a user was found whose {attribute} is {guid}")

    async def find(self, attribute: str, value: str) -> Resource | None:
        """The user with this value, or None; raises for several (DuplicateTargetEntries)."""
        response = await self.send("GET", f"/Users?filter={encoded_filter(attribute, value)}")
        _expect(response, 200)
        resource = _only(response, f"users have the {attribute} {value!r}")
        return _user(response, resource) if resource else None

    async def get(self, user_id: str) -> Resource | None:
        """The user with this id, or None if the server answers 404."""
        response = await self.send("GET", f"/Users/{user_id}")
        if response.status == 404:
            return None
        _expect(response, 200)
        return _user(response, response.body, user_id)

    async def create(self, body: Mapping[str, Any]) -> Resource:
        """Create a user; raises unless the status is 201 and Location names the user."""
        response = await self.send("POST", "/Users", body)
        _expect(response, 201)
        resource = _user(response, response.body)
        location = response.headers.get("Location", "")
        if not location.endswith(f"/Users/{resource['id']}"):
            raise ServiceIncompatibleError(201, f"the Location of the new user is {location!r}")
        return resource

    async def patch(self, user_id: str, body: Mapping[str, Any]) -> Resource | None:
        """Change a user; returns the full resource, or None if the server answers 204."""
        response = await self.send("PATCH", f"/Users/{user_id}", body)
        _expect(response, 200, 204)
        return None if response.status == 204 else _user(response, response.body, user_id)

    async def delete(self, user_id: str) -> None:
        """Delete a user; raises unless the status is 204."""
        _expect(await self.send("DELETE", f"/Users/{user_id}"), 204)

    async def find_group(self, display_name: str) -> Resource | None:
        """The group with this name, or None; raises if there are several."""
        by_name = encoded_filter("displayName", display_name)
        response = await self.send("GET", f"/Groups?excludedAttributes=members&filter={by_name}")
        _expect(response, 200)
        resource = _only(response, f"groups have the displayName {display_name!r}")
        return _group(response, resource) if resource else None

    async def create_group(self, body: Mapping[str, Any]) -> Resource:
        """Create a group; raises unless the status is 201."""
        response = await self.send("POST", "/Groups", body)
        _expect(response, 201)
        return _group(response, response.body)

    async def patch_group(self, group_id: str, body: Mapping[str, Any]) -> None:
        """Change a group or its members; 200 and 204 are both accepted."""
        _expect(await self.send("PATCH", f"/Groups/{group_id}", body), 200, 204)

    async def send(self, method: str, target: str, body: object | None = None) -> Response:
        """Send a request; on 429 and 503 it is repeated after Retry-After.

        `target` is the path below the Tenant URL and the query, encoded as they go on the wire.
        """
        for _ in range(self._retries.times):
            response = await self._send_once(method, target, body)
            if response.status not in (429, 503):
                return response
            await asyncio.sleep(min(_retry_after(response), self._retries.longest_wait))
        return await self._send_once(method, target, body)

    async def _send_once(self, method: str, target: str, body: object | None) -> Response:
        await self._pacer.wait()
        data = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        headers = {} if data is None else {"Content-Type": f"{MEDIA_TYPE}; charset=utf-8"}
        started, status, retry_after = time.perf_counter(), 0, ""
        try:
            async with self._session.request(
                method,
                URL(self._base + target, encoded=True),
                data=data,
                headers=headers,
                allow_redirects=False,
            ) as received:
                content = await received.read()
                status, retry_after = received.status, received.headers.get("Retry-After", "")
        finally:
            seconds = time.perf_counter() - started
            self._observe(RequestRecord(method, target, status, seconds, retry_after))
        return _check_error(
            Response(f"{method} {target}", status, received.headers, _json(received, content))
        )


@asynccontextmanager
async def connect(
    url: str,
    token: str,
    *,
    connections: int = 16,
    rate: float | None = None,
    retries: Retries | None = None,
    observe: Callable[[RequestRecord], None] = lambda _: None,
    timeout: float = 60.0,  # noqa: ASYNC109 - it is a setting of the session, not of this call
) -> AsyncIterator[EntraClient]:
    """A client of one tenant, with its own connections and bearer token, without User-Agent."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections),
        headers={"Authorization": f"Bearer {token}"},
        skip_auto_headers=("User-Agent", "Accept"),
        timeout=aiohttp.ClientTimeout(total=timeout),
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:
        yield EntraClient(
            session, url, pacer=Pacer(rate), retries=retries or Retries(), observe=observe
        )


def base_url(url: str) -> str:
    """The Tenant URL without a trailing slash and without the flags that are meant for Entra."""
    scheme, netloc, path, _, _ = urlsplit(url)
    return urlunsplit((scheme, netloc, path.rstrip("/"), "", ""))


def encoded_filter(attribute: str, value: str) -> str:
    """`attribute eq "value"` form-encoded as Entra does: + for a space, quotes left as they are."""
    return quote_plus(f"{attribute} eq {json.dumps(value, ensure_ascii=False)}", safe='"')


def _json(response: aiohttp.ClientResponse, content: bytes) -> dict[str, Any]:
    """The body as a JSON object; raises for other media types, so also for HTML and redirects."""
    if not content and response.status == 204:
        return {}
    if response.content_type != MEDIA_TYPE:
        raise ServiceIncompatibleError(
            response.status, f"the media type is {response.content_type}, not {MEDIA_TYPE}"
        )
    try:
        body = json.loads(content)
    except ValueError as error:
        raise ServiceIncompatibleError(
            response.status, f"the response is not JSON: {error}"
        ) from error
    if not isinstance(body, dict):
        raise ServiceIncompatibleError(response.status, "the response is not a JSON object")
    return body


def _check_error(response: Response) -> Response:
    """Raise for an error without a SCIM error body, and for a rejected token."""
    if response.status < 400:
        return response
    if ERROR not in response.body.get("schemas", ()) or response.body.get("status") != str(
        response.status
    ):
        raise ServiceIncompatibleError(response.status, f"not a SCIM error body: {response.body}")
    if response.status == 401:
        raise UnauthorizedError(401, _detail(response))
    return response


def _expect(response: Response, *statuses: int) -> None:
    if response.status in statuses:
        return
    if response.status >= 400:
        raise RequestError(response.status, f"{response.request}: {_detail(response)}")
    expected = " or ".join(map(str, statuses))
    raise ServiceIncompatibleError(
        response.status, f"{response.request}: the status should be {expected}"
    )


def _only(response: Response, what: str) -> Resource | None:
    """The one listed resource or None; raises if there are several."""
    resources = _listed(response)
    if len(resources) > 1:
        raise ServiceIncompatibleError(200, f"{len(resources)} {what}")
    return resources[0] if resources else None


def _listed(response: Response) -> list[Resource]:
    """The resources of a ListResponse (RFC 7644 section 3.4.2); raises if its counts disagree."""
    body = response.body
    resources = body.get("Resources", [])
    total = body.get("totalResults")
    if LIST_RESPONSE not in body.get("schemas", ()) or not isinstance(resources, list):
        raise ServiceIncompatibleError(200, f"{response.request}: not a ListResponse: {body}")
    if not isinstance(total, int) or total < len(resources):
        raise ServiceIncompatibleError(200, f"{response.request}: totalResults is {total!r}")
    if total and (body.get("startIndex"), body.get("itemsPerPage")) != (1, len(resources)):
        raise ServiceIncompatibleError(
            200, f"{response.request}: startIndex or itemsPerPage is wrong"
        )
    return resources


def _user(response: Response, resource: Any, user_id: str | None = None) -> Resource:
    """Check the required attributes of a User, and its id if one was requested."""
    return _resource(response, resource, ("userName", "active"), (USER, "User"), user_id)


def _group(response: Response, resource: Any) -> Resource:
    """Check the required attributes of a Group."""
    return _resource(response, resource, ("displayName",), (GROUP, "Group"))


def _resource(
    response: Response,
    resource: Any,
    attributes: tuple[str, ...],
    kind: tuple[str, str],
    wanted_id: str | None = None,
) -> Resource:
    if not isinstance(resource, dict):
        raise ServiceIncompatibleError(
            response.status, f"{response.request}: not a resource: {resource!r}"
        )
    actual = resource.get("id")
    if not isinstance(actual, str) or not actual or wanted_id not in (None, actual):
        raise ServiceIncompatibleError(
            response.status,
            f"{response.request}: the id is {actual!r}, not {wanted_id or 'a string'}",
        )
    for missing in {"schemas", "meta", *attributes} - resource.keys():
        raise ServiceIncompatibleError(response.status, f"{response.request}: {missing} is missing")
    schema, name = kind
    if schema not in resource["schemas"] or resource["meta"].get("resourceType") != name:
        raise ServiceIncompatibleError(
            response.status, f"{response.request}: not a {name}: {resource}"
        )
    return resource


def _detail(response: Response) -> str:
    detail = response.body.get("detail") or "the server gave no detail"
    scim_type = response.body.get("scimType")
    return f"{detail} ({scim_type})" if scim_type else str(detail)


def _retry_after(response: Response) -> float:
    """Seconds to wait; one second without Retry-After."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else 1.0
