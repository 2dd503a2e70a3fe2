"""Two regions share nothing: each refuses credentials of the other, and has none of its data."""

import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import uuid4

import grpc
import pytest

from keysvc.domain.key_token import ALPHABET
from tests.support.browser import open_browser
from tests.support.operators import operator
from tests.support.portal_organization import ENTRA, create_portal_organization
from tests.support.scim import Client, client
from tests.support.stack import Stack

CHECKSUM_DIGITS = 6
LOGS = ("gateway", "usersvc", "keysvc", "postgres")


@dataclass(frozen=True)
class Regions:
    """Two clients, one for each region. Each has the API key of an organization in its region."""

    us: Client
    eu: Client


@pytest.fixture
async def regions(tenant: Stack, eu_tenant: Stack) -> AsyncIterator[Regions]:
    async with client(tenant) as us, client(eu_tenant) as eu:
        yield Regions(us, eu)


def new_user() -> dict[str, object]:
    """A user with a unique name."""
    return {"userName": f"{uuid4().hex}@corp.test", "title": uuid4().hex}


def own_and_other(regions: Regions) -> list[tuple[Client, Client]]:
    """The client of each region, paired with that of the other."""
    return [(regions.us, regions.eu), (regions.eu, regions.us)]


async def test_key_works_only_in_its_region(regions: Regions):
    for own, other in own_and_other(regions):
        with_key = {"Authorization": f"Bearer {own.token}"}
        replies = [await scim("GET", "/Users?count=0", **with_key) for scim in (own, other)]

        assert [reply.status for reply in replies] == [200, 401]
        assert "belongs to another region" in replies[1].document["detail"]


async def test_key_with_forged_region_works_in_neither(regions: Regions):
    for own, other in own_and_other(regions):
        forged = _with_region_of(own.token, other.token)
        assert _with_region_of(own.token, own.token) == own.token  # the computed checksum is valid
        replies = [
            await scim("GET", "/Users?count=0", Authorization=f"Bearer {forged}")
            for scim in (own, other)
        ]

        assert [reply.status for reply in replies] == [401, 401]


def _with_region_of(token: str, other: str) -> str:
    """The token with the region of the other one, and a valid checksum."""
    text = other[: len("cak_us_")] + token[len("cak_us_") : -CHECKSUM_DIGITS]
    number, checksum = zlib.crc32(text.encode()), ""
    for _ in range(CHECKSUM_DIGITS):
        number, digit = divmod(number, len(ALPHABET))
        checksum = ALPHABET[digit] + checksum
    return text + checksum


async def test_user_is_found_in_one_region_only(regions: Regions):
    for own, other in own_and_other(regions):
        user = new_user()
        created = await own("POST", "/Users", user)
        path = f"/Users?filter=userName%20eq%20%22{user['userName'].replace('@', '%40')}%22"

        replies = [await scim("GET", path) for scim in (own, other)]
        by_id = await other("GET", f"/Users/{created.document['id']}")

        assert [reply.document["totalResults"] for reply in replies] == [1, 0]
        assert by_id.status == 404


async def test_cursor_is_refused_in_other_region(regions: Regions):
    for scim in (regions.us, regions.eu):
        for _ in range(3):
            await scim("POST", "/Users", new_user())
    for own, other in own_and_other(regions):
        first = await own("GET", "/Users?cursor&count=1")
        path = f"/Users?count=1&cursor={first.document['nextCursor']}"

        replies = [await scim("GET", path) for scim in (own, other)]

        assert [reply.status for reply in replies] == [200, 400]
        assert replies[1].document["scimType"] == "invalidCursor"


async def test_host_header_of_other_region_is_ignored(regions: Regions):
    for own, other in own_and_other(regions):
        user = new_user()
        host = urlsplit(other.url).netloc
        created = await own("POST", "/Users", user, Host=host)
        refused = await own(
            "GET", "/Users?count=0", Host=host, Authorization=f"Bearer {other.token}"
        )

        location = created.headers["Location"]
        assert created.status == 201
        assert location.startswith(own.url)  # not the host of the header
        assert (await other("GET", location.removeprefix(own.url))).status == 404
        assert refused.status == 401


async def test_region_logs_only_its_own_requests(regions: Regions, tenant: Stack, eu_tenant: Stack):
    stacks = {regions.us: tenant, regions.eu: eu_tenant}
    for own, other in own_and_other(regions):
        user = new_user()
        created = await own("POST", "/Users", user)
        refused = await other("POST", "/Users", user, Authorization=f"Bearer {own.token}")
        assert (created.status, refused.status) == (201, 401)

        logs = {scim: _logs(stacks[scim]) for scim in (own, other)}

        # Each region has logged its request, so the assertions below search the right logs.
        assert created.headers["X-Request-Id"] in logs[own]
        assert refused.headers["X-Request-Id"] in logs[other]
        for text in logs.values():
            assert own.token not in text
            assert str(user["userName"]) not in text
            assert str(user["title"]) not in text
        assert created.document["id"] not in logs[other]


async def test_operator_sees_only_organizations_of_own_region(tenant: Stack, eu_tenant: Stack):
    async with operator(tenant) as us, operator(eu_tenant) as eu:
        organization_id = await us.create_organization()

        with pytest.raises(grpc.aio.AioRpcError, match="NOT_FOUND"):
            await eu.generate_key(organization_id)


def _logs(stack: Stack) -> str:
    return "".join(stack.log(name) for name in LOGS)


async def test_session_and_sign_in_link_are_refused_in_other_region(
    tenant: Stack, eu_tenant: Stack
):
    stacks = {"us": tenant, "eu": eu_tenant}
    for own, other in (("us", "eu"), ("eu", "us")):
        async with (
            operator(stacks[own]) as operate,
            open_browser(stacks[own].base_url) as own_browser,
            open_browser(stacks[other].base_url) as other_browser,
        ):
            portal_org = await create_portal_organization(operate, stacks[own])
            await portal_org.sign_in(own_browser)
            assert (await own_browser.get(ENTRA)).status == 200

            other_browser.put_cookie(f"session-{other}", own_browser.cookie(f"session-{own}"))
            assert (await other_browser.get(ENTRA)).status == 303

            # A sign-in link of one region does not work in the other.
            action, fields = (await other_browser.get("/login/link")).form()
            refused = await other_browser.post(
                action, fields | {"token": await portal_org.create_link_token()}
            )
            assert refused.status == 401


# tests/end_to_end/sso/test_sign_in.py tests a SAML response that is sent to the other region.
