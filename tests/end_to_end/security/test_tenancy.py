"""No SCIM route shows or changes data of another organization.

The requests are generated from the routing table: each method of each path, with the values that an
attacker can know of the neighbour in every part of the request that takes a value.
"""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from gateway.api.routing import Route
from gateway.scim.filter import Operator
from tests.support.neighbours import NAME_PREFIX, Neighbour, create_neighbour, stored_rows
from tests.support.operators import Operator as Services
from tests.support.scim import Client, Reply
from tests.support.scim_routes import table
from tests.support.stack import Stack

ROUTES = sorted(table().routes(), key=lambda each: (each.path, each.method))
MAX_CONCURRENT = 8
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
EVERYTHING = "attributes=members.value,members.display,members.type,groups,displayName,title,emails"
"""A projection that includes the attributes that are returned only on request."""


@dataclass(frozen=True)
class Request:
    """A request to send."""

    method: str
    path: str
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    async def send(self, client: Client) -> Reply:
        return await client(self.method, self.path, self.body, **self.headers)


def hostile_requests(route: Route, neighbour: Neighbour, own: list[str]) -> Iterator[Request]:
    """Requests of a route with values of the neighbour; some paths have the sender's ids, `own`."""
    known = neighbour.known
    paths = [route.path]
    if "{id}" in route.path:
        ids = [known[name] for name in ("user", "group", "schema")]
        paths = [route.path.replace("{id}", quote(each, safe="")) for each in [*ids, *own]]
        for each in ("organization", "key", "cursor", "activity"):
            yield Request(route.method, route.path.replace("{id}", known[each]))
    for path in paths:
        all_bodies = list(bodies(route, known))
        for headers in preconditions(known):
            yield from (Request(route.method, path, each, headers) for each in all_bodies[:5])
        yield from (Request(route.method, path, each) for each in all_bodies[5:])
        for parameter in parameters(known) if route.method == "GET" else ():
            yield Request(route.method, f"{path}?{parameter}")


def reads_of_own_data(own: list[str]) -> Iterator[Request]:
    """Requests that read the sender's own resources after the hostile requests."""
    for path in (f"/Users/{own[0]}", f"/Groups/{own[1]}", "/Users", "/Groups", "/"):
        yield Request("GET", path)
        yield Request("GET", f"{path}?{EVERYTHING}")


def preconditions(known) -> list[dict[str, str]]:
    tags = [f'W/"{known[name]}"' for name in ("user_etag", "group_etag")]
    return [
        {},
        {"If_Match": "*"},
        {"If_None_Match": "*"},
        {"If_Match": ", ".join(tags)},
        *({name: tag} for name in ("If_Match", "If_None_Match") for tag in tags),
    ]


def filters(known) -> Iterator[str]:
    """Filters by values that the attacker knows, and by prefixes of unknown values."""
    for path in ("id", "members.value", "members", "groups.value", "manager.value", "externalId"):
        for value in (known["user"], known["group"], known["organization"]):
            for operator in (Operator.EQ, Operator.NE):
                yield f'{path} {operator.value} "{value}"'
    for path in (
        "userName",
        "displayName",
        "title",
        "emails.value",
        "externalId",
        "name.formatted",
    ):
        yield from (f'{path} {operator} "{NAME_PREFIX}"' for operator in ("sw", "co", "ge"))
    yield f'emails[value co "{NAME_PREFIX}"]'
    yield f'not (userName eq "{NAME_PREFIX}")'
    yield f'userName eq "{known["user_name"]}"'
    yield f"{known['schema']}:stripe pr"
    yield 'meta.created gt "2000-01-01T00:00:00Z"'


def parameters(known) -> Iterator[str]:
    for each in filters(known):
        yield f"filter={quote(each)}&{EVERYTHING}"
    for name in ("cursor", "users_page", "activities_page", "change_token", "audit_page"):
        yield f"cursor={quote(known[name])}&count=1"
    yield f"{EVERYTHING}&sortBy=userName"
    yield f"attributes={quote(known['schema'])}"
    yield f"organizationId={known['organization']}&organization_id={known['organization']}"


def bodies(route: Route, known) -> Iterator[Any]:
    """Bodies with values of the neighbour; they are the same for every POST, PUT and PATCH."""
    if route.method not in ("POST", "PUT", "PATCH"):
        yield None
        return
    yield from documents(known)
    yield from ({"schemas": [PATCH_OP], "Operations": [each]} for each in patches(known))
    yield {"Operations": [*operations(known)]}
    yield {"cursor": known["cursor"], "count": 1}
    if route.path.endswith(".search"):
        yield from ({"filter": each, "count": 5} for each in filters(known))


def documents(known) -> Iterator[dict[str, Any]]:
    members = [{"value": known["user"]}, {"value": known["group"]}]
    organization = {
        "organizationId": known["organization"],
        "organization_id": known["organization"],
    }
    user = {"userName": f"{uuid4().hex}@a.test", "displayName": "a"}
    yield {**user, "manager": known["user"], **organization}
    yield {"displayName": "a", "members": members, "id": known["group"], **organization}
    yield {"userName": known["user"], "displayName": "a", "groups": members, "id": known["user"]}
    yield {**user, "externalId": known["user"], known["schema"]: {"stripe": "a"}}


def patches(known) -> Iterator[dict[str, Any]]:
    for value in (known["user"], known["group"]):
        for op in ("add", "replace", "remove"):
            yield {"op": op, "path": "members", "value": [{"value": value}]}
        yield {"op": "remove", "path": f'members[value eq "{value}"]'}
        yield {"op": "add", "path": "manager", "value": value}
        yield {"op": "replace", "path": "id", "value": value}
        yield {"op": "add", "path": "groups", "value": [{"value": value}]}
    yield {"op": "replace", "value": {"organization_id": known["organization"], "active": False}}
    yield {"op": "add", "path": f"{known['schema']}:stripe", "value": "a"}


def operations(known) -> Iterator[dict[str, Any]]:
    """Operations of a bulk request: every kind of change of the neighbour's user and group."""
    for endpoint, id_ in (("Users", known["user"]), ("Groups", known["group"])):
        path = f"/{endpoint}/{id_}"
        for number, document in enumerate(documents(known)):
            yield {"method": "PUT", "path": path, "data": document}
            bulk_id = f"{endpoint}{number}"
            yield {"method": "POST", "path": f"/{endpoint}", "bulkId": bulk_id, "data": document}
            yield {"method": "PUT", "path": f"/Groups/bulkId:{bulk_id}", "data": document}
        for patch in patches(known):
            yield {"method": "PATCH", "path": path, "data": {"Operations": [patch]}}
        yield {"method": "DELETE", "path": path, "version": f'W/"{known["user_etag"]}"'}
        yield {"method": "DELETE", "path": path}


@pytest.fixture
async def neighbour(operate: Services, tenant: Stack, scim: Client) -> Neighbour:
    return await create_neighbour(operate, tenant, scim)


@pytest.fixture
async def attacker(operate: Services, scim: Client) -> Client:
    """A client of another organization, with a key of that organization."""
    key = await operate.generate_key(await operate.create_organization("Attacker"))
    return Client(scim._session, scim.url, key.token)


async def create_own_resources(client: Client) -> list[str]:
    """Create a user and a group of the attacker; returns their ids."""
    user = await client("POST", "/Users", {"userName": f"{uuid4().hex}@a.test"})
    group = await client("POST", "/Groups", {"displayName": "own"})
    return [user.document["id"], group.document["id"]]


async def leaks(
    client: Client, requests: Iterable[Request], marker: str
) -> list[tuple[Request, int]]:
    """Send requests; returns those whose response has the marker in a header or in the body."""
    found: list[tuple[Request, int]] = []
    semaphore = asyncio.Semaphore(MAX_CONCURRENT)

    async def send(request: Request) -> None:
        async with semaphore:
            reply = await request.send(client)
        assert reply.status < 500 or request.path.startswith("/Me"), (request, reply.document)
        if marker in str(reply.document) or marker in str(reply.headers):
            found.append((request, reply.status))

    async with asyncio.TaskGroup() as tasks:
        for each in requests:
            tasks.create_task(send(each))
    return found


@pytest.mark.timeout(300)
async def test_no_route_reaches_another_organization(
    tenant: Stack, neighbour: Neighbour, attacker: Client, scim: Client
):
    before = await stored_rows(tenant, neighbour.organization_id)
    assert sum(map(len, before.values())) > 30

    for route in ROUTES:
        own = await create_own_resources(attacker)
        assert (
            await leaks(attacker, hostile_requests(route, neighbour, own), neighbour.marker) == []
        )
        assert await leaks(attacker, reads_of_own_data(own), neighbour.marker) == []
    assert await stored_rows(tenant, neighbour.organization_id) == before

    # The neighbour itself gets its data by the same requests, so the assertions above can fail.
    owner = Client(scim._session, scim.url, neighbour.key.token)
    reads = [each for each in ROUTES if each.method == "GET" or each.path.endswith(".search")]
    found = {
        route.path
        for route in reads
        if await leaks(owner, hostile_requests(route, neighbour, []), neighbour.marker)
    }
    without = {"/Me", "/ServiceProviderConfig", "/ResourceTypes", "/ResourceTypes/{id}"}
    assert found == {route.path for route in reads} - without
