"""Pages under load: costly counts, rate limits, slots, and isolation between organizations."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import aiohttp
import asyncpg
import pytest
from cloudacademy.users.v1 import users_pb2

from gateway.portal.models.charts import NOT_COUNTED
from gateway.web.page_limits import ANONYMOUS_SLOTS
from tests.support import raw_http
from tests.support.browser import Browser, Page, open_browser
from tests.support.gateways import Gateway, running_gateway
from tests.support.operators import Operator
from tests.support.portal_organization import ENTRA, LOG, create_portal_organization
from tests.support.stack import Stack

BURST, SLOTS = 30, 4


@pytest.fixture(scope="module")
def strict(tenant: Stack) -> Iterator[Gateway]:
    """A gateway with low limits per organization and per address."""
    limits = {"page_rate": 1, "page_burst": BURST, "sign_in_rate": 1, "sign_in_burst": BURST}
    single_sign_on = {
        "saml_key": tenant.paths.saml_key,
        "saml_certificate": tenant.paths.saml_certificate,
        "tenant_urls": f"us={tenant.url},eu={tenant.url}",
    }
    with running_gateway(tenant, proxies=1, max_pages=SLOTS, **limits, **single_sign_on) as gateway:
        yield gateway


@asynccontextmanager
async def locked(tenant: Stack, database: str, table: str) -> AsyncIterator[None]:
    """Lock a table, so that queries on it wait."""
    connection = await asyncpg.connect(tenant.database_url(database))
    async with connection.transaction():
        await connection.execute(f"LOCK TABLE {table}")
        yield
    await connection.close()


def slow_counts(tenant: Stack) -> AbstractAsyncContextManager[None]:
    """Lock the log's table, so that counts time out."""
    return locked(tenant, "users", "changes")


class PortalOrganizations:
    """Creates organizations whose administrator is signed in at the strict gateway."""

    def __init__(self, operate: Operator, tenant: Stack, gateway: Gateway) -> None:
        self._operate = operate
        self._tenant = tenant
        self._gateway = gateway
        self._number = 0

    @asynccontextmanager
    async def open(self, name: str) -> AsyncIterator[tuple[Browser, str]]:
        """A signed-in browser, and the id of its organization."""
        portal_org = await create_portal_organization(self._operate, self._tenant, name)
        async with open_browser(self._gateway.base_url) as opened:
            await portal_org.sign_in(opened)
            assert (await opened.get("/people/")).status == 200
            yield opened, portal_org.organization_id


@pytest.fixture
def portal_orgs(operate: Operator, tenant: Stack, strict: Gateway) -> PortalOrganizations:
    return PortalOrganizations(operate, tenant, strict)


async def flood(client: Browser, path: str, number: int, **headers: str) -> list[Page]:
    return await asyncio.gather(*(client.get(path, **headers) for _ in range(number)))


async def open_pages(client: Browser, path: str, number: int) -> list[Page]:
    """Open a page a number of times, one after the other."""
    return [await client.get(path) for _ in range(number)]


def statuses(pages: list[Page]) -> Counter[int]:
    return Counter(page.status for page in pages)


async def test_page_is_shown_without_counts_that_take_too_long(
    browser: Browser, operate: Operator, tenant: Stack
):
    portal_org = await create_portal_organization(operate, tenant)
    await portal_org.sign_in(browser)
    async with slow_counts(tenant):
        page = await browser.get(ENTRA)

    assert page.status == 200
    assert NOT_COUNTED in page.text
    assert "No changes." not in page.text


async def raw_status(gateway: Gateway, *lines: str) -> int:
    """The status of a request with these header lines, encoded as Latin-1."""
    connection = await raw_http.connect(gateway.address)
    head = [*lines, "Host: a", "Connection: close", "", ""]
    connection.send("\r\n".join(head).encode("latin-1"))
    status, _ = await connection.head()
    connection.close()
    return status


async def test_session_cookie_in_invalid_utf8_is_ignored_and_rate_limited(strict: Gateway):
    errors = len(strict.log_lines("internal error"))
    cookie = "Cookie: session-us=\xff\xfe"
    head = ("GET /people/ HTTP/1.1", "X-Forwarded-For: 192.0.2.9", cookie)
    codes = [await raw_status(strict, *head) for _ in range(2 * BURST)]

    assert Counter(codes).keys() == {303, 429}
    assert len(strict.log_lines("internal error")) == errors


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET /login/link", 200),
        ("GET /login/nothing", 404),
        ("POST /login/nothing", 404),
        ("POST /login/link", 403),
    ],
)
async def test_form_cookie_in_invalid_utf8_is_ignored(strict: Gateway, line: str, status: int):
    errors = len(strict.log_lines("internal error"))
    head = (f"{line} HTTP/1.1", "X-Forwarded-For: 192.0.2.8")

    assert await raw_status(strict, *head, "Cookie: form-us=\xff\xfe") == status
    assert len(strict.log_lines("internal error")) == errors


async def test_organization_over_its_page_rate_is_429_and_others_are_not(
    portal_orgs: PortalOrganizations, operate: Operator, strict: Gateway
):
    async with (
        portal_orgs.open("Greedy") as (greedy, greedy_id),
        portal_orgs.open("Modest") as (modest, _),
    ):
        flooded, served = await asyncio.gather(
            open_pages(greedy, "/people/?q=x", 3 * BURST),
            open_pages(modest, "/people/", BURST // 3),
        )
        async with aiohttp.ClientSession() as session:
            key = await operate.generate_key(greedy_id)
            scim = await strict.client(session, key.token)("GET", "/Users?count=1")

    assert statuses(flooded).keys() == {200, 429}
    assert BURST - 1 <= statuses(flooded)[200] < 2 * BURST
    assert statuses(served) == {200: BURST // 3}
    assert scim.status == 200  # SCIM has its own limits
    rejected = next(page for page in flooded if page.status == 429)
    assert int(rejected.headers["Retry-After"]) >= 1
    assert rejected.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "Too many requests" in rejected.text


async def test_slow_pages_of_one_organization_do_not_block_others(
    portal_orgs: PortalOrganizations, tenant: Stack, operate: Operator, strict: Gateway
):
    async with (
        portal_orgs.open("Greedy") as (greedy, greedy_id),
        portal_orgs.open("Modest") as (modest, _),
        slow_counts(tenant),
        aiohttp.ClientSession() as session,
    ):
        flooded = [asyncio.create_task(greedy.get(ENTRA)) for _ in range(BURST - 5)]
        await asyncio.wait(flooded, return_when=asyncio.FIRST_COMPLETED)  # all slots are in use
        page = await modest.get("/people/")
        key = await operate.generate_key(greedy_id)
        scim = await strict.client(session, key.token)("GET", "/Users?count=1")
        still_open = [each for each in flooded if not each.done()]
        pages = await asyncio.gather(*flooded)

    assert (page.status, scim.status) == (200, 200)
    assert len(still_open) >= SLOTS // 2
    assert statuses(pages) == {200: SLOTS // 2, 503: BURST - 5 - SLOTS // 2}
    rejected = next(page for page in pages if page.status == 503)
    assert rejected.headers["Retry-After"] == "2"
    assert "The portal is busy" in rejected.text
    assert "log files" not in rejected.text


async def test_organization_gets_two_concurrent_downloads(
    portal_orgs: PortalOrganizations, tenant: Stack, strict: Gateway
):
    async with portal_orgs.open("Greedy") as (greedy, _), slow_counts(tenant):
        pages = await flood(greedy, f"{LOG}.csv", 12)

    assert statuses(pages)[503] >= 10
    rejected = next(page for page in pages if page.status == 503)
    assert "two log files at a time" in rejected.text
    assert "Too many downloads" in rejected.text


async def test_address_over_its_rate_is_429_and_sessions_there_are_not(
    portal_orgs: PortalOrganizations, strict: Gateway
):
    here, elsewhere = {"X_Forwarded_For": "192.0.2.1"}, {"X_Forwarded_For": "192.0.2.2"}
    async with (
        portal_orgs.open("Modest") as (modest, _),
        open_browser(strict.base_url) as anonymous,
    ):
        flooded = await flood(anonymous, "/login/", 3 * BURST, **here)
        made_up = await anonymous.get("/people/", **here, Cookie="session-us=made-up")
        sign_on = await anonymous.get("/login/enterprise/", **here)
        others = await anonymous.get("/login/", **elsewhere)
        signed_in = await modest.get("/people/", **here)

    assert statuses(flooded).keys() == {200, 429}
    assert BURST <= statuses(flooded)[200] < 2 * BURST
    assert [each.status for each in (made_up, sign_on)] == [429, 429]
    assert int(sign_on.headers["Retry-After"]) >= 1
    assert "Too many sign-ins were started from your network" in sign_on.text
    assert [each.status for each in (others, signed_in)] == [200, 200]


async def test_slow_sign_ins_of_one_address_do_not_block_others(strict: Gateway, tenant: Stack):
    """The limit also protects keysvc, which verifies the keys of SCIM requests."""
    here, elsewhere = {"X_Forwarded_For": "192.0.2.3"}, {"X_Forwarded_For": "192.0.2.4"}
    slots = ANONYMOUS_SLOTS // 2
    async with open_browser(strict.base_url) as anonymous:
        _, form = (await anonymous.get("/login/enterprise/", **elsewhere)).form()
        form["email"] = "ann@nobody.test"
        async with locked(tenant, "keys", "sso_domains"):
            flood = [
                asyncio.create_task(anonymous.post("/login/enterprise/", form, **here))
                for _ in range(BURST - 5)
            ]
            completed = asyncio.as_completed(flood)
            first = await next(completed)  # all slots are in use
            page = await anonymous.get("/login/enterprise/", **elsewhere)
            busy = [first, *[await next(completed) for _ in range(BURST - 6 - slots)]]
        pages = await asyncio.gather(*flood)

    assert page.status == 200
    assert statuses(pages) == {404: slots, 503: len(busy)}
    assert all("Too many people are signing in" in page.text for page in busy)
    assert {page.headers["Retry-After"] for page in busy} == {"2"}


async def test_person_too_large_to_show_gets_an_error_page(
    browser: Browser, operate: Operator, tenant: Stack
):
    portal_org = await create_portal_organization(operate, tenant)
    values = [users_pb2.TypedValue(value="x" * 4_000) for _ in range(200)]
    large = await portal_org.create_person(user_name="large@corp.test", photos=values)
    await portal_org.sign_in(browser)
    page = await browser.get(f"/people/{large.id}")

    assert page.status == 400  # RFC 7644 section 3.4.2.4: too much to process
    assert "too much data to show" in page.text
