"""Walks by startIndex through two gateways, while resources are created and deleted (ADR 0029)."""

import random
import secrets
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.gateways import Gateway, running_gateway
from tests.support.operators import Operator
from tests.support.scim import Client
from tests.support.scim_documents import person
from tests.support.stack import Stack

Fetch = Callable[[int, int], Awaitable[Any]]
"""Reads the page with a startIndex and a count."""
LISTS = (
    "/Users",
    "/Groups",
    "/",
    "/Users?sortBy=userName",
    "/Users?sortBy=title&sortOrder=descending",
    f"/Users?filter={quote('active eq true and title pr')}",
    "POST /Users/.search",
)
RESOURCES = 14


@pytest.fixture(scope="module")
def gateways(tenant: Stack) -> Iterator[tuple[Gateway, Gateway]]:
    """Two replicas, with one secret."""
    secret = secrets.token_hex(32)
    with (
        running_gateway(tenant, cursor_secret=secret) as one,
        running_gateway(tenant, cursor_secret=secret) as other,
    ):
        yield one, other


@dataclass
class Organization:
    """An organization whose resources change at random, between any two requests of a walk."""

    id: str
    clients: list[Client]
    choose: random.Random
    resources: dict[str, str] = field(default_factory=dict)
    """The paths of the present resources, by id."""

    @property
    def any_client(self) -> Client:
        """The client of either gateway."""
        return self.choose.choice(self.clients)

    async def create(self) -> None:
        """Create a user or a group."""
        title = self.choose.choice(["a", "b", "c"])
        path, body = self.choose.choice(
            [
                ("/Users", person(title=title)),
                ("/Groups", {"displayName": title}),
            ]
        )
        created = await self.any_client("POST", path, body)
        assert created.status == 201
        self.resources[created.document["id"]] = f"{path}/{created.document['id']}"

    async def delete(self) -> None:
        """Delete a user or a group, if there is one."""
        if self.resources:
            path = self.resources.pop(self.choose.choice([*self.resources]))
            assert (await self.any_client("DELETE", path)).status == 204

    async def change(self) -> None:
        """Delete and create a few resources."""
        for _ in range(self.choose.choice([0, 0, 1, 2])):
            await self.choose.choice([self.delete, self.delete, self.create])()


def fetch(organization: Organization, target: str) -> Fetch:
    """Reads pages of a list, each from either gateway."""

    async def page(start: int, count: int) -> Any:
        client = organization.any_client
        if target.startswith("POST "):
            body = {"startIndex": start, "count": count, "attributes": ["id"]}
            reply = await client("POST", target.removeprefix("POST "), body)
        else:
            separator = "&" if "?" in target else "?"
            query = f"startIndex={start}&count={count}&attributes=id"
            reply = await client("GET", f"{target}{separator}{query}")
        assert reply.status == 200
        assert reply.document["startIndex"] == start
        assert reply.document["itemsPerPage"] == len(reply.document["Resources"])
        return reply.document

    return page


def ids(page: Any) -> list[str]:
    return [each["id"] for each in page["Resources"]]


async def walk(organization: Organization, get_page: Fetch, pages: int = 10_000) -> list[str]:
    """The ids that a client finds on the pages of a list; it repeats some of its requests."""
    choose, found, start, total = organization.choose, list[str](), 1, 1
    count = choose.randint(1, 5)
    while start <= total and pages:
        if choose.random() < 0.25:  # the client does not receive this response
            await get_page(start, count)
            await organization.change()
        page = await get_page(start, count)
        found += ids(page)
        start, total, pages = start + page["itemsPerPage"], page["totalResults"], pages - 1
        await organization.change()
    assert not pages or len(found) == total
    return found


@pytest.fixture
async def organization(
    operate: Operator, scim: Client, gateways: tuple[Gateway, Gateway]
) -> Organization:
    organization_id = await operate.create_organization("Walked")
    token = (await operate.generate_key(organization_id)).token
    clients = [each.client(scim._session, token) for each in gateways]
    return Organization(organization_id, clients, random.Random())


@pytest.mark.parametrize("target", LISTS)
@pytest.mark.parametrize("seed", range(4))
async def test_walk_has_each_remaining_resource_once(organization, target, seed):
    organization.choose.seed(f"{target} {seed}")
    for _ in range(RESOURCES):
        await organization.create()
    get_page = fetch(organization, target)

    await walk(organization, get_page, pages=organization.choose.randint(0, 3))  # abandoned
    listed = set(ids(await get_page(1, 1000)))
    found = await walk(organization, get_page)

    assert len(found) == len(set(found))
    assert listed & organization.resources.keys() <= set(found)


async def create_users(organization: Organization, count: int) -> list[str]:
    """Create users, and return their ids, the newest first."""
    created = [await organization.any_client("POST", "/Users", person()) for _ in range(count)]
    return [each.document["id"] for each in reversed(created)]


async def test_walks_by_two_keys_are_independent(organization, operate, scim, gateways):
    users = await create_users(organization, 6)
    other_token = (await operate.generate_key(organization.id)).token
    by_key = [
        fetch(each, "/Users")
        for each in (
            organization,
            Organization(
                organization.id, [gateways[0].client(scim._session, other_token)], random.Random()
            ),
        )
    ]

    found = [[ids(await by_key[0](1, 2))]]
    await organization.any_client("DELETE", f"/Users/{users.pop(0)}")
    found.append([ids(await by_key[1](1, 2))])
    for pages, get_page in zip(found, by_key, strict=True):
        pages += [ids(await get_page(start, 2)) for start in (3, 5)]

    assert found[0] == [[found[0][0][0], users[0]], users[1:3], users[3:]]
    assert found[1] == [users[:2], users[2:4], users[4:]]


async def test_walks_by_one_key_are_right_at_different_pages(organization):
    users = await create_users(organization, 8)
    get_page = fetch(organization, "/Users")

    ahead = ids(await get_page(1, 2)) + ids(await get_page(3, 2))
    await organization.any_client("DELETE", f"/Users/{users[0]}")
    behind = ids(await get_page(1, 2))
    ahead += ids(await get_page(5, 2))
    await organization.any_client("DELETE", f"/Users/{users[1]}")
    behind += ids(await get_page(3, 2))
    ahead += ids(await get_page(7, 2))
    behind += [*ids(await get_page(5, 2)), *ids(await get_page(7, 2))]

    assert (ahead, behind) == (users, users[1:])


async def test_walks_by_one_key_at_the_same_page_share_its_position(organization):
    users = await create_users(organization, 6)
    get_page = fetch(organization, "/Users")

    first = ids(await get_page(1, 2))
    await organization.any_client("DELETE", f"/Users/{users[0]}")
    await get_page(1, 2)  # another reader begins: it stands before the same index
    assert first + ids(await get_page(3, 2)) == [*users[:2], *users[3:5]]


async def test_page_out_of_sequence_begins_a_walk_of_its_own(organization):
    users = await create_users(organization, 7)
    get_page = fetch(organization, "/Users")

    await get_page(1, 2)
    await organization.any_client("DELETE", f"/Users/{users.pop(0)}")
    page = await get_page(4, 2)
    assert (ids(page), page["totalResults"]) == (users[3:5], 6)
    await organization.any_client("DELETE", f"/Users/{users[0]}")
    page = await get_page(6, 2)
    assert (ids(page), page["totalResults"]) == (users[5:], 6)
