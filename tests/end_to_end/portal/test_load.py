"""Pages when there is too much of something: what is shown, and who is kept out."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import aiohttp
import asyncpg
import pytest
from cloudacademy.users.v1 import users_pb2

from gateway.portal.models.charts import TOO_MANY
from gateway.web.page_limits import ANONYMOUS_SLOTS
from tests.support import raw_http
from tests.support.browser import Browser, Page, browser
from tests.support.gateways import Gateway, running_gateway
from tests.support.operators import Operator
from tests.support.portal_organization import ENTRA, LOG, create_portal_organization
from tests.support.stack import Stack

BURST, PLACES = 30, 4


@pytest.fixture(scope="module")
def strict(tenant: Stack) -> Iterator[Gateway]:
    """A gateway that shows few pages, to an organization and to an address."""
    limits = {"page_rate": 1, "page_burst": BURST, "sign_in_rate": 1, "sign_in_burst": BURST}
    single_sign_on = {
        "saml_key": tenant.places.saml_key,
        "saml_certificate": tenant.places.saml_certificate,
        "tenant_urls": f"us={tenant.url},eu={tenant.url}",
    }
    with running_gateway(
        tenant, proxies=1, max_pages=PLACES, **limits, **single_sign_on
    ) as gateway:
        yield gateway


@asynccontextmanager
async def locked(tenant: Stack, database: str, table: str) -> AsyncIterator[None]:
    """Nobody reads the table meanwhile."""
    connection = await asyncpg.connect(tenant.database_url(database))
    async with connection.transaction():
        await connection.execute(f"LOCK TABLE {table}")
        yield
    await connection.close()


def uncounted(tenant: Stack) -> AbstractAsyncContextManager[None]:
    """Nobody counts the log to its end meanwhile."""
    return locked(tenant, "users", "changes")


class PortalOrganizations:
    """New organizations whose administrators have opened a page of the strict gateway."""

    def __init__(self, operate: Operator, tenant: Stack, gateway: Gateway) -> None:
        self._operate = operate
        self._tenant = tenant
        self._gateway = gateway
        self._number = 0

    @asynccontextmanager
    async def open(self, name: str) -> AsyncIterator[tuple[Browser, str]]:
        """A browser that is signed in, and the organization."""
        portal_org = await create_portal_organization(self._operate, self._tenant, name)
        async with browser(self._gateway.base_url) as opened:
            await portal_org.sign_in(opened)
            assert (await opened.get("/people/")).status == 200
            yield opened, portal_org.organization_id


@pytest.fixture
def portal_orgs(operate: Operator, tenant: Stack, strict: Gateway) -> PortalOrganizations:
    return PortalOrganizations(operate, tenant, strict)


async def flood(visitor: Browser, path: str, number: int, **headers: str) -> list[Page]:
    return await asyncio.gather(*(visitor.get(path, **headers) for _ in range(number)))


async def opened(visitor: Browser, path: str, number: int) -> list[Page]:
    """So many pages, one after the other."""
    return [await visitor.get(path) for _ in range(number)]


def statuses(pages: list[Page]) -> Counter[int]:
    return Counter(page.status for page in pages)


async def test_a_page_is_shown_without_what_takes_too_long_to_count(
    ours: Browser, operate: Operator, tenant: Stack
):
    portal_org = await create_portal_organization(operate, tenant)
    await portal_org.sign_in(ours)
    async with uncounted(tenant):
        page = await ours.get(ENTRA)

    assert page.status == 200
    assert TOO_MANY in page.text
    assert "Nothing was changed" not in page.text


async def raw(gateway: Gateway, *lines: str) -> int:
    """The status of a request of these lines, in which a character is a byte."""
    connection = await raw_http.connect(gateway.address)
    head = [*lines, "Host: a", "Connection: close", "", ""]
    connection.send("\r\n".join(head).encode("latin-1"))
    status, _ = await connection.head()
    connection.close()
    return status


async def test_a_session_that_is_no_text_counts_and_is_none(strict: Gateway):
    faults = len(strict.told("internal error"))
    cookie = "Cookie: session-us=\xff\xfe"
    head = ("GET /people/ HTTP/1.1", "X-Forwarded-For: 192.0.2.9", cookie)
    answers = [await raw(strict, *head) for _ in range(2 * BURST)]

    assert Counter(answers).keys() == {303, 429}
    assert len(strict.told("internal error")) == faults


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET /login/link", 200),
        ("GET /login/nothing", 404),
        ("POST /login/nothing", 404),
        ("POST /login/link", 403),
    ],
)
async def test_a_form_that_is_bound_to_no_text_is_bound_to_nothing(
    strict: Gateway, line: str, status: int
):
    faults = len(strict.told("internal error"))
    head = (f"{line} HTTP/1.1", "X-Forwarded-For: 192.0.2.8")

    assert await raw(strict, *head, "Cookie: form-us=\xff\xfe") == status
    assert len(strict.told("internal error")) == faults


async def test_who_opens_pages_without_end_is_told_to_wait_and_the_next_organization_is_not(
    portal_orgs: PortalOrganizations, operate: Operator, strict: Gateway
):
    async with (
        portal_orgs.open("Greedy") as (greedy, greedy_id),
        portal_orgs.open("Modest") as (modest, _),
    ):
        flooded, served = await asyncio.gather(
            opened(greedy, "/people/?q=x", 3 * BURST), opened(modest, "/people/", BURST // 3)
        )
        async with aiohttp.ClientSession() as session:
            key = await operate.key(greedy_id)
            scim = await strict.client(session, key.token)("GET", "/Users?count=1")

    assert statuses(flooded).keys() == {200, 429}
    assert BURST - 1 <= statuses(flooded)[200] < 2 * BURST
    assert statuses(served) == {200: BURST // 3}
    assert scim.status == 200  # which has limits of its own
    told = next(page for page in flooded if page.status == 429)
    assert int(told.headers["Retry-After"]) >= 1
    assert told.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "Too many pages were opened" in told.text


async def test_one_whose_pages_take_long_keeps_no_other_from_theirs(
    portal_orgs: PortalOrganizations, tenant: Stack, operate: Operator, strict: Gateway
):
    async with (
        portal_orgs.open("Greedy") as (greedy, greedy_id),
        portal_orgs.open("Modest") as (modest, _),
        uncounted(tenant),
        aiohttp.ClientSession() as session,
    ):
        flooded = [asyncio.create_task(greedy.get(ENTRA)) for _ in range(BURST - 5)]
        await asyncio.wait(flooded, return_when=asyncio.FIRST_COMPLETED)  # no room is left
        page = await modest.get("/people/")
        key = await operate.key(greedy_id)
        scim = await strict.client(session, key.token)("GET", "/Users?count=1")
        still_open = [each for each in flooded if not each.done()]
        pages = await asyncio.gather(*flooded)

    assert (page.status, scim.status) == (200, 200)
    assert len(still_open) >= PLACES // 2
    assert statuses(pages) == {200: PLACES // 2, 503: BURST - 5 - PLACES // 2}
    told = next(page for page in pages if page.status == 503)
    assert told.headers["Retry-After"] == "2"
    assert "Too many pages are opened at the moment" in told.text
    assert "file" not in told.text


async def test_of_files_an_organization_gets_two_at_once(
    portal_orgs: PortalOrganizations, tenant: Stack, strict: Gateway
):
    async with portal_orgs.open("Greedy") as (greedy, _), uncounted(tenant):
        pages = await flood(greedy, f"{LOG}.csv", 12)

    assert statuses(pages)[503] >= 10
    told = next(page for page in pages if page.status == 503)
    assert "two files with its log at once" in told.text
    assert "Too many files are sent at the moment" in told.text


async def test_before_signing_in_an_address_waits_and_no_other_nor_who_has_signed_in(
    portal_orgs: PortalOrganizations, strict: Gateway
):
    here, elsewhere = {"X_Forwarded_For": "192.0.2.1"}, {"X_Forwarded_For": "192.0.2.2"}
    async with portal_orgs.open("Modest") as (modest, _), browser(strict.base_url) as stranger:
        flooded = await flood(stranger, "/login/", 3 * BURST, **here)
        made_up = await stranger.get("/people/", **here, Cookie="session-us=made-up")
        sign_on = await stranger.get("/login/enterprise/", **here)
        others = await stranger.get("/login/", **elsewhere)
        signed_in = await modest.get("/people/", **here)

    assert statuses(flooded).keys() == {200, 429}
    assert BURST <= statuses(flooded)[200] < 2 * BURST
    assert [each.status for each in (made_up, sign_on)] == [429, 429]
    assert int(sign_on.headers["Retry-After"]) >= 1
    assert "Too many sign-ins were begun from this address" in sign_on.text
    assert [each.status for each in (others, signed_in)] == [200, 200]


async def test_sign_ins_of_one_address_that_take_long_keep_no_other_from_theirs(
    strict: Gateway, tenant: Stack
):
    """Nor does keysvc, which SCIM's keys are asked of, get more of them at once."""
    here, elsewhere = {"X_Forwarded_For": "192.0.2.3"}, {"X_Forwarded_For": "192.0.2.4"}
    form, places = {"email": "ann@nobody.test", "next": ""}, ANONYMOUS_SLOTS // 2
    async with browser(strict.base_url) as stranger:
        async with locked(tenant, "keys", "sso_domains"):
            flood = [
                asyncio.create_task(stranger.post("/login/enterprise/", form, **here))
                for _ in range(BURST - 5)
            ]
            ends = asyncio.as_completed(flood)
            first = await next(ends)  # no room is left
            page = await stranger.get("/login/enterprise/", **elsewhere)
            busy = [first, *[await next(ends) for _ in range(BURST - 6 - places)]]
        pages = await asyncio.gather(*flood)

    assert page.status == 200
    assert statuses(pages) == {404: places, 503: len(busy)}
    assert all("Too many people sign in" in page.text for page in busy)
    assert {page.headers["Retry-After"] for page in busy} == {"2"}


async def test_person_too_large_to_show_is_a_problem_page(
    ours: Browser, operate: Operator, tenant: Stack
):
    portal_org = await create_portal_organization(operate, tenant)
    values = [users_pb2.TypedValue(value="x" * 4_000) for _ in range(200)]
    large = await portal_org.person(user_name="large@corp.test", photos=values)
    await portal_org.sign_in(ours)
    page = await ours.get(f"/people/{large.id}")

    assert page.status == 400  # RFC 7644 section 3.4.2.4: too much to process
    assert "too many values" in page.text
