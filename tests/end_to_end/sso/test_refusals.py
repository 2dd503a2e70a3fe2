"""Refused SAML responses: for another browser or organization, forged, repeated or malformed."""

import asyncio
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest

from tests.support.browser import Browser, open_browser
from tests.support.operators import Operator
from tests.support.saml.idp import NAMES, assertion, encoded, key_pair, response, signed
from tests.support.single_sign_on import ACS_PATH, SsoOrganization, refusal
from tests.support.stack import Stack


async def test_unsolicited_response_is_refused(browser: Browser, sso_org: SsoOrganization):
    sign_in = await sso_org.start_sign_in(browser)
    unsolicited = sign_in.signed_response(await sso_org.create_person(), request_id=None)
    async with open_browser(browser.base_url) as fresh:
        assert refusal(await sign_in.finish(unsolicited, browser=fresh)) == (403, "no_request")
    assert refusal(await sign_in.finish(unsolicited)) == (401, "wrong_request")


async def test_response_of_another_browser_is_refused(browser: Browser, sso_org: SsoOrganization):
    person = await sso_org.create_person()
    sign_in = await sso_org.start_sign_in(browser)
    async with open_browser(browser.base_url) as another_browser:
        another_sign_in = await sso_org.start_sign_in(another_browser)
        signed_response = sign_in.signed_response(person)
        page = await another_sign_in.finish(signed_response, relay_state=sign_in.relay_state)
        assert refusal(page) == (403, "other_request")
        assert refusal(await another_sign_in.finish(signed_response)) == (401, "wrong_request")


async def test_response_is_accepted_once(browser: Browser, sso_org: SsoOrganization):
    sign_in = await sso_org.start_sign_in(browser)
    signed_response = sign_in.signed_response(await sso_org.create_person())
    cookie = browser.cookie("sign-in-us", ACS_PATH)
    assert (await sign_in.finish(signed_response)).status == 200
    assert refusal(await sign_in.finish(signed_response)) == (403, "no_request")

    fields = {"SAMLResponse": encoded(signed_response), "RelayState": sign_in.relay_state}
    page = await browser.post(ACS_PATH, fields, Cookie=f"sign-in-us={cookie}")
    assert refusal(page) == (401, "replayed")


def _changed(cookie: str, index: int) -> str:
    """The cookie with the character at this index changed."""
    characters = list(cookie)
    characters[index] = "A" if cookie[index] != "A" else "B"
    return "".join(characters)


async def test_changed_sign_in_cookie_is_refused(browser: Browser, sso_org: SsoOrganization):
    sign_in = await sso_org.start_sign_in(browser)
    fields = {
        "SAMLResponse": encoded(sign_in.signed_response(await sso_org.create_person())),
        "RelayState": "x",
    }
    good = browser.cookie("sign-in-us", ACS_PATH) or ""
    for cookie in ("", "x", "A" * 4000, _changed(good, -9), _changed(good, 0)):
        async with open_browser(browser.base_url) as fresh:
            page = await fresh.post(ACS_PATH, fields, Cookie=f"sign-in-us={cookie}")
        assert refusal(page) == (403, "no_request")


async def test_identity_provider_of_another_organization_is_refused(
    browser: Browser, sso_org: SsoOrganization, operate: Operator
):
    other = SsoOrganization(
        operate, await operate.create_organization(), pair=key_pair("another's")
    )
    await other.activate()
    person = await sso_org.create_person()
    sign_in = await sso_org.start_sign_in(browser)

    page = await sign_in.finish(
        signed(sign_in.statement(person, issuer=other.entity_id), other.pair)
    )
    assert refusal(page) == (401, "wrong_issuer")
    assert refusal(await sign_in.finish(signed(sign_in.statement(person), other.pair))) == (
        401,
        "bad_signature",
    )


async def test_unsigned_response_is_refused(browser: Browser, sso_org: SsoOrganization):
    sign_in = await sso_org.start_sign_in(browser)
    page = await sign_in.finish(response(sign_in.statement(await sso_org.create_person())))
    assert refusal(page) == (401, "not_signed")


async def test_forged_assertion_beside_a_signed_one_is_refused(
    browser: Browser, sso_org: SsoOrganization
):
    person, victim = await sso_org.create_person(), await sso_org.create_person(administrator=True)
    sign_in = await sso_org.start_sign_in(browser)
    root = sign_in.signed_response(person)
    index = root.index(root.find("saml:Assertion", NAMES))
    root.insert(index, assertion(sign_in.statement(victim)))
    assert refusal(await sign_in.finish(root)) == (400, "bad_structure")


async def test_error_status_of_the_identity_provider_is_shown(
    browser: Browser, sso_org: SsoOrganization
):
    sign_in = await sso_org.start_sign_in(browser)
    denied = sign_in.statement(
        await sso_org.create_person(), status="urn:oasis:names:tc:SAML:2.0:status:Responder"
    )
    assert refusal(await sign_in.finish(response(denied))) == (401, "status")


async def test_valid_response_is_accepted_after_a_refused_one(
    browser: Browser, sso_org: SsoOrganization
):
    sign_in = await sso_org.start_sign_in(browser)
    person = await sso_org.create_person()
    assert refusal(await sign_in.finish(response(sign_in.statement(person)))) == (401, "not_signed")
    assert (await sign_in.finish(sign_in.signed_response(person))).status == 200


async def test_response_for_an_inactive_connection_is_refused(
    browser: Browser, sso_org: SsoOrganization
):
    sign_in = await sso_org.start_sign_in(browser)
    await sso_org.set_up(sso_url="https://idp.test/changed")
    page = await sign_in.finish(sign_in.signed_response(await sso_org.create_person()))
    assert refusal(page) == (409, "not_active")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, (400, "bad_form")),
        ({"SAMLResponse": "x"}, (400, "bad_form")),
        ([("SAMLResponse", "x"), ("SAMLResponse", "y"), ("RelayState", "")], (400, "bad_form")),
        ([(f"f{number}", "x") for number in range(20)], (400, "bad_form")),
        ({"SAMLResponse": "A" * 600_000, "RelayState": "x"}, (413, "too_large")),
        ({"SAMLResponse": "%" * 100_000, "RelayState": "x"}, (400, "bad_form")),
    ],
)
async def test_malformed_response_form_is_refused(
    browser: Browser, sso_org: SsoOrganization, fields, expected
):
    await sso_org.start_sign_in(browser)
    assert refusal(await browser.post(ACS_PATH, fields)) == expected


async def test_response_without_a_pending_sign_in_is_refused_unread(
    browser: Browser, tenant: Stack
):
    address = urlsplit(tenant.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    head = f"POST {ACS_PATH} HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n"
    writer.write(f"{head}Content-Type: application/x-www-form-urlencoded\r\n\r\n".encode())
    line = await asyncio.wait_for(reader.readline(), 30)  # the body is never sent
    writer.close()
    assert line.startswith(b"HTTP/1.1 403 ")
    for body in (b"", b"a=" + b"%41" * 170_000, b"SAMLResponse=%FF"):
        page = await browser.post(
            ACS_PATH, body, Content_Type="application/x-www-form-urlencoded; charset=UTF-8"
        )
        assert refusal(page) == (403, "no_request")


async def test_form_with_too_many_escapes_is_refused(browser: Browser, sso_org: SsoOrganization):
    sign_in = await sso_org.start_sign_in(browser)
    body = f"RelayState={sign_in.relay_state}&SAMLResponse=" + "%41" * 100_000
    page = await browser.post(
        ACS_PATH, body.encode(), Content_Type="application/x-www-form-urlencoded"
    )
    assert refusal(page) == (400, "bad_form")


async def test_response_over_the_size_limit_is_refused(browser: Browser, sso_org: SsoOrganization):
    sign_in = await sso_org.start_sign_in(browser)
    fields = {"SAMLResponse": "A" * (256 * 1024 + 1), "RelayState": sign_in.relay_state}
    assert refusal(await browser.post(ACS_PATH, fields)) == (413, "too_large")


async def test_form_with_another_media_type_is_refused(browser: Browser, sso_org: SsoOrganization):
    await sso_org.start_sign_in(browser)
    page = await browser.post(ACS_PATH, b"{}", Content_Type="application/json")
    assert refusal(page) == (400, "bad_form")
    page = await browser.post(ACS_PATH, b"SAMLResponse=%FF&RelayState=x\xff",
                           Content_Type="application/x-www-form-urlencoded")  # fmt: skip
    assert refusal(page) == (400, "bad_form")


async def test_get_of_the_acs_url_shows_how_to_sign_in(browser: Browser):
    assert refusal(await browser.get(ACS_PATH)) == (403, "no_request")


async def test_log_has_the_reason_and_no_personal_data(
    browser: Browser, sso_org: SsoOrganization, tenant: Stack
):
    person = await sso_org.create_person("a-name-to-look-for")
    sign_in = await sso_org.start_sign_in(browser, "&next=/a-path-to-look-for")
    signed_response = signed(sign_in.statement(person), key_pair("mallory"))
    page = await sign_in.finish(signed_response)
    await sign_in.finish(sign_in.signed_response(person))

    request_id = page.headers["X-Request-Id"]
    log = tenant.log("gateway")
    (line,) = [line for line in log.splitlines() if f'"{request_id}"' in line]
    assert '"bad_signature"' in line
    assert sso_org.organization_id in line
    personal = ("a-name-to-look-for", "a-path-to-look-for", person.object_identifier)
    secrets = (sign_in.relay_state, encoded(signed_response)[:40], sign_in.request.id)
    for value in (*personal, *secrets):
        assert value not in log
    assert str(datetime.now(UTC).year) in line
