"""POST to /.search, queries at the root, and /Me over HTTP (RFC 7644 sections 3.4.3 and 3.11)."""

from dataclasses import replace
from urllib.parse import quote
from uuid import uuid4

import pytest

from tests.support.operators import Operator
from tests.support.scim import Client, client
from tests.support.scim_documents import ENTERPRISE, LIST, USER, person, refusal
from tests.support.stack import Stack

SEARCH = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"


@pytest.mark.parametrize("path", ["/Users/.search", "/.search"])
async def test_search_request_filters_sorts_pages_and_projects(scim: Client, path):
    title = person()["userName"]
    created = [await scim("POST", "/Users", person(title=title)) for _ in range(3)]

    found = await scim(
        "POST",
        path,
        {
            "schemas": [SEARCH],
            "attributes": ["userName", "title"],
            "filter": f'title eq "{title}"',
            "sortBy": "id",
            "sortOrder": "descending",
            "startIndex": 2,
            "count": 1,
        },
    )

    second = created[1].document
    assert (found.status, found.document) == (
        200,
        {
            "schemas": [LIST],
            "totalResults": 3,
            "startIndex": 2,
            "itemsPerPage": 1,
            "Resources": [
                {
                    "schemas": [USER],
                    "id": second["id"],
                    "userName": second["userName"],
                    "title": title,
                }
            ],
        },
    )


@pytest.mark.parametrize("name", ["id", "externalId"])
async def test_filter_of_200_ids_fits_into_a_get_and_a_search(scim: Client, name):
    external_id = str(uuid4())
    user = (await scim("POST", "/Users", person(externalId=external_id))).document
    values = [user[name], *[str(uuid4()) for _ in range(199)]]
    wanted = " or ".join([f'{name} eq "{value}"' for value in values])

    for reply in (
        await scim("GET", f"/Users?filter={quote(wanted)}"),
        await scim("POST", "/.search", {"schemas": [SEARCH], "filter": wanted}),
    ):
        assert (reply.status, reply.document["Resources"]) == (200, [user])


async def test_root_query_by_get_equals_root_search_request(scim: Client):
    created = await scim("POST", "/Users", person())
    user_name = created.document["userName"]
    filter_ = f'meta.resourceType eq "User" and userName eq "{user_name}"'

    by_get = await scim("GET", f"/?filter={quote(filter_)}")
    by_post = await scim("POST", "/.search", {"filter": filter_})

    assert by_get.document["Resources"] == [created.document]
    assert by_post.document == by_get.document


async def test_filter_by_resource_type_or_schemas_finds_only_that_type(scim: Client):
    created = await scim("POST", "/Users", person())
    by_id = f'id eq "{created.document["id"]}"'
    for condition, resources in (
        ('meta.resourceType eq "User"', [created.document]),
        ('meta.resourceType eq "Group"', []),
        (f'schemas eq "{USER}"', [created.document]),
        ('schemas eq "urn:none"', []),
    ):
        found = await scim("POST", "/Users/.search", {"filter": f"{by_id} and {condition}"})
        assert found.document == {
            "schemas": [LIST],
            "totalResults": len(resources),
            "startIndex": 1,
            "itemsPerPage": len(resources),
            "Resources": resources,
        }


async def test_filter_by_extension_schema_finds_users_that_have_it(scim: Client):
    created = await scim("POST", "/Users", person(**{ENTERPRISE: {"department": "Tours"}}))
    plain = await scim("POST", "/Users", person())
    ids = " or ".join(f'id eq "{each.document["id"]}"' for each in (created, plain))
    found = await scim("POST", "/.search", {"filter": f'schemas eq "{ENTERPRISE}" and ({ids})'})
    assert found.document["Resources"] == [created.document]


async def test_invalid_search_request_is_refused(scim: Client):
    for path in ("/.search", "/Users/.search"):
        reply = await scim("POST", path, {"filter": "bogus pr"})
        assert refusal(reply) == (400, "invalidFilter")
        assert refusal(await scim("POST", path, {"sortBy": "bogus"})) == (400, "invalidValue")
        assert refusal(await scim("POST", path, {"count": []})) == (400, "invalidValue")
        assert refusal(await scim("POST", path, [])) == (400, "invalidSyntax")
        assert refusal(await scim("GET", path))[0] in (404, 405)


async def test_me_endpoint_is_501(scim: Client):
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        reply = await scim(method, "/Me", {})
        assert (reply.status, reply.document["status"]) == (501, "501")
        assert "/Users/{id}" in reply.document["detail"]


async def test_first_root_page_has_newest_user_and_newest_group(tenant: Stack, operate: Operator):
    # A new organization: in the shared one, users of other tests fill the first page.
    key = await operate.generate_key(await operate.create_organization())
    async with client(replace(tenant, token=key.token)) as scim:
        user = await scim("POST", "/Users", person())
        group = await scim("POST", "/Groups", {"displayName": "Team"})
        page = await scim("POST", "/.search", {"attributes": ["id"]})

    ids = {resource["id"] for resource in page.document["Resources"]}
    assert {user.document["id"], group.document["id"]} <= ids
