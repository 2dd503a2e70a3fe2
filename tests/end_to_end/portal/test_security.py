"""Security of the portal: access control, security headers, CSRF, sessions, and exports."""

import csv
import io
import json

import pytest
from cloudacademy.users.v1 import users_pb2
from google.protobuf.field_mask_pb2 import FieldMask

from gateway.web.csrf import MAX_FORM_BYTES
from tests.support.browser import Browser, open_browser
from tests.support.operators import Operator
from tests.support.portal_organization import (
    ENTRA,
    LOG,
    PortalOrganization,
    create_portal_organization,
    follow_link,
)
from tests.support.scim import Client
from tests.support.stack import Stack

PAGES = ("/dashboard/", "/settings/integrations/", ENTRA, LOG, "/people/", "/groups/")


@pytest.fixture
async def portal_org(operate: Operator, tenant: Stack) -> PortalOrganization:
    return await create_portal_organization(operate, tenant)


async def update(
    portal_org: PortalOrganization, user: users_pb2.User, *paths: str, **fields: object
) -> None:
    request = users_pb2.UpdateUserRequest(
        organization_id=portal_org.organization_id,
        user=users_pb2.User(id=user.id, **fields),
        update_mask=FieldMask(paths=paths),
    )
    await portal_org.operate.users.UpdateUser(request)


@pytest.mark.parametrize("path", [*PAGES, f"{LOG}.csv", f"{LOG}.ndjson", f"{LOG}/live"])
async def test_page_without_a_session_redirects_to_sign_in(browser: Browser, path: str):
    page = await browser.get(path)
    assert page.status == 303
    assert page.location.startswith("/login/?next=")


@pytest.mark.parametrize("path", PAGES)
async def test_page_is_403_for_a_user_who_is_not_an_administrator(
    browser: Browser, portal_org: PortalOrganization, path: str
):
    await portal_org.sign_in(browser, await portal_org.create_person())
    page = await browser.get(path)
    assert page.status == 403
    assert "administrator" in page.text.lower()
    assert "ada@corp.test" not in page.text


@pytest.mark.parametrize("change", ["disabled", "demoted", "deleted"])
async def test_former_administrator_loses_access_with_the_next_page(
    browser: Browser, portal_org: PortalOrganization, change: str
):
    await portal_org.sign_in(browser)
    assert (await browser.get(ENTRA)).status == 200
    if change == "disabled":
        await update(portal_org, portal_org.administrator, "active", active=False)
    elif change == "demoted":
        await update(portal_org, portal_org.administrator, "roles")
    else:
        request = users_pb2.DeleteUserRequest(
            organization_id=portal_org.organization_id, user_id=portal_org.administrator.id
        )
        await portal_org.operate.users.DeleteUser(request)
    assert (await browser.get(ENTRA)).status == (403 if change == "demoted" else 303)


async def test_administrator_sees_nothing_of_another_organization(
    browser: Browser, portal_org: PortalOrganization, operate: Operator, tenant: Stack
):
    other = await create_portal_organization(operate, tenant, "Globex")
    eve = await other.create_person(user_name="eve@globex.test")
    key = await operate.generate_key(other.organization_id)
    await portal_org.sign_in(browser)

    for path in (f"/people/{eve.id}", f"{ENTRA}keys/{key.key.id}/revoke", "/groups/" + eve.id):
        assert (await browser.get(path)).status == 404
    for path in ("/people/?q=eve", LOG, f"{LOG}.ndjson", f"{ENTRA}audit"):
        assert "eve@globex" not in (await browser.get(path)).text
    action, fields = (await browser.get(f"{ENTRA}deactivate")).form()
    revoked = await browser.post(f"{ENTRA}keys/{key.key.id}/revoke", fields)
    assert revoked.status == 404
    assert action


async def test_page_has_restrictive_security_headers(
    browser: Browser, portal_org: PortalOrganization
):
    await portal_org.sign_in(browser)
    page = await browser.get(ENTRA)
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Referrer-Policy"] == "same-origin"
    for inline in ("<script>", "<style", " style=", " onclick=", "javascript:"):
        assert inline not in page.text


async def test_session_cookie_is_http_only_and_same_site(
    browser: Browser, portal_org: PortalOrganization
):
    page = await portal_org.sign_in(browser)
    (cookie,) = [each for each in page.set_cookies if each.startswith("session")]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Path=/" in cookie


async def form_fields(browser: Browser, path: str) -> dict[str, str]:
    _, fields = (await browser.get(path)).form()
    return fields


POSTS = (f"{ENTRA}deactivate", f"{ENTRA}activate", f"{ENTRA}keys/new", "/logout")


@pytest.mark.parametrize("path", POSTS)
async def test_form_without_a_valid_token_is_refused(
    browser: Browser, portal_org: PortalOrganization, path: str
):
    await portal_org.sign_in(browser)
    for fields in ({}, {"form_token": "x" * 43}, {"form_token": ""}):
        assert (await browser.post(path, fields)).status == 403
    assert (await browser.get(ENTRA)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
async def test_form_from_another_site_is_refused(
    browser: Browser, portal_org: PortalOrganization, headers: dict[str, str]
):
    await portal_org.sign_in(browser)
    fields = await form_fields(browser, f"{ENTRA}deactivate")
    assert (await browser.post(f"{ENTRA}deactivate", fields, **headers)).status == 403
    assert "is <strong>active</strong>" in (await browser.get(ENTRA)).text


async def test_form_that_is_too_large_gets_an_error_page(
    browser: Browser, portal_org: PortalOrganization
):
    await portal_org.sign_in(browser)
    fields = await form_fields(browser, f"{ENTRA}deactivate")
    page = await browser.post(f"{ENTRA}deactivate", {**fields, "more": "x" * MAX_FORM_BYTES})
    assert page.status == 413
    assert "The form is too large" in page.text
    assert "is <strong>active</strong>" in (await browser.get(ENTRA)).text


async def test_form_token_of_another_session_is_refused(
    browser: Browser, portal_org: PortalOrganization, tenant: Stack
):
    await portal_org.sign_in(browser)
    fields = await form_fields(browser, f"{ENTRA}deactivate")
    async with open_browser(tenant.base_url) as other_browser:
        await portal_org.sign_in(other_browser)
        assert (await other_browser.post(f"{ENTRA}deactivate", fields)).status == 403


async def test_form_generates_one_key_only(browser: Browser, portal_org: PortalOrganization):
    await portal_org.sign_in(browser)
    fields = await form_fields(browser, f"{ENTRA}keys/new")
    first = await browser.post(f"{ENTRA}keys/new", fields)
    again = await browser.post(f"{ENTRA}keys/new", fields)
    assert (first.status, again.status) == (200, 409)
    assert "cak_us_" in first.text
    assert "cak_us_" not in again.text
    assert "cak_us_" not in (await browser.get(ENTRA)).text


async def test_sign_in_link_works_once(
    browser: Browser, portal_org: PortalOrganization, tenant: Stack
):
    token = await portal_org.create_link_token()
    assert (await follow_link(browser, token)).status == 303
    async with open_browser(tenant.base_url) as other_browser:
        page = await follow_link(other_browser, token)
        assert page.status == 401
        assert "no longer valid" in page.text
    assert token not in tenant.log("gateway") + tenant.log("usersvc")


async def test_session_ended_by_signing_out_works_nowhere(
    browser: Browser, portal_org: PortalOrganization, tenant: Stack
):
    await portal_org.sign_in(browser)
    name = "session-us"
    token = browser.cookie(name)
    fields = await form_fields(browser, f"{ENTRA}deactivate")
    assert (await browser.post("/logout", fields)).status == 303
    async with open_browser(tenant.base_url) as other_browser:
        other_browser.put_cookie(name, token)
        assert (await other_browser.get(ENTRA)).status == 303


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example/", "/\\evil.example"])
async def test_sign_in_page_drops_redirect_targets_on_other_sites(browser: Browser, target: str):
    page = await browser.get(f"/login/?next={target}")
    assert "evil.example" not in page.text


async def test_names_with_markup_are_escaped(browser: Browser, portal_org: PortalOrganization):
    await portal_org.create_person(
        user_name="<script>alert(1)</script>", display_name="'\"><img src=x>"
    )
    await portal_org.sign_in(browser)
    for path in ("/people/", LOG, "/people/?q=<script>alert(2)</script>"):
        page = await browser.get(path)
        assert page.status == 200
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text


async def test_csv_export_escapes_formulas(browser: Browser, portal_org: PortalOrganization):
    await portal_org.create_person(user_name="=cmd|' /C calc'!A0")
    await portal_org.create_person(user_name="@SUM(1+1)")
    await portal_org.sign_in(browser)
    page = await browser.get(f"{LOG}.csv")
    assert page.headers["Content-Type"].startswith("text/csv")
    cells = [cell for row in csv.reader(io.StringIO(page.text)) for cell in row]
    assert any("=cmd" in cell for cell in cells)
    assert [cell for cell in cells if cell.startswith(("=", "@", "+", "-", "\t", "\r"))] == []


async def test_ndjson_export_has_one_line_per_entry(
    browser: Browser, portal_org: PortalOrganization
):
    for number in range(60):
        await portal_org.create_person(user_name=f"u{number}@corp.test")
    await portal_org.sign_in(browser)
    page = await browser.get(f"{LOG}.ndjson?action=create")
    lines = [json.loads(line) for line in page.text.splitlines()]
    assert len(lines) == 61
    assert {"u0@corp.test", "u59@corp.test", "ada@corp.test"} <= set(map(str, _values(lines)))


def _values(lines: list[dict[str, object]]) -> list[object]:
    return [value for line in lines for value in line.values()]


async def test_unknown_path_outside_the_portal_gets_a_scim_error(tenant: Stack, browser: Browser):
    page = await browser.get("/webhooks/ad/v2/scim/Users")
    assert (page.status, page.headers["Content-Type"]) == (404, "application/scim+json")
    assert (await browser.get("/people/../webhooks")).status in (303, 404)


async def test_root_path_redirects_browsers_and_is_404_for_clients(
    browser: Browser,
):
    person = await browser.get("/", Accept="text/html,*/*;q=0.8")
    assert (person.status, person.location) == (303, "/dashboard/")
    client = await browser.get("/", Accept="application/scim+json")
    assert (client.status, client.headers["Content-Type"]) == (404, "application/scim+json")


async def test_static_file_is_immutable_under_its_digest_name_only(browser: Browser):
    page = await browser.get("/login/")
    path = page.text.split('href="/portal/assets/')[1].split('"')[0]
    asset = await browser.get(f"/portal/assets/{path}")
    assert (asset.status, "immutable" in asset.headers["Cache-Control"]) == (200, True)
    again = await browser.get(f"/portal/assets/{path}", If_None_Match=asset.headers["ETag"])
    assert again.status == 304
    assert (await browser.get("/portal/assets/..%2F..%2Froutes.py")).status == 404


@pytest.mark.parametrize(
    "path",
    ["/people/?q=%00", "/groups/?q=%00", f"{LOG}?q=a%00b", f"{LOG}.csv?q=%00", f"{LOG}?page=x"],
)
async def test_invalid_search_is_no_internal_error(
    browser: Browser, portal_org: PortalOrganization, path: str
):
    await portal_org.sign_in(browser)
    assert (await browser.get(path)).status in (200, 404)


@pytest.mark.parametrize("path", ["/people/%00", "/people/x", "/groups/%00", f"{LOG}/entries/x"])
async def test_malformed_id_is_not_found(
    browser: Browser, portal_org: PortalOrganization, path: str
):
    await portal_org.sign_in(browser)
    assert (await browser.get(path)).status == 404


@pytest.mark.parametrize(
    "content_type",
    ["multipart/form-data", "multipart/form-data; boundary=x", "text/plain; charset=no"],
)
async def test_body_that_is_not_a_form_is_refused(
    browser: Browser, portal_org: PortalOrganization, content_type: str
):
    await portal_org.sign_in(browser)
    page = await browser.post(f"{ENTRA}deactivate", b"nonsense", Content_Type=content_type)
    assert page.status == 403


# The content of the provisioning log.


async def test_refused_change_is_logged_with_its_detail(
    browser: Browser, portal_org: PortalOrganization, operate: Operator, scim: Client
):
    key = await operate.generate_key(portal_org.organization_id)
    org_scim = Client(scim._session, scim.url, key.token)
    created = (await org_scim("POST", "/Users", {"userName": "ann@corp.test"})).document
    refused = [
        await org_scim("POST", "/Users", {"userName": "ANN@corp.test"}),
        await org_scim("PATCH", f"/Users/{created['id']}", {"Operations": [{"op": "sing"}]}),
        await org_scim("PUT", "/Users/01999999-0000-7000-8000-000000000000", {"userName": "bob"}),
        await org_scim("POST", "/Groups", b"{"),
    ]
    assert [reply.status for reply in refused] == [409, 400, 404, 400]
    await portal_org.sign_in(browser)
    wanted = {reply.headers["X-Request-Id"]: reply.document["detail"] for reply in refused}
    found: dict[str, str] = {}
    while found.keys() < wanted.keys():
        page = await browser.get(f"{LOG}.ndjson?result=failure")
        entries = [json.loads(line) for line in page.text.splitlines()]
        found = {each["requestId"]: json.dumps(each, ensure_ascii=False) for each in entries}
    for request_id, detail in wanted.items():
        assert json.dumps(detail, ensure_ascii=False)[1:-1] in found[request_id]
        assert key.token not in found[request_id]


async def test_refused_read_is_not_logged(
    browser: Browser, portal_org: PortalOrganization, operate: Operator, scim: Client
):
    key = await operate.generate_key(portal_org.organization_id)
    org_scim = Client(scim._session, scim.url, key.token)
    assert (await org_scim("GET", "/Users/nobody")).status == 404
    await org_scim("POST", "/Groups", b"{")
    await portal_org.sign_in(browser)
    lines: list[str] = []
    while not lines:
        lines = (await browser.get(f"{LOG}.ndjson?result=failure")).text.splitlines()
    assert len(lines) == 1


async def test_deletion_of_a_deleted_resource_is_not_a_failed_change(
    browser: Browser, portal_org: PortalOrganization, operate: Operator, scim: Client
):
    key = await operate.generate_key(portal_org.organization_id)
    org_scim = Client(scim._session, scim.url, key.token)
    for endpoint, resource in (("Users", {"userName": "ann"}), ("Groups", {"displayName": "Team"})):
        created = (await org_scim("POST", f"/{endpoint}", resource)).document
        path = f"/{endpoint}/{created['id']}"
        replies = [
            await org_scim("DELETE", path),
            *[await org_scim("DELETE", path) for _ in range(5)],
            await org_scim("DELETE", f"/{endpoint}/not-a-uuid"),
        ]
        assert [reply.status for reply in replies] == [204, *[404] * 6]
        bulk = {"Operations": [{"method": "DELETE", "path": path}]}
        assert (await org_scim("POST", "/Bulk", bulk)).document["Operations"][0]["status"] == "404"
    last = await org_scim("POST", "/Groups", b"{")  # it is sent to the log after all others
    await portal_org.sign_in(browser)
    lines: list[str] = []
    while not lines:
        lines = (await browser.get(f"{LOG}.ndjson?result=failure")).text.splitlines()
    assert [json.loads(line)["requestId"] for line in lines] == [last.headers["X-Request-Id"]]
    page = await browser.get("/settings/integrations/entra")
    assert "of changes fail" not in page.text


async def test_refused_bulk_operations_are_logged_separately(
    browser: Browser, portal_org: PortalOrganization, operate: Operator, scim: Client
):
    key = await operate.generate_key(portal_org.organization_id)
    org_scim = Client(scim._session, scim.url, key.token)
    operations = [
        {"method": "POST", "path": "/Users", "bulkId": name, "data": {"userName": name} | more}
        for name, more in (("bob", {}), ("BOB", {"password": "hunter2"}))
    ]
    missing = "/Groups/01999999-0000-7000-8000-000000000000"
    operations.append({"method": "DELETE", "path": missing, "version": "malformed"})
    await org_scim("POST", "/Bulk", {"Operations": operations})
    await portal_org.sign_in(browser)
    entries: list[dict[str, object]] = []
    while len(entries) < 2:
        page = await browser.get(f"{LOG}.ndjson?result=failure")
        entries = [json.loads(line) for line in page.text.splitlines()]
    logged = sorted((str(each["action"]), str(each["name"])) for each in entries)
    assert logged == [("Create", "BOB"), ("Delete", "")]
    assert "hunter2" not in page.text
