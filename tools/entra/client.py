"""SCIM over HTTP as Entra sends it, and as strict with answers as its validators are."""

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
    """The server refused, with the detail that Entra shows to the customer's admin."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status}: {detail}" if status else detail)
        self.status = status
        self.detail = detail


class UnauthorizedError(RequestError):
    """The Secret Token is not accepted: Entra quarantines the job at once."""


class ServiceIncompatibleError(RequestError):
    """The answer is not what SCIM or Entra's validators demand."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, with the request it answers."""

    request: str
    status: int
    headers: Mapping[str, str]
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request on the wire; status 0 when the connection gave no answer."""

    method: str
    target: str
    status: int
    seconds: float
    retry_after: str = ""


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a 429 or 503 is sent again, and the longest Retry-After that is waited for."""

    times: int = 5
    longest_wait: float = 30.0


class Pace:
    """Spaces requests evenly: `rate` a second, or as fast as they come when it is None."""

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
        pace: Pace,
        retries: Retries,
        observe: Callable[[Exchange], None],
    ) -> None:
        self._session = session
        self._base = base_url(url)
        self._pace = pace
        self._retries = retries
        self._observe = observe

    async def probe(self, attribute: str = "userName") -> None:
        """Ask for a random GUID, as Test Connection does; refuse anything but 200 and nobody."""
        guid = str(uuid.uuid4())
        if await self.find(attribute, guid) is not None:
            raise ServiceIncompatibleError(200, f"somebody was found whose {attribute} is {guid}")

    async def find(self, attribute: str, value: str) -> Resource | None:
        """The one user with this value; refuse two of them (DuplicateTargetEntries)."""
        answer = await self.send("GET", f"/Users?filter={encoded_filter(attribute, value)}")
        _expect(answer, 200)
        resource = _only(answer, f"users have the {attribute} {value!r}")
        return _user(answer, resource) if resource else None

    async def get(self, user_id: str) -> Resource | None:
        """The user with this id, or None when the server says 404."""
        answer = await self.send("GET", f"/Users/{user_id}")
        if answer.status == 404:
            return None
        _expect(answer, 200)
        return _user(answer, answer.body, user_id)

    async def create(self, body: Mapping[str, Any]) -> Resource:
        """Create a user; refuse any status but 201 and an answer without its Location."""
        answer = await self.send("POST", "/Users", body)
        _expect(answer, 201)
        resource = _user(answer, answer.body)
        location = answer.headers.get("Location", "")
        if not location.endswith(f"/Users/{resource['id']}"):
            raise ServiceIncompatibleError(201, f"the Location of the new user is {location!r}")
        return resource

    async def patch(self, user_id: str, body: Mapping[str, Any]) -> Resource | None:
        """Change a user; the full resource, or None when the server answers 204."""
        answer = await self.send("PATCH", f"/Users/{user_id}", body)
        _expect(answer, 200, 204)
        return None if answer.status == 204 else _user(answer, answer.body, user_id)

    async def delete(self, user_id: str) -> None:
        """Delete a user; 204 and nothing else."""
        _expect(await self.send("DELETE", f"/Users/{user_id}"), 204)

    async def find_group(self, display_name: str) -> Resource | None:
        """The one group with this name; refuse two of them (DuplicateTargetEntries)."""
        wanted = encoded_filter("displayName", display_name)
        answer = await self.send("GET", f"/Groups?excludedAttributes=members&filter={wanted}")
        _expect(answer, 200)
        resource = _only(answer, f"groups have the displayName {display_name!r}")
        return _group(answer, resource) if resource else None

    async def create_group(self, body: Mapping[str, Any]) -> Resource:
        """Create a group; refuse any status but 201."""
        answer = await self.send("POST", "/Groups", body)
        _expect(answer, 201)
        return _group(answer, answer.body)

    async def patch_group(self, group_id: str, body: Mapping[str, Any]) -> None:
        """Change a group, or who is in it; 200 and 204 are the same."""
        _expect(await self.send("PATCH", f"/Groups/{group_id}", body), 200, 204)

    async def send(self, method: str, target: str, body: object | None = None) -> Answer:
        """One request, sent again after Retry-After on 429 and 503.

        `target` is the path below the Tenant URL and the query, encoded as they go on the wire.
        """
        for _ in range(self._retries.times):
            answer = await self._exchange(method, target, body)
            if answer.status not in (429, 503):
                return answer
            await asyncio.sleep(min(_retry_after(answer), self._retries.longest_wait))
        return await self._exchange(method, target, body)

    async def _exchange(self, method: str, target: str, body: object | None) -> Answer:
        await self._pace.wait()
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
            ) as response:
                content = await response.read()
                status, retry_after = response.status, response.headers.get("Retry-After", "")
        finally:
            seconds = time.perf_counter() - started
            self._observe(Exchange(method, target, status, seconds, retry_after))
        return _checked(
            Answer(f"{method} {target}", status, response.headers, _json(response, content))
        )


@asynccontextmanager
async def connect(
    url: str,
    token: str,
    *,
    connections: int = 16,
    rate: float | None = None,
    retries: Retries | None = None,
    observe: Callable[[Exchange], None] = lambda _: None,
    timeout: float = 60.0,  # noqa: ASYNC109 - it is a setting of the session, not of this call
) -> AsyncIterator[EntraClient]:
    """A client of one tenant: its own connections, its bearer token, and no User-Agent."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections),
        headers={"Authorization": f"Bearer {token}"},
        skip_auto_headers=("User-Agent", "Accept"),
        timeout=aiohttp.ClientTimeout(total=timeout),
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:
        yield EntraClient(
            session, url, pace=Pace(rate), retries=retries or Retries(), observe=observe
        )


def base_url(url: str) -> str:
    """The Tenant URL without a trailing slash and without the flags that are meant for Entra."""
    scheme, netloc, path, _, _ = urlsplit(url)
    return urlunsplit((scheme, netloc, path.rstrip("/"), "", ""))


def encoded_filter(attribute: str, value: str) -> str:
    """`attribute eq "value"` form-encoded as Entra does: + for a space, quotes left as they are."""
    return quote_plus(f"{attribute} eq {json.dumps(value, ensure_ascii=False)}", safe='"')


def _json(response: aiohttp.ClientResponse, content: bytes) -> dict[str, Any]:
    """The body as an object; refuse HTML, other media types and redirects."""
    if not content and response.status == 204:
        return {}
    if response.content_type != MEDIA_TYPE:
        raise ServiceIncompatibleError(
            response.status, f"the answer is {response.content_type}, not {MEDIA_TYPE}"
        )
    try:
        body = json.loads(content)
    except ValueError as error:
        raise ServiceIncompatibleError(
            response.status, f"the answer is not JSON: {error}"
        ) from error
    if not isinstance(body, dict):
        raise ServiceIncompatibleError(response.status, "the answer is not a JSON object")
    return body


def _checked(answer: Answer) -> Answer:
    """Refuse an error whose body is not SCIM's; stop at a token that is not accepted."""
    if answer.status < 400:
        return answer
    if ERROR not in answer.body.get("schemas", ()) or answer.body.get("status") != str(
        answer.status
    ):
        raise ServiceIncompatibleError(answer.status, f"not a SCIM error body: {answer.body}")
    if answer.status == 401:
        raise UnauthorizedError(401, _detail(answer))
    return answer


def _expect(answer: Answer, *statuses: int) -> None:
    if answer.status in statuses:
        return
    if answer.status >= 400:
        raise RequestError(answer.status, f"{answer.request}: {_detail(answer)}")
    wanted = " or ".join(map(str, statuses))
    raise ServiceIncompatibleError(
        answer.status, f"{answer.request}: the status should be {wanted}"
    )


def _only(answer: Answer, what: str) -> Resource | None:
    """The one resource that was listed, if any; refuse two of them."""
    resources = _listed(answer)
    if len(resources) > 1:
        raise ServiceIncompatibleError(200, f"{len(resources)} {what}")
    return resources[0] if resources else None


def _listed(answer: Answer) -> list[Resource]:
    """The resources of a ListResponse (RFC 7644 section 3.4.2); refuse counts that do not agree."""
    body = answer.body
    resources = body.get("Resources", [])
    total = body.get("totalResults")
    if LIST_RESPONSE not in body.get("schemas", ()) or not isinstance(resources, list):
        raise ServiceIncompatibleError(200, f"{answer.request}: not a ListResponse: {body}")
    if not isinstance(total, int) or total < len(resources):
        raise ServiceIncompatibleError(200, f"{answer.request}: totalResults is {total!r}")
    if total and (body.get("startIndex"), body.get("itemsPerPage")) != (1, len(resources)):
        raise ServiceIncompatibleError(
            200, f"{answer.request}: startIndex or itemsPerPage is wrong"
        )
    return resources


def _user(answer: Answer, resource: Any, user_id: str | None = None) -> Resource:
    """Refuse a User without what every User has, and one with another id than was asked for."""
    return _resource(answer, resource, ("userName", "active"), (USER, "User"), user_id)


def _group(answer: Answer, resource: Any) -> Resource:
    """Refuse a Group without what every Group has."""
    return _resource(answer, resource, ("displayName",), (GROUP, "Group"))


def _resource(
    answer: Answer,
    resource: Any,
    attributes: tuple[str, ...],
    kind: tuple[str, str],
    wanted_id: str | None = None,
) -> Resource:
    if not isinstance(resource, dict):
        raise ServiceIncompatibleError(
            answer.status, f"{answer.request}: not a resource: {resource!r}"
        )
    actual = resource.get("id")
    if not isinstance(actual, str) or not actual or wanted_id not in (None, actual):
        raise ServiceIncompatibleError(
            answer.status, f"{answer.request}: the id is {actual!r}, not {wanted_id or 'a string'}"
        )
    for missing in {"schemas", "meta", *attributes} - resource.keys():
        raise ServiceIncompatibleError(answer.status, f"{answer.request}: {missing} is missing")
    schema, name = kind
    if schema not in resource["schemas"] or resource["meta"].get("resourceType") != name:
        raise ServiceIncompatibleError(answer.status, f"{answer.request}: not a {name}: {resource}")
    return resource


def _detail(answer: Answer) -> str:
    detail = answer.body.get("detail") or "the server gave no detail"
    scim_type = answer.body.get("scimType")
    return f"{detail} ({scim_type})" if scim_type else str(detail)


def _retry_after(answer: Answer) -> float:
    """Seconds to wait; one second when the server names none."""
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else 1.0
