"""Identity providers other than Entra: their pages in Chromium, and their names in the log."""

import csv
import io
import json
import re
from collections.abc import Mapping

import pytest
from playwright.async_api import Page, expect

from gateway.portal.models.providers import OKTA, OTHER, PROVIDERS, Provider
from gateway.provisioning_log import clients
from tests.support.browser import Browser
from tests.support.operators import Operator
from tests.support.pages import clipboard_text, opened_page, sign_in
from tests.support.portal_organization import (
    ENTRA,
    LOG,
    PortalOrganization,
    create_portal_organization,
)
from tests.support.scim import Client
from tests.support.stack import Stack
from tests.support.waiting import eventually

OKTA_AGENT = "Okta SCIM Client 1.0.0"
HOSTILE = "<script>alert(1)</script>=cmd|' /C calc'!A0\u00a7"


@pytest.fixture
async def portal_org(operate: Operator, tenant: Stack) -> PortalOrganization:
    return await create_portal_organization(operate, tenant)


@pytest.fixture
async def org_scim(operate: Operator, portal_org: PortalOrganization, scim: Client) -> Client:
    key = await operate.generate_key(portal_org.organization_id)
    return Client(scim._session, scim.url, key.token)


async def generate_key(page: Page, provider: Provider) -> str:
    """Generate an API key on the pages of a provider, and copy it."""
    await page.get_by_role("link", name="Generate a new API Key").click()
    await page.get_by_role("button", name="Generate a new API Key").click()
    await page.get_by_role("button", name=f"Copy {provider.secret_label}").click()
    return await clipboard_text(page)


@pytest.mark.timeout(120)
async def test_administrator_connects_okta_with_its_labels_and_steps(
    tenant: Stack, portal_org: PortalOrganization, scim: Client
):
    async with opened_page(tenant) as page:
        await sign_in(page, portal_org)
        await page.get_by_role("link", name="Settings & Integrations").click()
        await expect(page.get_by_role("heading", level=2)).to_have_text(
            [*(each.title for each in PROVIDERS), "Single sign-on"]
        )
        await page.get_by_role("link", name="View Integration Okta").click()
        await expect(page).to_have_url(re.compile(f"{OKTA.path}$"))
        steps = page.locator("ol.steps")
        for words in (
            "SCIM connector base URL",
            "Unique identifier field for users",
            "userName",
            "Push New Users, Push Profile Updates, Push Groups",
            "HTTP Header",
            "Bearer token",
            "Test Connector Configuration",
            "Deactivate Users",
        ):
            await expect(steps.get_by_text(words).first).to_be_visible()
        await page.get_by_role("button", name="Copy SCIM connector base URL").click()
        assert await clipboard_text(page) == tenant.url
        token = await generate_key(page, OKTA)
        await expect(page.locator("main")).not_to_contain_text("Entra")

        okta = Client(scim._session, scim.url, token)
        created = await okta("POST", "/Users", {"userName": "ann"}, User_Agent=OKTA_AGENT)
        assert created.status == 201

        await page.goto(f"{OKTA.path}log")
        row = page.get_by_role("row").filter(has_text="ann was created")
        await expect(row.locator(".log-client")).to_have_text("Okta")
        await row.get_by_role("link").click()
        fact = page.get_by_role("dialog").locator("dl.facts > div").filter(has_text="Client")
        await expect(fact.locator("dd")).to_have_text("Okta")

        async def is_key_use_shown() -> bool:  # keysvc writes it in the background
            await page.goto(OKTA.path)
            return "in the last 24 hours" in await page.locator(".health").inner_text()

        await eventually(is_key_use_shown, 30)
        # The integration is one: the same key is on the page of every provider.
        for each in PROVIDERS:
            await page.goto(each.path)
            await expect(page.locator("table.keys tbody tr")).to_have_count(1)
            await expect(page.get_by_label(each.url_label)).to_have_value(tenant.url)
            assert "in the last 24 hours" in await page.locator(".health").inner_text()
        await page.goto("/settings/integrations/")
        card = page.locator(".card").filter(has=page.get_by_text("Active", exact=True))
        await expect(card.get_by_role("heading").first).to_have_text("Okta")


async def test_forms_of_a_provider_lead_back_to_its_page(
    browser: Browser, portal_org: PortalOrganization
):
    await portal_org.sign_in(browser)
    for provider in PROVIDERS:
        action, fields = (await browser.get(f"{provider.path}deactivate")).form()
        assert action.endswith(f"{provider.path}deactivate")
        page = await browser.post(action, fields)
        assert page.location == f"{provider.path}?done=deactivated"
        page = await browser.post(f"{provider.path}activate", fields)
        assert page.location == f"{provider.path}?done=activated"
    redirect = await browser.get(OKTA.path.rstrip("/"))
    assert (redirect.status, redirect.location) == (303, OKTA.path)


async def test_page_export_and_log_line_name_the_client(
    tenant: Stack, browser: Browser, portal_org: PortalOrganization, org_scim: Client
):
    expected = {
        "okta": (OKTA_AGENT, clients.OKTA),
        "google": ("Google-Auto-Provisioning", clients.GOOGLE),
        "onelogin": ("", clients.ONELOGIN),
        "curl": ("curl/8.5.0", clients.OTHER),
        "hostile": (HOSTILE.encode().decode("latin-1"), clients.OTHER),
    }
    requests = {}
    for name, (agent, _) in expected.items():
        reply = await org_scim("POST", "/Users", {"userName": name}, User_Agent=agent)
        assert reply.status == 201
        requests[reply.headers["X-Request-Id"]] = name
        # A refused request has the name, too.
        reply = await org_scim("POST", "/Users", {"userName": name}, User_Agent=agent)
        assert reply.status == 409
        requests[reply.headers["X-Request-Id"]] = name
    await portal_org.sign_in(browser)
    entries: list[Mapping[str, str]] = []
    while len(entries) < len(requests):  # refused requests arrive later
        lines = (await browser.get(f"{LOG}.ndjson")).text.splitlines()
        entries = [each for each in map(json.loads, lines) if each["requestId"] in requests]

    names = {name: client for name, (_, client) in expected.items()}
    assert [each["client"] for each in entries] == [names[each["name"]] for each in entries]
    file = (await browser.get(f"{LOG}.csv")).text.removeprefix("\ufeff")
    rows = list(csv.DictReader(io.StringIO(file)))
    assert {row["name"]: row["client"] for row in rows if row["name"] in names} == names
    page = (await browser.get(LOG)).text
    assert page.count("Another client") == 4
    assert "alert(1)" not in page + file
    logged = {
        line["request_id"]: line["client"]
        for line in map(json.loads, tenant.log("gateway").splitlines())
        if line.get("request_id") in requests and line["event"] == "request"
    }
    assert logged == {request: names[name] for request, name in requests.items()}


async def test_texts_name_the_client_that_sent_the_requests(
    browser: Browser, portal_org: PortalOrganization, org_scim: Client
):
    for _ in range(6):  # some refused changes, for the health of provisioning
        await org_scim("POST", "/Users", {"userName": "ann"}, User_Agent=OKTA_AGENT)
    await portal_org.sign_in(browser)
    entries = ""
    while entries.count("Failure") < 5:
        entries = (await browser.get(f"{OKTA.path}log?result=failure")).text
    entry = re.search(r'href="([^"]*/log/entries/[^"]*)"', entries)
    assert entry is not None
    details = (await browser.get(entry[1])).text
    assert "retry the failed task" in details or "set Okta to match by userName" in details
    for path in (LOG, "/dashboard/", "/settings/integrations/", ENTRA):
        text = (await browser.get(path)).text
        assert "of changes fail" in text, path
        assert not re.search(r"Entra (syncs|quarantines|is connected|has not)", text), path
    assert OTHER.path in (await browser.get("/settings/integrations/")).text
