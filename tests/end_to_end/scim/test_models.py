"""Responses are valid according to scim2-models, which is independent of our code."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
import scim2_models as models
from scim2_models import Context

from tests.support.operators import Operator
from tests.support.scim import Client, client
from tests.support.stack import Stack

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
USER = models.User[models.EnterpriseUser]
LIST = models.ListResponse[USER | models.Group]


def validate(model: Any, document: Any, context: Context) -> Any:
    """The document as a model of scim2-models; fails if it is no valid response."""
    return model.model_validate(document, scim_ctx=context)


def dump(resource: Any) -> dict[str, Any]:
    return resource.model_dump(scim_ctx=Context.DEFAULT)


def person() -> dict[str, Any]:
    """A user with a value for every attribute that a client may set, except the manager."""
    parts = {"type": "work", "display": "Work", "primary": True}
    return {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE],
        "userName": f"{uuid4().hex}@example.com",
        "externalId": uuid4().hex,
        "name": {
            "formatted": "Dr. Ann B. Li Jr.",
            "familyName": "Li",
            "givenName": "Ann",
            "middleName": "B.",
            "honorificPrefix": "Dr.",
            "honorificSuffix": "Jr.",
        },
        "displayName": "Ann Li",
        "nickName": "Ann",
        "profileUrl": "https://corp.test/ann",
        "title": "Engineer",
        "userType": "Employee",
        "preferredLanguage": "en-US",
        "locale": "en-US",
        "timezone": "Europe/Berlin",
        "active": True,
        "emails": [{"value": "ann@example.com", **parts}],
        "phoneNumbers": [{"value": "+1-201-555-0123", **parts}],
        "ims": [{"value": "ann", **parts, "type": "xmpp"}],
        "photos": [{"value": "https://corp.test/ann.png", **parts, "type": "photo"}],
        "addresses": [
            {
                "formatted": "1 Way\nTown",
                "streetAddress": "1 Way",
                "locality": "Town",
                "region": "R",
                "postalCode": "1",
                "country": "DE",
                "type": "work",
                "primary": True,
            }
        ],
        "entitlements": [{"value": "course", **parts}],
        "roles": [{"value": "learner", **parts}],
        "x509Certificates": [{"value": "MIIBAA==", **parts}],
        ENTERPRISE: {
            "employeeNumber": "7",
            "costCenter": "C",
            "organization": "O",
            "division": "V",
            "department": "R&D",
        },
    }


async def create(scim: Client, path: str, document: dict[str, Any]) -> dict[str, Any]:
    reply = await scim("POST", path, document)
    assert reply.status == 201, reply.document
    return dict(reply.document)


@pytest.fixture
async def scim(tenant: Stack, operate: Operator) -> AsyncIterator[Client]:
    """A client of a new organization, so that lists have no resources of other tests."""
    generated = await operate.generate_key(await operate.create_organization())
    async with client(replace(tenant, token=generated.token)) as sender:
        yield sender


@pytest.fixture
async def ann(scim: Client) -> dict[str, Any]:
    return await create(scim, "/Users", person())


async def test_post_get_and_put_return_the_user_that_was_sent(scim: Client):
    sent = person()
    boss = await create(scim, "/Users", person())
    sent[ENTERPRISE]["manager"] = {"value": boss["id"]}

    document = await create(scim, "/Users", sent)
    path = f"/Users/{document['id']}"
    users = [
        validate(USER, document, Context.RESOURCE_CREATION_RESPONSE),
        validate(USER, (await scim("GET", path)).document, Context.RESOURCE_QUERY_RESPONSE),
        validate(
            USER, (await scim("PUT", path, sent)).document, Context.RESOURCE_REPLACEMENT_RESPONSE
        ),
    ]

    for user in users:
        returned = dump(user)
        assert returned[ENTERPRISE].pop("manager")["value"] == boss["id"]
        expected = dump(USER.model_validate({**sent, ENTERPRISE: person()[ENTERPRISE]}))
        assert {name: returned[name] for name in expected} == expected
        assert user.meta.resource_type == "User"
        assert user.meta.location == f"{scim.url}{path}"


async def test_patch_returns_a_valid_user(scim: Client, ann: dict[str, Any]):
    operations = [
        {"op": "replace", "path": 'emails[type eq "work"].value', "value": "new@example.com"},
        {"op": "add", "path": f"{ENTERPRISE}:department", "value": "Sales"},
        {"op": "remove", "path": "title"},
    ]
    reply = await scim("PATCH", f"/Users/{ann['id']}", {"Operations": operations})

    user = validate(USER, reply.document, Context.RESOURCE_PATCH_RESPONSE)
    assert (user.emails[0].value, user.title) == ("new@example.com", None)
    assert user[models.EnterpriseUser].department == "Sales"


async def test_group_has_its_members_and_user_has_its_groups(scim: Client, ann: dict[str, Any]):
    members = [{"value": ann["id"]}]
    sent = {"schemas": [models.Group.__schema__], "displayName": "Sales", "members": members}
    document = await create(scim, "/Groups", sent)
    path = f"/Groups/{document['id']}"

    group = validate(models.Group, document, Context.RESOURCE_CREATION_RESPONSE)
    read_document = (await scim("GET", path)).document
    read_group = validate(models.Group, read_document, Context.RESOURCE_QUERY_RESPONSE)
    user = (await scim("GET", f"/Users/{ann['id']}")).document
    [membership] = validate(USER, user, Context.RESOURCE_QUERY_RESPONSE).groups

    assert dump(group) == dump(read_group)
    assert [(each.value, each.type) for each in group.members] == [(ann["id"], "User")]
    assert (membership.value, membership.type) == (group.id, "direct")
    assert membership.ref == group.meta.location


@pytest.mark.parametrize(
    "query", ["", "?count=0", "?startIndex=2&count=1", "?cursor&count=1", "?attributes=userName"]
)
@pytest.mark.parametrize("path", ["/Users", "/Groups", "/"])
async def test_every_list_is_a_valid_list_response(
    scim: Client, ann: dict[str, Any], path: str, query: str
):
    await create(scim, "/Groups", {"displayName": "Sales", "members": [{"value": ann["id"]}]})
    reply = await scim("GET", f"{path}{query}")

    assert reply.status == 200
    found = validate(LIST, reply.document, Context.RESOURCE_QUERY_RESPONSE)
    assert len(found.resources or []) == found.items_per_page


async def test_search_request_returns_a_valid_list_response(scim: Client, ann: dict[str, Any]):
    query = {"filter": f'userName eq "{ann["userName"]}"', "attributes": ["emails.value"]}
    reply = await scim("POST", "/.search", query)

    [user] = validate(LIST, reply.document, Context.SEARCH_RESPONSE).resources
    assert (user.id, user.emails[0].value) == (ann["id"], "ann@example.com")


@pytest.mark.parametrize(
    ("path", "model"),
    [("/Schemas", models.Schema), ("/ResourceTypes", models.ResourceType)],
)
async def test_discovery_lists_each_resource_as_read_alone(scim: Client, path: str, model: Any):
    reply = await scim("GET", path)
    found = validate(models.ListResponse[model], reply.document, Context.RESOURCE_QUERY_RESPONSE)

    for each in found.resources:
        alone = (await scim("GET", f"{path}/{each.id}")).document
        assert dump(validate(model, alone, Context.RESOURCE_QUERY_RESPONSE)) == dump(each)


async def test_service_provider_config_is_valid(scim: Client):
    reply = await scim("GET", "/ServiceProviderConfig")

    found = validate(models.ServiceProviderConfig, reply.document, Context.RESOURCE_QUERY_RESPONSE)
    assert found.patch.supported
    assert [each.type for each in found.authentication_schemes] == ["oauthbearertoken"]


@pytest.mark.parametrize(
    ("request_", "status", "scim_type"),
    [
        (("GET", "/Users/nobody"), 404, None),
        (("GET", "/Users?filter=nope"), 400, "invalidFilter"),
        (("POST", "/Users", b"{"), 400, "invalidSyntax"),
        (("POST", "/Users", {"active": True}), 400, "invalidValue"),
        (("PATCH", "/Users/nobody", {"Operations": [{"op": "remove"}]}), 400, "noTarget"),
    ],
)
async def test_refused_request_returns_a_valid_error(
    scim: Client, request_: tuple[Any, ...], status: int, scim_type: str | None
):
    reply = await scim(*request_)

    error = validate(models.Error, reply.document, Context.DEFAULT)
    assert (reply.status, error.status, error.scim_type) == (status, status, scim_type)
    assert error.detail


async def test_user_name_in_use_is_a_uniqueness_error(scim: Client, ann: dict[str, Any]):
    reply = await scim("POST", "/Users", {"userName": ann["userName"]})

    error = validate(models.Error, reply.document, Context.DEFAULT)
    assert (error.status, error.scim_type) == (409, "uniqueness")


async def test_bulk_request_returns_a_valid_bulk_response(scim: Client):
    operations = [
        {"method": "POST", "path": "/Users", "bulkId": "a", "data": person()},
        {"method": "POST", "path": "/Users", "bulkId": "b", "data": {}},
    ]
    reply = await scim("POST", "/Bulk", {"Operations": operations})

    bulk = validate(models.BulkResponse[USER], reply.document, Context.BULK_RESPONSE)
    assert [(each.bulk_id, each.status) for each in bulk.operations] == [("a", 201), ("b", 400)]
