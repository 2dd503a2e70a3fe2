"""The portal in a real browser: connecting Entra, accessibility, and use without scripts.

If PORTAL_SCREENSHOTS is a folder, as in `make screenshots`, the tests save screenshots there.
"""

import os
import re
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Page, expect

from gateway.portal.models.providers import OKTA, PROVIDERS
from tests.support.chromium import assert_accessible
from tests.support.operators import Operator
from tests.support.pages import SIZES, clipboard_text, opened_page, sign_in
from tests.support.portal_organization import (
    ENTRA,
    LOG,
    PortalOrganization,
    create_portal_organization,
)
from tests.support.scim import Client
from tests.support.stack import Stack
from tools.entra.cycle import Options, run
from tools.entra.dialects import Dialect

SCREENSHOTS = os.environ.get("PORTAL_SCREENSHOTS")


async def screenshot(page: Page, name: str, *, full: bool = False, height: int = 860) -> None:
    """Save a screenshot, if PORTAL_SCREENSHOTS is set."""
    if SCREENSHOTS:
        size = page.viewport_size
        assert size is not None
        await page.set_viewport_size(size | {"height": height})
        await page.evaluate("document.activeElement?.blur()")
        await page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png", full_page=full)
        await page.set_viewport_size(size)


@pytest.fixture
async def portal_org(operate: Operator, tenant: Stack) -> PortalOrganization:
    return await create_portal_organization(operate, tenant)


async def generate_key(page: Page) -> str:
    """Generate an API key, and copy it."""
    await page.goto(ENTRA)
    await page.get_by_role("link", name="Generate a new API Key").click()
    await page.get_by_role("button", name="Generate a new API Key").click()
    await page.get_by_role("button", name="Copy Secret Token").click()
    return await clipboard_text(page)


def cycle_options(tenant: Stack, token: str, people: int) -> Options:
    return Options(
        url=tenant.url,
        token=token,
        people=people,
        seed=3,
        rate=None,
        connections=8,
        dialect=Dialect.MIXED,
    )


@pytest.mark.timeout(240)
async def test_administrator_connects_entra_and_rotates_the_key(
    tenant: Stack, portal_org: PortalOrganization, operate: Operator
):
    async with opened_page(tenant) as page:
        await sign_in(page, portal_org)
        assert "#" not in page.url

        # Deactivate and activate the integration, which is active in a new organization.
        await page.get_by_role("link", name="Settings & Integrations").click()
        await page.get_by_role("link", name=re.compile("View Integration")).first.click()
        await page.get_by_role("link", name="Deactivate").click()
        await page.get_by_role("button", name="Deactivate").click()
        await expect(page.get_by_text("The integration is inactive").first).to_be_visible()
        await page.get_by_role("button", name="Activate").click()
        await expect(page.get_by_text("The integration is active").first).to_be_visible()

        # Copy the Tenant URL, and generate a key.
        await page.get_by_role("button", name="Copy Tenant URL").click()
        assert await clipboard_text(page) == tenant.url
        first = await generate_key(page)
        assert first.startswith("cak_us_")
        await screenshot(page, "new-key")
        await page.reload()  # sends the form again
        await expect(page.get_by_text("An API key has already been generated")).to_be_visible()

        # Entra provisions people, and the open log shows the entries.
        await page.goto(LOG)
        await expect(page.locator("[data-entry]")).to_have_count(1)  # the administrator
        summary = await run(cycle_options(tenant, first, 40))
        assert summary.succeeded
        await expect(page.locator("[data-entry]").nth(40)).to_be_attached()
        await expect(page.get_by_text("A cycle is running.")).to_be_visible()
        # The health and cycle parts of the page are updated too.
        await expect(page.get_by_text("Waiting for Entra")).to_have_count(0)
        await expect(page.get_by_text("Entra has not connected yet.")).to_have_count(0)
        await page.get_by_text("Last 24 hours as a table").click()
        table = page.get_by_role("region", name="Last 24 hours as a table")
        await expect(table.locator("td").get_by_text(re.compile(r"^\d\d+$"))).to_be_visible()
        await page.get_by_text("Last 24 hours as a table").click()

        # A failed request, with its reason and advice. Entra sends no User-Agent.
        async with aiohttp.ClientSession(skip_auto_headers=("User-Agent",)) as session:
            scim = Client(session, tenant.url, first)
            created = await scim("POST", "/Users", {"userName": "ann@corp.test"})
            assert created.status == 201
            reply = await scim("POST", "/Users", {"userName": "ANN@corp.test"})
            assert reply.status == 409
        await expect(page.locator("tr.refused").first).to_be_visible()
        await screenshot(page, "log", height=1080)
        await page.get_by_label("Result").select_option("Failure")
        await page.get_by_role("button", name="Search").click()
        row = page.locator("tr.refused")
        await expect(row).to_have_count(1)
        await row.get_by_role("link").first.click()
        drawer = page.get_by_role("dialog")
        await expect(drawer.get_by_text(reply.document["detail"])).to_be_visible()
        await expect(drawer.get_by_text("What to do", exact=True)).to_be_visible()
        await screenshot(page, "log-entry")
        await drawer.get_by_text("Copy as curl").first.click()
        command = await drawer.get_by_label("Command").input_value()
        assert "$SECRET_TOKEN" in command
        assert first not in await page.content()
        await page.keyboard.press("Escape")
        await expect(drawer).to_be_hidden()

        # A second key: the old key expires in 8 hours.
        second = await generate_key(page)
        async with aiohttp.ClientSession() as session:
            assert (await Client(session, tenant.url, first)("GET", "/Users?count=1")).status == 200
        await page.goto(ENTRA)
        countdown = page.locator("[data-countdown]")
        await expect(countdown).to_have_text(re.compile(r"Expires in (8 h|7 h 59 min)"))
        await screenshot(page, "integration", full=True)

        # Revoke the old key, after a confirmation.
        row = page.get_by_role("row").filter(has=countdown)
        await row.get_by_role("link", name=re.compile("Revoke")).click()
        await page.get_by_role("button", name=re.compile("Revoke key")).click()
        await expect(page.get_by_text("Revoked", exact=True)).to_be_visible()
        async with aiohttp.ClientSession() as session:
            old, new = Client(session, tenant.url, first), Client(session, tenant.url, second)
            assert (await old("GET", "/Users?count=1")).status == 401
            assert (await new("GET", "/Users?count=1")).status == 200

        # The audit trail, and the refused key in the log.
        await page.get_by_role("link", name="Audit trail").click()
        await expect(page.get_by_text("127.0.0.1").first).to_be_visible()
        await screenshot(page, "audit")
        await page.goto(LOG)
        refused = "A request used a revoked API key"
        await expect(page.get_by_text(refused).first).to_be_visible()

        # The page of a person.
        await page.goto("/people/?q=ann%40corp.test")
        await page.locator("main").get_by_role("link", name="ann@corp.test").first.click()
        await expect(page.get_by_text("was created").first).to_be_visible()
        await screenshot(page, "person")

        # Sign out.
        await page.get_by_role("button", name="Sign out").click()
        await page.goto("/dashboard/")
        assert "/login/" in page.url
    secrets = (first, second)
    assert not [each for each in secrets if each in tenant.log("gateway") + tenant.log("usersvc")]


PAGES = (
    "/settings/sessions/",
    "/dashboard/",
    "/settings/integrations/",
    *(each.path for each in PROVIDERS),
    *(f"{each.path}{page}" for each in PROVIDERS for page in ("keys/new", "deactivate")),
    f"{OKTA.path}log",
    LOG,
    f"{LOG}?q=nobody",
    f"{ENTRA}audit",
    "/settings/integrations/sso/",
    "/settings/integrations/sso/deactivate",
    "/people/",
    "/groups/",
    "/settings/nothing",
)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
async def test_every_page_passes_axe_and_fits_the_screen(
    tenant: Stack, portal_org: PortalOrganization, operate: Operator, size: str, scheme: str
):
    key = await operate.generate_key(portal_org.organization_id)
    async with aiohttp.ClientSession() as session:
        scim = Client(session, tenant.url, key.token)
        ann = (await scim("POST", "/Users", {"userName": "ann@corp.test", "title": "Dr."})).document
        change = {"Operations": [{"op": "Replace", "path": "title", "value": "Prof."}]}
        await scim("PATCH", f"/Users/{ann['id']}", change)
        group = {"displayName": "Staff", "members": [{"value": ann["id"]}]}
        staff = (await scim("POST", "/Groups", group)).document
        await scim("POST", "/Users", {"userName": "ann@corp.test"})
    async with opened_page(tenant, size, scheme) as page:
        for path in ("/login/", "/login/link"):
            await page.goto(path)
            await assert_accessible(page)
        await sign_in(page, portal_org)
        await page.goto(f"{LOG}?result=failure")
        await expect(page.locator("tr.refused")).to_have_count(1)
        entry = await page.locator("tr.refused a").first.get_attribute("href")
        details = (entry, f"/people/{ann['id']}", f"/groups/{staff['id']}")
        for path in (*PAGES, *details, f"{ENTRA}keys/{key.key.id}/revoke"):
            await page.goto(path)
            await assert_accessible(page)
            excess = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert excess <= 0, f"{path} is wider than the screen by {excess} pixels"
        await page.goto(LOG)
        await page.locator("tr.refused a").first.click()
        await page.get_by_role("dialog").get_by_text("What to do", exact=True).wait_for()
        await assert_accessible(page)
        await page.goto(f"{ENTRA}keys/new")
        await page.get_by_role("button", name="Generate a new API Key").click()
        await page.get_by_label("Secret Token").wait_for()
        await assert_accessible(page)
        if scheme == "dark" and size == "phone":
            await page.goto(ENTRA)
            await screenshot(page, "phone-dark", full=True)


async def test_pages_work_without_scripts(tenant: Stack, portal_org: PortalOrganization):
    async with opened_page(tenant, script=False) as page:
        await page.goto("/login/link")
        await page.get_by_label(re.compile("link", re.IGNORECASE)).fill(
            f"{tenant.base_url}/login/link#{await portal_org.create_link_token()}"
        )
        await page.get_by_role("button", name="Continue").click()
        await page.get_by_role("button", name="Sign in as").click()
        await page.get_by_role("heading", name="Dashboard").wait_for()
        await page.goto(f"{ENTRA}keys/new")
        await page.get_by_role("button", name="Generate a new API Key").click()
        assert (await page.get_by_label("Secret Token").input_value()).startswith("cak_us_")
        await page.goto(LOG)
        await page.get_by_role("link", name="Refresh").click()
        await page.get_by_label("Person or group").fill("nobody")
        await page.get_by_role("button", name="Search").click()
        await expect(page.get_by_text("No entries match your search.")).to_be_visible()


async def test_keyboard_skips_to_the_content(tenant: Stack, portal_org: PortalOrganization):
    async with opened_page(tenant) as page:
        await sign_in(page, portal_org)
        await page.keyboard.press("Tab")
        skip = await page.evaluate("document.activeElement.textContent")
        assert "Skip" in skip
        await page.keyboard.press("Enter")
        assert await page.evaluate("document.activeElement.id") == "main"
