"""A page of another site cannot replace a browser's session with one of another organization."""

from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from cloudacademy.keys.v1 import audit_pb2
from cloudacademy.users.v1 import sessions_pb2
from cloudacademy.users.v1.users_pb2 import TypedValue
from playwright.async_api import Page, expect

from tests.support.browser import Browser
from tests.support.chromium import assert_accessible, chromium
from tests.support.operators import Operator
from tests.support.portal_organization import PortalOrganization, create_portal_organization
from tests.support.processes import frozen
from tests.support.saml.idp import encoded
from tests.support.saml.requests import read_authn_request
from tests.support.single_sign_on import (
    ACS_PATH,
    Person,
    SsoOrganization,
    StartedSignIn,
    confirm,
    current_session,
    refusal,
)
from tests.support.stack import Stack

ATTACK = "/login/enterprise/?organization={}&next=/settings/integrations/entra/"


@pytest.fixture
async def victim(operate: Operator, tenant: Stack) -> PortalOrganization:
    return await create_portal_organization(operate, tenant, "Initech")


@pytest.fixture
async def evil(operate: Operator) -> SsoOrganization:
    organization = SsoOrganization(operate, await operate.create_organization("Evil Corp"))
    await organization.activate()
    return organization


@asynccontextmanager
async def identity_provider(evil: SsoOrganization, person: Person, base_url: str):
    """An identity provider that signs its user in without a question, and a page that opens it."""
    paths: list[str] = []

    async def sign_on(request: web.Request) -> web.Response:
        paths.append("signed on")
        authn = read_authn_request(str(request.url))
        browser = Browser(None, base_url)  # type: ignore[arg-type] - only its base URL is read
        started = StartedSignIn(evil, browser, authn, request.query["RelayState"])
        response = encoded(started.signed_response(person))
        return web.Response(
            content_type="text/html",
            text=f"""<form method="post" action="{base_url}{ACS_PATH}">
                <input name="SAMLResponse" value="{response}">
                <input name="RelayState" value="{request.query["RelayState"]}">
                </form><script>document.forms[0].submit()</script>""",
        )

    async def attack(_: web.Request) -> web.Response:
        address = base_url + ATTACK.format(evil.organization_id)
        return web.Response(
            content_type="text/html", text=f"<script>location = {address!r}</script>Free prizes"
        )

    app = web.Application()
    app.router.add_get("/sso", sign_on)
    app.router.add_get("/attack", attack)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        # For the browser, this is another site than 127.0.0.1.
        yield f"http://localhost:{runner.addresses[0][1]}", paths
    finally:
        await runner.cleanup()


async def sign_in(page: Page, victim: PortalOrganization, base_url: str) -> None:
    await page.goto(f"{base_url}/login/link#{await victim.create_link_token()}")
    await page.get_by_role("button", name="Sign in as ada@corp.test").click()
    await page.get_by_role("heading", name="Dashboard").wait_for()


async def test_foreign_page_cannot_replace_an_administrators_session(
    tenant: Stack, victim: PortalOrganization, evil: SsoOrganization
):
    person = await evil.create_person(administrator=True)
    async with identity_provider(evil, person, tenant.base_url) as (site, requests):
        await evil.activate(sso_url=f"{site}/sso")
        async with chromium() as browser:
            page = await browser.new_page()
            await sign_in(page, victim, tenant.base_url)
            await expect(page.locator(".who-organization")).to_have_text("Initech")

            await page.goto(f"{site}/attack")
            await page.get_by_role("heading", name="Sign in to Evil Corp?").wait_for()
            await expect(page.get_by_role("status")).to_contain_text("Ada Min of Initech")
            await assert_accessible(page)
            assert requests == []
            await page.goto(f"{tenant.base_url}/settings/integrations/entra/")
            await expect(page.locator(".who-organization")).to_have_text("Initech")

            # The confirmation signs in to the organization on the page. The old session ends.
            before = {each["name"]: each["value"] for each in await page.context.cookies()}
            await page.goto(f"{site}/attack")
            await page.get_by_role("button", name="Continue to Evil Corp").click()
            await page.get_by_role("heading", name="Microsoft Entra ID").first.wait_for()
            await expect(page.locator(".who-organization")).to_have_text("Evil Corp")
            other = await browser.new_page()
            await other.context.add_cookies(
                [{"name": "session-us", "value": before["session-us"], "url": tenant.base_url}]
            )
            await other.goto(f"{tenant.base_url}/dashboard/")
            await other.get_by_role("heading", name="Sign in").wait_for()


async def test_sign_in_link_needs_a_click_and_names_both_organizations(
    tenant: Stack, operate: Operator, victim: PortalOrganization
):
    other = await create_portal_organization(operate, tenant, "Globex")
    async with chromium() as browser:
        page = await browser.new_page()
        await sign_in(page, victim, tenant.base_url)
        await page.goto(f"{tenant.base_url}/login/link#{await other.create_link_token()}")
        await page.get_by_role("heading", name="Sign in to Globex?").wait_for()
        await assert_accessible(page)
        await expect(page.get_by_role("status")).to_contain_text("Ada Min of Initech")
        await page.get_by_role("link", name="Cancel").click()
        await expect(page.locator(".who-organization")).to_have_text("Initech")


async def test_email_of_another_organization_asks_before_the_session_is_replaced(
    browser: Browser, operate: Operator, victim: PortalOrganization, evil: SsoOrganization
):
    await victim.sign_in(browser)
    action, fields = (await browser.get("/login/enterprise/")).form()
    page = await browser.post(action, fields | {"email": f"ann@{evil.domain}"})
    assert page.status == 200
    assert "Sign in to Evil Corp?" in page.text
    assert (await current_session(operate, browser)).organization_id == victim.organization_id
    assert (await confirm(browser, page)).status == 303


async def test_confirmation_of_a_session_that_changed_meanwhile_asks_again(
    browser: Browser, victim: PortalOrganization, evil: SsoOrganization
):
    page = await browser.get(ATTACK.format(evil.organization_id))
    action, fields = page.form()
    await victim.sign_in(browser)
    again = await browser.post(action, (await browser.get(page.url)).form()[1] | {"replaces": ""})
    assert fields["replaces"] == ""
    assert (again.status, "Ada Min" in again.text) == (200, True)


async def test_confirmation_from_another_site_is_refused(browser: Browser, evil: SsoOrganization):
    action, fields = (await browser.get(ATTACK.format(evil.organization_id))).form()
    for headers in ({"Origin": "https://evil.test"}, {"Sec_Fetch_Site": "cross-site"}):
        assert refusal(await browser.post(action, fields, **headers)) == (400, "bad_form")


async def test_sign_ins_sign_outs_and_ended_sessions_are_in_the_audit_trail(
    browser: Browser, operate: Operator, victim: PortalOrganization
):
    await victim.sign_in(browser)
    _, fields = (await browser.get("/settings/integrations/entra/deactivate")).form()
    await browser.get("/settings/integrations/entra/log.csv")
    await browser.post("/settings/sessions/end-all", fields)
    await victim.sign_in(browser)
    _, fields = (await browser.get("/settings/integrations/entra/deactivate")).form()
    await browser.post("/logout", fields)
    events = await operate.audit.ListAuditEvents(
        audit_pb2.ListAuditEventsRequest(organization_id=victim.organization_id, page_size=5)
    )
    names = [audit_pb2.AuditEvent.Action.Name(event.action) for event in events.events]
    assert names == [
        "ACTION_SIGNED_OUT",
        "ACTION_SIGNED_IN_WITH_LINK",
        "ACTION_SESSIONS_ENDED",
        "ACTION_LOG_EXPORTED",
        "ACTION_SIGNED_IN_WITH_LINK",
    ]
    assert {event.actor.id for event in events.events} == {victim.administrator.id}


async def test_audit_trail_has_only_sessions_that_were_ended_and_whose(
    browser: Browser, operate: Operator, victim: PortalOrganization
):
    await victim.sign_in(browser)
    person = await victim.create_person()
    link = sessions_pb2.SignInWithLinkRequest(token=await victim.create_link_token(person))
    session = (await operate.sessions.SignInWithLink(link)).session
    _, fields = (await browser.get("/settings/integrations/entra/deactivate")).form()
    fields |= {"session_id": session.session_id, "user_id": person.id}

    for path in ("end", "end-user"):
        page = await browser.post(f"/settings/sessions/{path}", fields | {"user_id": ""})
        assert page.status == 403
    for _ in range(2):  # the second time, the session has already ended
        page = await browser.post("/settings/sessions/end", fields)
        assert (page.status, page.location) == (303, "/settings/sessions/?done=one")

    request = audit_pb2.ListAuditEventsRequest(
        organization_id=victim.organization_id,
        actions=[audit_pb2.AuditEvent.ACTION_SESSIONS_ENDED],
    )
    (event,) = (await operate.audit.ListAuditEvents(request)).events
    assert event.user_id == person.id


async def test_administrator_whose_name_has_control_characters_signs_in(
    browser: Browser, operate: Operator, victim: PortalOrganization
):
    roles = [TypedValue(value="Administrator")]
    eve = await victim.create_person(user_name="eve\t\x85@corp.test", roles=roles)

    page = await victim.sign_in(browser, eve)

    assert (page.status, page.location) == (303, "/dashboard/")
    request = audit_pb2.ListAuditEventsRequest(organization_id=victim.organization_id, page_size=1)
    (event,) = (await operate.audit.ListAuditEvents(request)).events
    assert event.actor.display_name == "eve  @corp.test"


async def test_sign_in_by_link_that_cannot_be_recorded_is_undone(
    browser: Browser, operate: Operator, tenant: Stack, victim: PortalOrganization
):
    action, fields = (await browser.get("/login/link")).form()
    token = await victim.create_link_token()
    action, fields = (await browser.post(action, fields | {"token": token})).form()

    with frozen(tenant.pid("keysvc")):
        page = await browser.post(action, fields)

    assert page.status == 503
    assert "request a new link" in page.text
    request = sessions_pb2.ListSessionsRequest(organization_id=victim.organization_id)
    assert not (await operate.sessions.ListSessions(request)).sessions
