"""Signing in through an organization's identity provider, over HTTP."""

import re
from dataclasses import replace

import grpc
import pytest
from cloudacademy.users.v1 import users_pb2

from gateway.sso.provider import ENTITY_ID
from gateway.web.csrf import CSRF_FIELD
from tests.support.browser import Browser, open_browser
from tests.support.operators import Operator
from tests.support.saml.idp import key_pair
from tests.support.saml.requests import AuthnRequest, check_signature
from tests.support.single_sign_on import (
    ACS_PATH,
    Person,
    SsoOrganization,
    confirm,
    current_session,
    refusal,
    sign_in_by_link,
    started_sign_in,
)
from tests.support.stack import Stack


async def test_user_signs_in_and_gets_a_session(
    browser: Browser, sso_org: SsoOrganization, operate: Operator
):
    person = await sso_org.create_person()
    sign_in = await sso_org.start_sign_in(browser)
    page = await sign_in.finish(sign_in.signed_response(person))

    assert (page.status, "You are signed in" in page.text) == (200, True)
    session = await current_session(operate, browser)
    assert (session.organization_id, session.user_id) == (sso_org.organization_id, person.user_id)


async def test_administrator_is_redirected_to_the_dashboard(
    browser: Browser, sso_org: SsoOrganization
):
    person = await sso_org.create_person(administrator=True)
    sign_in = await sso_org.start_sign_in(browser)
    page = await sign_in.finish(sign_in.signed_response(person))
    assert (page.status, page.location) == (303, "/dashboard/")


async def test_authn_request_is_signed_and_names_issuer_and_acs_url(
    browser: Browser, sso_org: SsoOrganization, tenant: Stack
):
    page = await browser.get(f"/login/enterprise/?organization={sso_org.organization_id}")
    page = await confirm(browser, page)
    sign_in = started_sign_in(sso_org, browser, page)

    assert page.location.startswith(f"https://idp.{sso_org.domain}/sso?tenant=1&SAMLRequest=")
    assert sign_in.request == AuthnRequest(
        id=sign_in.request.id,
        issuer=ENTITY_ID,
        destination=f"https://idp.{sso_org.domain}/sso?tenant=1",
        acs_url=tenant.base_url + ACS_PATH,
        binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST",
        name_id_format="urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified",
        has_requested_authn_context=False,
    )
    check_signature(page.location, tenant.paths.saml_certificate.read_text())
    assert len(sign_in.relay_state) >= 32


async def test_sign_in_cookie_is_sent_to_the_acs_path_only(
    browser: Browser, sso_org: SsoOrganization
):
    page = await browser.get(f"/login/enterprise/?organization={sso_org.organization_id}")
    page = await confirm(browser, page)
    (cookie,) = page.set_cookies
    assert re.sub(r"=[\w-]{100,}", "=…", cookie) == (
        f"sign-in-us=…; HttpOnly; Max-Age=600; Path={ACS_PATH}; SameSite=None; Secure"
    )
    assert browser.cookie("sign-in-us") is None
    assert browser.cookie("sign-in-us", ACS_PATH) is not None


async def test_sign_in_sets_session_cookie_and_deletes_its_own(
    browser: Browser, sso_org: SsoOrganization
):
    sign_in = await sso_org.start_sign_in(browser)
    page = await sign_in.finish(sign_in.signed_response(await sso_org.create_person()))
    session = next(each for each in page.set_cookies if each.startswith("session-us="))
    assert re.sub(r"=[\w.-]{20,}", "=…", session) == "session-us=…; HttpOnly; Path=/; SameSite=Lax"
    assert browser.cookie("sign-in-us", ACS_PATH) is None


async def test_email_form_redirects_to_the_identity_provider(
    browser: Browser, sso_org: SsoOrganization
):
    page = await browser.get("/login/enterprise/")
    action, fields = page.form()
    assert (page.status, fields.keys()) == (200, {"email", "next", CSRF_FIELD})

    redirect = await browser.post(action, fields | {"email": f" Ann@{sso_org.domain.upper()} "})
    sign_in = started_sign_in(sso_org, browser, redirect)
    signed_in = await sign_in.finish(sign_in.signed_response(await sso_org.create_person()))
    assert signed_in.status == 200


async def test_path_without_slash_is_redirected(browser: Browser):
    page = await browser.get("/login/enterprise?next=/a%2520b")
    assert (page.status, page.location) == (303, "/login/enterprise/?next=/a%2520b")


async def test_email_page_allows_form_redirects_to_other_sites(browser: Browser):
    policy = (await browser.get("/login/enterprise/")).headers["Content-Security-Policy"]
    assert "form-action 'self' https: http://127.0.0.1:* http://localhost:*" in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy


async def test_email_form_from_another_site_is_refused(browser: Browser, sso_org: SsoOrganization):
    action, fields = (await browser.get("/login/enterprise/")).form()
    fields["email"] = f"ann@{sso_org.domain}"
    page = await browser.post(action, fields, Origin="https://evil.test")
    assert refusal(page) == (400, "bad_form")
    page = await browser.post(action, fields | {CSRF_FIELD: "made up"})
    assert refusal(page) == (400, "bad_form")
    async with open_browser(browser.base_url) as other:  # has not opened the form
        assert refusal(await other.post(action, fields)) == (400, "bad_form")


@pytest.mark.parametrize(
    ("next_", "location"),
    [
        ("/people/?q=ann%2520li", "/people/?q=ann%20li"),
        ("https://evil.test/", "/dashboard/"),
        ("//evil.test/", "/dashboard/"),
        ("/%5Cevil.test/", "/dashboard/"),
        ("/%09/evil.test/", "/dashboard/"),
        ("/%0A/evil.test", "/dashboard/"),
        ("javascript:alert(1)", "/dashboard/"),
        ("dashboard", "/dashboard/"),
        ("/" + "a" * 501, "/dashboard/"),
    ],
)
async def test_redirect_after_sign_in_stays_on_this_site(
    browser: Browser, sso_org: SsoOrganization, next_: str, location: str
):
    person = await sso_org.create_person(administrator=True)
    sign_in = await sso_org.start_sign_in(browser, f"&next={next_}")
    page = await sign_in.finish(sign_in.signed_response(person))
    assert (page.status, page.location) == (303, location)


async def test_unknown_person_is_created_if_the_organization_allows_it(
    browser: Browser, sso_org: SsoOrganization, operate: Operator
):
    new = Person("", f"new@{sso_org.domain}", "9c2d8c1e-new")
    sign_in = await sso_org.start_sign_in(browser)
    assert refusal(await sign_in.finish(sign_in.signed_response(new))) == (403, "unknown")

    await sso_org.activate(create_missing_users=True)
    sign_in = await sso_org.start_sign_in(browser)
    assert (await sign_in.finish(sign_in.signed_response(new))).status == 200
    assert (await current_session(operate, browser)).user_name == new.email


async def test_account_with_the_same_email_is_not_taken_over(
    browser: Browser, sso_org: SsoOrganization
):
    person = await sso_org.create_person()
    other = replace(person, object_identifier="another-object")
    sign_in = await sso_org.start_sign_in(browser)
    assert refusal(await sign_in.finish(sign_in.signed_response(other))) == (409, "conflict")


async def test_disabled_user_loses_session_and_cannot_sign_in(
    browser: Browser, sso_org: SsoOrganization, operate: Operator
):
    person = await sso_org.create_person()
    sign_in = await sso_org.start_sign_in(browser)
    assert (await sign_in.finish(sign_in.signed_response(person))).status == 200

    request = users_pb2.UpdateUserRequest(
        organization_id=sso_org.organization_id,
        user=users_pb2.User(id=person.user_id, active=False),
    )
    request.update_mask.paths.append("active")
    await operate.users.UpdateUser(request)

    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await current_session(operate, browser)
    assert ended.value.code() == grpc.StatusCode.UNAUTHENTICATED
    sign_in = await sso_org.start_sign_in(browser)
    assert refusal(await sign_in.finish(sign_in.signed_response(person))) == (403, "inactive")


async def test_metadata_can_be_downloaded(browser: Browser, tenant: Stack):
    page = await browser.get("/login/enterprise/metadata.xml")
    certificate = "".join(tenant.paths.saml_certificate.read_text().splitlines()[1:-1])
    assert page.headers["Content-Type"].startswith("application/samlmetadata+xml")
    assert page.headers["Content-Disposition"] == (
        'attachment; filename="cloudacademy-metadata.xml"'
    )
    for part in (
        'entityID="urn:federation:cloudacademy"',
        'AuthnRequestsSigned="true"',
        'WantAssertionsSigned="true"',
        f'Location="{tenant.base_url}{ACS_PATH}"',
        certificate,
    ):
        assert part in page.text
    assert "validUntil" not in page.text


async def test_administrator_tests_an_inactive_connection(
    browser: Browser, sso_org: SsoOrganization, operate: Operator
):
    administrator = await sso_org.create_person(administrator=True)
    await sign_in_by_link(operate, browser, sso_org, administrator)
    sso_org.pair = key_pair("a new certificate")
    before = await sso_org.set_up()
    assert (before.active, before.HasField("test_time")) == (False, False)

    sign_in = await sso_org.start_sign_in(browser, "&test=1&next=/sso/")
    stranger = Person("", f"stranger@{sso_org.domain}", "a-stranger")
    page = await sign_in.finish(sign_in.signed_response(stranger))

    assert (page.status, "Test successful" in page.text) == (200, True)
    assert 'href="/sso/"' in page.text
    assert not [each for each in page.set_cookies if each.startswith("session")]
    assert (await sso_org.connection()).HasField("test_time")


async def test_test_sign_in_refuses_missing_claims(
    browser: Browser, sso_org: SsoOrganization, operate: Operator
):
    administrator = await sso_org.create_person(administrator=True)
    await sign_in_by_link(operate, browser, sso_org, administrator)
    await sso_org.set_up(sso_url="https://idp.test/")
    sign_in = await sso_org.start_sign_in(browser, "&test=1")
    page = await sign_in.finish(
        sign_in.signed_response(administrator, claims=administrator.claims(surname=None))
    )
    assert refusal(page) == (422, "missing_claim")
    assert not (await sso_org.connection()).HasField("test_time")


async def test_test_sign_in_of_changed_settings_is_refused(
    browser: Browser, sso_org: SsoOrganization, operate: Operator
):
    administrator = await sso_org.create_person(administrator=True)
    await sign_in_by_link(operate, browser, sso_org, administrator)
    sign_in = await sso_org.start_sign_in(browser, "&test=1")
    await sso_org.set_up(sso_url="https://idp.test/changed")
    assert refusal(await sign_in.finish(sign_in.signed_response(administrator))) == (
        409,
        "changed_since",
    )


async def test_test_sign_in_needs_an_administrator_of_the_organization(
    browser: Browser, sso_org: SsoOrganization, operate: Operator
):
    path = f"/login/enterprise/?organization={sso_org.organization_id}&test=1"
    assert refusal(await browser.get(path)) == (403, "not_administrator")

    await sign_in_by_link(operate, browser, sso_org, await sso_org.create_person())
    assert refusal(await browser.get(path)) == (403, "not_administrator")

    other = SsoOrganization(operate, await operate.create_organization())
    await sign_in_by_link(operate, browser, other, await other.create_person(administrator=True))
    assert refusal(await browser.get(path)) == (403, "not_administrator")


async def test_sign_in_without_an_active_connection_is_refused(
    browser: Browser, sso_org: SsoOrganization, operate: Operator
):
    await sso_org.set_up(sso_url="https://idp.test/inactive")
    path = f"/login/enterprise/?organization={sso_org.organization_id}"
    assert refusal(await browser.get(path)) == (409, "not_active")

    for unknown in ("0192f0c1-0000-7000-8000-000000000001", "acme", "%00"):
        page = await browser.get(f"/login/enterprise/?organization={unknown}")
        assert refusal(page) == (404, "no_connection")
    action, fields = (await browser.get("/login/enterprise/")).form()
    page = await browser.post(action, fields | {"email": "ann@nobody.test"})
    assert refusal(page) == (404, "no_connection")

    new = await operate.create_organization()
    page = await browser.get(f"/login/enterprise/?organization={new}")
    assert refusal(page) in ((409, "not_set_up"), (404, "no_connection"))


async def test_response_for_the_other_region_is_refused(
    browser: Browser, sso_org: SsoOrganization, eu_tenant: Stack
):
    person = await sso_org.create_person()
    sign_in = await sso_org.start_sign_in(browser)
    for_eu = sign_in.signed_response(person, acs_url=eu_tenant.base_url + ACS_PATH)
    assert refusal(await sign_in.finish(for_eu)) == (401, "wrong_recipient")

    async with open_browser(eu_tenant.base_url) as eu_browser:
        page = await sign_in.finish(sign_in.signed_response(person), browser=eu_browser)
        assert refusal(page) == (403, "no_request")
