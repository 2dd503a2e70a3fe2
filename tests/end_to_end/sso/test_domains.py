"""Verification of e-mail domains: the page, routing by domain, and addresses in assertions."""

from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import uuid4

import asyncpg
import pytest
from cloudacademy.users.v1 import users_pb2

from tests.support.browser import Browser, Page, open_browser
from tests.support.gateways import Gateway, running_gateway
from tests.support.operators import Operator
from tests.support.outbound.name_servers import NameServer, name_server
from tests.support.portal_organization import PortalOrganization, create_administrator
from tests.support.single_sign_on import Person, SsoOrganization, refusal
from tests.support.stack import Stack

SSO = "/settings/integrations/sso/"
CHECK = f"{SSO}check-domain"


@pytest.fixture
async def names() -> AsyncIterator[NameServer]:
    async with name_server() as server:
        yield server


@pytest.fixture
async def verifying(tenant: Stack, names: NameServer) -> AsyncIterator[Gateway]:
    """A gateway of the region that uses the DNS server on loopback."""
    settings = {
        "saml_key": tenant.paths.saml_key,
        "saml_certificate": tenant.paths.saml_certificate,
        "tenant_urls": f"us={tenant.url},eu={tenant.url}",
        "outbound_nameservers": f"127.0.0.1:{names.port}",
    }
    with running_gateway(tenant, **settings) as gateway:
        yield gateway


@pytest.fixture
async def administrator(verifying: Gateway) -> AsyncIterator[Browser]:
    async with open_browser(verifying.base_url) as opened:
        yield opened


async def claim(operate: Operator, domain: str = "", **changes: object) -> SsoOrganization:
    """An organization with active single sign-on, which has not proven its domain."""
    sso_org = SsoOrganization(operate, await operate.create_organization())
    if domain:
        sso_org.domain = domain
    await sso_org.activate(prove=False, **changes)
    return sso_org


async def sign_in_administrator(
    operate: Operator, tenant: Stack, sso_org: SsoOrganization, browser: Browser
) -> PortalOrganization:
    portal_org = await create_administrator(operate, tenant, sso_org.organization_id)
    await portal_org.sign_in(browser)
    return portal_org


async def check_now(browser: Browser, domain: str) -> Page:
    """Click "Check now", and follow the redirect."""
    _, fields = (await browser.get(SSO)).form()
    page = await browser.post(CHECK, fields | {"domain": domain})
    if page.status != 303:
        return page
    return await browser.get(page.location.partition("#")[0])


async def route(browser: Browser, email: str) -> Page:
    """Enter an e-mail address on the page for signing in."""
    action, fields = (await browser.get("/login/enterprise/")).form()
    return await browser.post(action, fields | {"email": email})


async def test_administrator_verifies_a_domain_by_a_record(
    operate: Operator, tenant: Stack, names: NameServer, administrator: Browser
):
    sso_org = await claim(operate)
    await sign_in_administrator(operate, tenant, sso_org, administrator)
    page = await administrator.get(SSO)
    (proof,) = (await sso_org.connection()).domain_proofs
    assert "Not verified" in page.text
    assert proof.record_name in page.text
    assert proof.record_value in page.text
    person = await sso_org.create_person()
    assert refusal(await route(administrator, person.email)) == (404, "no_connection")

    assert "was not found" in (await check_now(administrator, sso_org.domain)).text
    names.failing.add(proof.record_name)
    assert "did not answer" in (await check_now(administrator, sso_org.domain)).text
    names.failing.clear()
    names.records[proof.record_name, "TXT"] = [f'"{proof.record_value}"']
    assert "The domain is verified." in (await check_now(administrator, sso_org.domain)).text

    async with open_browser(administrator.base_url) as visitor:
        routed = await route(visitor, person.email)
    assert (routed.status, routed.location.startswith(f"https://idp.{sso_org.domain}/")) == (
        303, True,
    )  # fmt: skip
    audit = await administrator.get("/settings/integrations/entra/audit?kind=sso")
    assert f"verified the email domain {sso_org.domain}" in audit.text


async def test_attacker_verifies_neither_a_public_nor_another_customers_domain(
    operate: Operator, tenant: Stack, names: NameServer, administrator: Browser
):
    victim = await claim(operate)
    (proof,) = (await victim.connection()).domain_proofs
    names.records[proof.record_name, "TXT"] = [f'"{proof.record_value}"']
    evil = await claim(operate, victim.domain)
    await sign_in_administrator(operate, tenant, evil, administrator)

    assert "was not found" in (await check_now(administrator, victim.domain)).text
    page = await administrator.get(SSO)
    _, fields = page.form()
    connection = await evil.connection()
    form = fields | {
        "sso_url": connection.sso_url,
        "idp_entity_id": connection.idp_entity_id,
        "certificates": "\n".join(connection.certificates),
        "domains": "gmail.com",
        "etag": connection.etag,
    }
    saved = await administrator.post(SSO, form)
    assert (saved.status, "public mail provider" in saved.text) == (400, True)
    for email in ("ann@gmail.com", f"ann@{victim.domain}"):
        assert refusal(await route(administrator, email)) == (404, "no_connection")

    # The record of the other organization does not help, even with one's own beside it.
    await victim.prove_domains(await victim.connection())
    (own,) = (await evil.connection()).domain_proofs
    names.records[proof.record_name, "TXT"].append(f'"{own.record_value}"')
    taken = await check_now(administrator, victim.domain)
    assert (taken.status, "another organization has verified" in taken.text) == (409, True)


async def test_banner_names_a_domain_in_grace_until_it_is_verified(
    operate: Operator, tenant: Stack, names: NameServer, administrator: Browser
):
    sso_org = await claim(operate)
    await sign_in_administrator(operate, tenant, sso_org, administrator)
    database = await asyncpg.connect(tenant.database_url("keys"))
    await database.execute(
        "UPDATE sso_domains SET grace_until = now() + interval '30 days' WHERE domain = $1",
        sso_org.domain,
    )
    await database.close()
    person = await sso_org.create_person()
    async with open_browser(administrator.base_url) as visitor:
        assert (await route(visitor, person.email)).status == 303

    pages = ("/dashboard/", "/settings/integrations/", SSO)
    for path in pages:
        assert f"Verify {sso_org.domain} by" in (await administrator.get(path)).text
    (proof,) = (await sso_org.connection()).domain_proofs
    names.records[proof.record_name, "TXT"] = [f'"{proof.record_value}"']
    await check_now(administrator, sso_org.domain)
    for path in pages:
        assert "data-banner" not in (await administrator.get(path)).text


async def test_unproven_domain_creates_nobody(operate: Operator, browser: Browser):
    sso_org = await claim(operate, create_missing_users=True)
    stranger = Person("", f"new@{sso_org.domain}", str(uuid4()))
    sign_in = await sso_org.start_sign_in(browser)
    page = await sign_in.finish(sign_in.signed_response(stranger))
    assert refusal(page) == (403, "unproven_domain")

    await sso_org.prove_domains(await sso_org.connection())
    sign_in = await sso_org.start_sign_in(browser)
    assert (await sign_in.finish(sign_in.signed_response(stranger))).status == 200


async def test_address_of_another_domain_identifies_nobody(
    operate: Operator, browser: Browser, sso_org: SsoOrganization
):
    """Only the exact domain is proven, not those below it."""
    for domain in ("gmail.com", f"sub.{sso_org.domain}", "victim.test"):
        request = users_pb2.CreateUserRequest(
            organization_id=sso_org.organization_id,
            user=users_pb2.User(user_name=f"{uuid4().hex}@{domain}"),
        )
        user = (await operate.users.CreateUser(request)).user
        person = Person(user.id, user.user_name, str(uuid4()))
        sign_in = await sso_org.start_sign_in(browser)
        page = await sign_in.finish(sign_in.signed_response(person))
        assert refusal(page) == (403, "unproven_domain")


async def test_provisioned_person_signs_in_whatever_the_domain(operate: Operator, browser: Browser):
    sso_org = await claim(operate)
    person = await sso_org.create_person()
    for email in (person.email, "other@gmail.com"):
        sign_in = await sso_org.start_sign_in(browser)
        response = sign_in.signed_response(replace(person, email=email))
        assert (await sign_in.finish(response)).status == 200
