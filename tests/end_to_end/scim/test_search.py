"""POST to /.search, queries at the root and /Me over HTTP (RFC 7644 sections 3.4.3 and 3.11)."""

from dataclasses import replace
from urllib.parse import quote

import pytest

from tests.support.operators import Operator
from tests.support.scim import Client, Reply, client
from tests.support.scim_documents import USER, person
from tests.support.stack import Stack

LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
SEARCH = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"


def refusal(reply: Reply) -> tuple[int, str | None]:
    return reply.status, reply.document.get("scimType")


@pytest.mark.parametrize("path", ["/Users/.search", "/.search"])
async def test_a_search_answers_what_its_body_asks_for(scim: Client, path):
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


async def test_the_root_answers_a_get_as_its_search(scim: Client):
    created = await scim("POST", "/Users", person())
    user_name = created.document["userName"]
    wanted = f'meta.resourceType eq "User" and userName eq "{user_name}"'

    by_get = await scim("GET", f"/?filter={quote(wanted)}")
    by_post = await scim("POST", "/.search", {"filter": wanted})

    assert by_get.document["Resources"] == [created.document]
    assert by_post.document == by_get.document


async def test_a_filter_on_the_type_of_a_resource_is_decided_by_the_type(scim: Client):
    created = await scim("POST", "/Users", person())
    same = f'id eq "{created.document["id"]}"'
    for condition, resources in (
        ('meta.resourceType eq "User"', [created.document]),
        ('meta.resourceType eq "Group"', []),
        (f'schemas eq "{USER}"', [created.document]),
        ('schemas eq "urn:none"', []),
    ):
        found = await scim("POST", "/Users/.search", {"filter": f"{same} and {condition}"})
        assert found.document == {
            "schemas": [LIST],
            "totalResults": len(resources),
            "startIndex": 1,
            "itemsPerPage": len(resources),
            "Resources": resources,
        }


async def test_an_extension_among_the_schemas_can_be_asked_for(scim: Client):
    enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
    created = await scim("POST", "/Users", person(**{enterprise: {"department": "Tours"}}))
    plain = await scim("POST", "/Users", person())
    ids = " or ".join(f'id eq "{each.document["id"]}"' for each in (created, plain))
    found = await scim("POST", "/.search", {"filter": f'schemas eq "{enterprise}" and ({ids})'})
    assert found.document["Resources"] == [created.document]


async def test_what_no_type_can_be_asked_for_is_refused(scim: Client):
    for path in ("/.search", "/Users/.search"):
        reply = await scim("POST", path, {"filter": "bogus pr"})
        assert refusal(reply) == (400, "invalidFilter")
        assert refusal(await scim("POST", path, {"sortBy": "bogus"})) == (400, "invalidValue")
        assert refusal(await scim("POST", path, {"count": []})) == (400, "invalidValue")
        assert refusal(await scim("POST", path, [])) == (400, "invalidSyntax")
        assert refusal(await scim("GET", path))[0] in (404, 405)


async def test_nobody_is_me(scim: Client):
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        reply = await scim(method, "/Me", {})
        assert (reply.status, reply.document["status"]) == (501, "501")
        assert "/Users/{id}" in reply.document["detail"]


async def test_a_new_user_and_a_new_group_are_on_the_first_page_of_everything(
    tenant: Stack, operate: Operator
):
    key = await operate.key(await operate.organization())  # of its own: users alone fill a page
    async with client(replace(tenant, token=key.token)) as scim:
        user = await scim("POST", "/Users", person())
        group = await scim("POST", "/Groups", {"displayName": "Team"})
        page = await scim("POST", "/.search", {"attributes": ["id"]})

    ids = {resource["id"] for resource in page.document["Resources"]}
    assert {user.document["id"], group.document["id"]} <= ids
