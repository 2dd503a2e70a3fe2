"""Sign-in through SimpleSAMLphp, an independent identity provider, then deactivation by SCIM."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from tests.support.browser import Browser, Page
from tests.support.chromium import assert_accessible, chromium
from tests.support.operators import Operator
from tests.support.saml.idp import ann_claims
from tests.support.saml.simplesamlphp import ENTITY_ID, PASSWORD, SimpleSamlPhp, running
from tests.support.scim import Client
from tests.support.scim_documents import person as scim_person
from tests.support.single_sign_on import ACS_PATH, SsoOrganization, current_session, refusal
from tests.support.stack import Stack

OBJECT_IDENTIFIER = "0b1e5f3c-6f2f-4a52-8a51-9e3a0c5d7f10"


@dataclass(frozen=True, slots=True)
class Setup:
    """An organization with SimpleSAMLphp, and its user Ann, who was provisioned by SCIM."""

    sso_org: SsoOrganization
    provider: SimpleSamlPhp
    scim: Client
    ann_id: str
    email: str

    async def disable(self) -> None:
        """Disable Ann, as Entra does when she is unassigned."""
        change = {"op": "Replace", "path": "active", "value": "False"}
        document = {
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [change],
        }
        reply = await self.scim("PATCH", f"/Users/{self.ann_id}", document)
        assert reply.document["active"] is False


@pytest.fixture
async def setup(
    tmp_path: Path, tenant: Stack, operate: Operator, sso_org: SsoOrganization, scim: Client
) -> AsyncIterator[Setup]:
    email = f"ann@{sso_org.domain}"
    people = {"ann": ann_claims(object_identifier=[OBJECT_IDENTIFIER], email=[email])}
    certificate = tenant.paths.saml_certificate.read_text()
    with running(tmp_path, tenant.base_url + ACS_PATH, certificate, people) as provider:
        await sso_org.activate(
            sso_url=provider.sso_url,
            idp_entity_id=ENTITY_ID,
            certificates=[provider.pair.certificate],
        )
        key = await operate.generate_key(sso_org.organization_id)
        client = Client(scim._session, tenant.url, key.token)
        created = await client(
            "POST", "/Users", scim_person(userName=email, externalId=OBJECT_IDENTIFIER)
        )
        yield Setup(sso_org, provider, client, created.document["id"], email)


async def sign_in(browser: Browser, setup: Setup) -> Page:
    """Sign Ann in with a browser that runs no scripts."""
    page = await browser.get("/login/enterprise/")
    action, fields = page.form()
    page = await browser.post(action, fields | {"email": setup.email})
    while page.status in (302, 303):
        page = await browser.get(page.location)
    action, fields = page.form()
    if "SAMLResponse" not in fields:  # not signed in at the identity provider yet
        page = await browser.post(page.url, fields | {"username": "ann", "password": PASSWORD})
        action, fields = page.form()
    fields = {name: fields[name] for name in ("SAMLResponse", "RelayState")}
    return await browser.post(action, fields, Origin=setup.provider.url.rstrip("/"))


async def test_user_disabled_by_scim_loses_session_and_cannot_sign_in(
    browser: Browser, setup: Setup, operate: Operator
):
    page = await sign_in(browser, setup)
    assert (page.status, "You are signed in" in page.text) == (200, True)
    assert (await current_session(operate, browser)).user_id == setup.ann_id

    await setup.disable()
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await current_session(operate, browser)
    assert ended.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert refusal(await sign_in(browser, setup)) == (403, "inactive")


async def test_chromium_signs_in_across_sites(tenant: Stack, setup: Setup):
    async with chromium() as chromium_browser:
        page = await chromium_browser.new_page()
        await page.goto(f"{tenant.base_url}{ACS_PATH}")
        await assert_accessible(page)
        await page.get_by_role("link", name="Try again").click()
        await assert_accessible(page)
        await page.get_by_label("Work email address").fill(setup.email)
        await page.get_by_role("button", name="Continue").click()
        await page.locator("input[name=username]").fill("ann")
        await page.locator("input[name=password]").fill(PASSWORD)
        await page.locator("input[name=password]").press("Enter")
        await page.get_by_role("heading", name="You are signed in").wait_for()
        assert page.url == tenant.base_url + ACS_PATH
        await assert_accessible(page)
        cookies = {cookie["name"]: cookie for cookie in await page.context.cookies()}
    assert {name: cookies[name]["sameSite"] for name in cookies if name.endswith("-us")} == {
        "session-us": "Lax"
    }
