"""Two regions side by side: nothing of one opens, or can be read in, the other."""

import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import uuid4

import grpc
import pytest

from keysvc.domain.key_token import ALPHABET
from tests.support.browser import browser
from tests.support.operators import operator
from tests.support.portal_organization import ENTRA, create_portal_organization
from tests.support.scim import Client, client
from tests.support.stack import Stack

CHECKSUM_DIGITS = 6
LOGS = ("gateway", "usersvc", "keysvc", "postgres")


@dataclass(frozen=True)
class Regions:
    """A customer in each, who are not the same."""

    us: Client
    eu: Client


@pytest.fixture
async def regions(tenant: Stack, eu_tenant: Stack) -> AsyncIterator[Regions]:
    async with client(tenant) as us, client(eu_tenant) as eu:
        yield Regions(us, eu)


def somebody() -> dict[str, object]:
    """A person whose name nobody else has ever had."""
    return {"userName": f"{uuid4().hex}@corp.test", "title": uuid4().hex}


def both(regions: Regions) -> list[tuple[Client, Client]]:
    """Each region with the other."""
    return [(regions.us, regions.eu), (regions.eu, regions.us)]


async def test_key_works_only_in_its_region(regions: Regions):
    for own, other in both(regions):
        with_key = {"Authorization": f"Bearer {own.token}"}
        replies = [await place("GET", "/Users?count=0", **with_key) for place in (own, other)]

        assert [reply.status for reply in replies] == [200, 401]
        assert "belongs to another region" in replies[1].document["detail"]


async def test_key_with_forged_region_works_in_neither(regions: Regions):
    for own, other in both(regions):
        forged = _with_region_of(own.token, other.token)
        assert _with_region_of(own.token, own.token) == own.token  # its checksum fits
        replies = [
            await place("GET", "/Users?count=0", Authorization=f"Bearer {forged}")
            for place in (own, other)
        ]

        assert [reply.status for reply in replies] == [401, 401]


def _with_region_of(token: str, other: str) -> str:
    """The token with the other's region, and with a checksum that fits."""
    text = other[: len("cak_us_")] + token[len("cak_us_") : -CHECKSUM_DIGITS]
    number, checksum = zlib.crc32(text.encode()), ""
    for _ in range(CHECKSUM_DIGITS):
        number, digit = divmod(number, len(ALPHABET))
        checksum = ALPHABET[digit] + checksum
    return text + checksum


async def test_user_is_found_in_one_region_only(regions: Regions):
    for own, other in both(regions):
        person = somebody()
        created = await own("POST", "/Users", person)
        found = f"/Users?filter=userName%20eq%20%22{person['userName'].replace('@', '%40')}%22"

        replies = [await place("GET", found) for place in (own, other)]
        by_id = await other("GET", f"/Users/{created.document['id']}")

        assert [reply.document["totalResults"] for reply in replies] == [1, 0]
        assert by_id.status == 404


async def test_cursor_is_refused_in_other_region(regions: Regions):
    for place in (regions.us, regions.eu):
        for _ in range(3):
            await place("POST", "/Users", somebody())
    for own, other in both(regions):
        first = await own("GET", "/Users?cursor&count=1")
        path = f"/Users?count=1&cursor={first.document['nextCursor']}"

        replies = [await place("GET", path) for place in (own, other)]

        assert [reply.status for reply in replies] == [200, 400]
        assert replies[1].document["scimType"] == "invalidCursor"


async def test_host_header_of_other_region_is_ignored(regions: Regions):
    for own, other in both(regions):
        person = somebody()
        host = urlsplit(other.url).netloc
        created = await own("POST", "/Users", person, Host=host)
        refused = await own(
            "GET", "/Users?count=0", Host=host, Authorization=f"Bearer {other.token}"
        )

        location = created.headers["Location"]
        assert created.status == 201
        assert location.startswith(own.url)  # and not where the header points to
        assert (await other("GET", location.removeprefix(own.url))).status == 404
        assert refused.status == 401


async def test_region_logs_only_its_own_requests(regions: Regions, tenant: Stack, eu_tenant: Stack):
    stacks = {regions.us: tenant, regions.eu: eu_tenant}
    for own, other in both(regions):
        person = somebody()
        created = await own("POST", "/Users", person)
        refused = await other("POST", "/Users", person, Authorization=f"Bearer {own.token}")
        assert (created.status, refused.status) == (201, 401)

        logs = {place: _logs(stacks[place]) for place in (own, other)}

        # The request of each is in its own log, so that what follows can fail.
        assert created.headers["X-Request-Id"] in logs[own]
        assert refused.headers["X-Request-Id"] in logs[other]
        for text in logs.values():
            assert own.token not in text
            assert str(person["userName"]) not in text
            assert str(person["title"]) not in text
        assert created.document["id"] not in logs[other]


async def test_operator_sees_only_organizations_of_own_region(tenant: Stack, eu_tenant: Stack):
    async with operator(tenant) as us, operator(eu_tenant) as eu:
        ours = await us.organization("Only here")

        with pytest.raises(grpc.aio.AioRpcError, match="NOT_FOUND"):
            await eu.key(ours)


def _logs(stack: Stack) -> str:
    return "".join(stack.log(name) for name in LOGS)


async def test_session_and_sign_in_link_are_refused_in_other_region(
    tenant: Stack, eu_tenant: Stack
):
    stacks = {"us": tenant, "eu": eu_tenant}
    for own, other in (("us", "eu"), ("eu", "us")):
        async with (
            operator(stacks[own]) as operate,
            browser(stacks[own].base_url) as here,
            browser(stacks[other].base_url) as there,
        ):
            office = await create_portal_organization(operate, stacks[own])
            await office.sign_in(here)
            assert (await here.get(ENTRA)).status == 200

            there.put_cookie(f"session-{other}", here.cookie(f"session-{own}"))
            assert (await there.get(ENTRA)).status == 303

            # Nor does a link of one region let anybody into the other.
            action, fields = (await there.get("/login/link")).form()
            refused = await there.post(action, fields | {"token": await office.link()})
            assert refused.status == 401


# A response of an identity provider for one region, brought to the other: test_sso_sign_in.py.
