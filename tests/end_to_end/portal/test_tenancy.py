"""Tenant isolation of the portal: no page or form reaches another organization.

The tests call every route, with the other organization's ids and tokens in path, query and form.
"""

import re
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from cloudacademy.keys.v1 import keys_pb2

from gateway.portal.context import Access, Route
from gateway.portal.routes import all_routes
from tests.support.browser import Browser, Page, open_browser
from tests.support.neighbours import NAME_PREFIX, Neighbour, create_neighbour, stored_rows
from tests.support.operators import Operator
from tests.support.portal_organization import ENTRA, PortalOrganization, create_portal_organization
from tests.support.scim import Client
from tests.support.stack import Stack

IDS = ("user", "group", "key", "activity", "organization")
FORM = ("newest", "key_id", "user_id", "organization_id", "domains", "sso_url", "email")


@pytest.fixture
async def neighbour(operate: Operator, tenant: Stack, scim: Client) -> Neighbour:
    return await create_neighbour(operate, tenant, scim)


@pytest.fixture
async def portal_org(operate: Operator, tenant: Stack) -> PortalOrganization:
    return await create_portal_organization(operate, tenant, "Attacker")


def paths(route: Route, known) -> list[str]:
    """The paths of a route with each id of the other organization."""
    ids = [known[name] for name in IDS] if "{" in route.path else [""]
    return sorted({re.sub(r"{\w+}", quote(each, safe=""), route.path) for each in ids})


def queries(known) -> Iterator[str]:
    yield ""
    for value in (NAME_PREFIX, known["user"], known["user_name"], known["request"]):
        yield f"?q={quote(value)}"
    for name in ("page", "members"):
        for token in ("users_page", "activities_page", "audit_page", "group"):
            yield f"?{name}={quote(known[token])}"


async def get_page(client: Browser, path: str) -> Page:
    page = await client.get(path)
    assert page.status < 500, path
    return page


async def test_no_page_shows_data_of_another_organization(
    tenant: Stack, browser: Browser, portal_org: PortalOrganization, neighbour: Neighbour
):
    before = await stored_rows(tenant, neighbour.organization_id)
    await portal_org.sign_in(browser)
    pages = [each for each in all_routes() if each.method == "GET"]
    for route in pages:
        for path in paths(route, neighbour.known):
            for query in queries(neighbour.known):
                page = await get_page(browser, path + query)
                assert neighbour.marker not in page.text + str(page.headers), path + query
    assert await stored_rows(tenant, neighbour.organization_id) == before

    # The neighbour itself sees the data on these pages, so the assertions above can fail.
    async with open_browser(tenant.base_url) as owner:
        await neighbour.portal_org.sign_in(owner)
        showing = {
            route.path
            for route in pages
            for path in paths(route, neighbour.known)
            if neighbour.marker in (await get_page(owner, path)).text
        }
    assert showing >= {"/dashboard/", "/people/", "/people/{id}", "/groups/", "/groups/{id}"}
    assert showing >= {f"{ENTRA}log", f"{ENTRA}log.csv", f"{ENTRA}log.ndjson", f"{ENTRA}log/live"}


async def test_no_form_changes_data_of_another_organization(
    tenant: Stack, operate: Operator, portal_org: PortalOrganization, neighbour: Neighbour
):
    before = await stored_rows(tenant, neighbour.organization_id)
    known = neighbour.known
    hostile = [dict.fromkeys(FORM, known[each]) for each in IDS]
    forms = [each for each in all_routes() if each.method == "POST"]
    assert len(forms) > 5
    for route in forms:
        for path in paths(route, known):
            async with open_browser(tenant.base_url) as client:
                await portal_org.sign_in(client)
                where = "/login/link" if route.access is Access.PUBLIC else f"{ENTRA}keys/new"
                await operate.integrations.ActivateIntegration(
                    keys_pb2.ActivateIntegrationRequest(organization_id=portal_org.organization_id)
                )
                _, fields = (await client.get(where)).form()
                for each in hostile:
                    page = await client.post(path, fields | each)
                    assert page.status < 500, path
                    assert neighbour.marker not in page.text + str(page.headers), path
    assert await stored_rows(tenant, neighbour.organization_id) == before


async def test_session_token_with_another_organization_is_refused(
    tenant: Stack, browser: Browser, portal_org: PortalOrganization, neighbour: Neighbour
):
    await portal_org.sign_in(browser)
    own = browser.cookie("session-us") or ""
    async with open_browser(tenant.base_url) as owner:
        await neighbour.portal_org.sign_in(owner)
        other = owner.cookie("session-us") or ""
    organization, secret = other.partition(".")[0], own.partition(".")[2]
    for mixed in (f"{organization}.{secret}", f"{own.partition('.')[0]}.{other[-43:]}"):
        async with open_browser(tenant.base_url) as client:
            client.put_cookie("session-us", mixed)
            assert (await client.get("/people/")).status == 303
