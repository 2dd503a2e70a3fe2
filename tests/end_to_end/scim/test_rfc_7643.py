"""Requirements of RFC 7643 on resources and schemas that no other test covers."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from tests.support.scim import Client
from tests.support.scim_documents import ENTERPRISE, GROUP, USER, patch, person, refusal


async def create(scim: Client, path: str, document: dict[str, Any]) -> Any:
    reply = await scim("POST", path, document)
    assert reply.status == 201
    return reply.document


def team(*members: str) -> dict[str, Any]:
    return {
        "schemas": [GROUP],
        "displayName": f"Team {uuid4().hex}",
        "members": [{"value": each} for each in members],
    }


async def test_created_and_last_modified_are_date_times_in_utc(scim: Client):
    before = datetime.now(UTC)
    user = await create(scim, "/Users", person())
    after = datetime.now(UTC)

    times = [user["meta"][name] for name in ("created", "lastModified")]
    assert [each[-1] for each in times] == ["Z", "Z"]
    assert all(before <= datetime.fromisoformat(each) <= after for each in times)


async def test_binary_value_must_be_base64_and_is_stored_as_sent(scim: Client):
    certificates = [{"value": "MIIBAA=="}]
    user = await create(scim, "/Users", person(x509Certificates=certificates))
    refused = await scim("POST", "/Users", person(x509Certificates=[{"value": "no base64!"}]))

    assert user["x509Certificates"] == certificates
    assert refusal(refused) == (400, "invalidValue")


async def test_ref_is_a_url_that_returns_the_resource(scim: Client):
    boss = await create(scim, "/Users", person())
    worker = await create(scim, "/Users", person(**{ENTERPRISE: {"manager": boss["id"]}}))
    group = await create(scim, "/Groups", team(worker["id"]))

    urls = [worker[ENTERPRISE]["manager"]["$ref"], group["members"][0]["$ref"]]
    paths = [url.removeprefix(scim.url) for url in urls]
    found = [(await scim("GET", path)).document["id"] for path in paths]
    assert found == [boss["id"], worker["id"]]


async def test_external_reference_is_stored_as_sent(scim: Client):
    photos = [{"value": "ann li.png"}]
    user = await create(scim, "/Users", person(profileUrl="Ann Li", photos=photos))

    assert (user["profileUrl"], user["photos"]) == ("Ann Li", photos)


async def test_repeated_value_of_one_type_is_returned_once(scim: Client):
    email = {"value": "ann@corp.test", "type": "work"}
    user = await create(scim, "/Users", person(emails=[email, {**email, "display": "Ann"}]))

    assert user["emails"] == [{**email, "display": "Ann"}]


async def test_type_outside_canonical_values_is_stored(scim: Client):
    addresses = [{"type": "cabin", "country": "Switzerland"}]
    user = await create(scim, "/Users", person(addresses=addresses))

    assert user["addresses"] == addresses


async def test_phone_numbers_and_emails_are_stored_as_sent(scim: Client):
    values = {"emails": [{"value": "Ann@CORP.test"}], "phoneNumbers": [{"value": "555 1234"}]}
    user = await create(scim, "/Users", person(**values))

    assert {name: user[name] for name in values} == values


async def test_resource_without_schemas_gets_schema_of_its_endpoint(scim: Client):
    user = await create(scim, "/Users", {"userName": f"{uuid4().hex}@corp.test"})

    assert user["schemas"] == [USER]


async def test_schemas_lists_each_used_schema_once(scim: Client):
    sent = person(**{ENTERPRISE: {"department": "Tours"}})
    sent["schemas"] = [USER, USER]
    user = await create(scim, "/Users", sent)

    assert user["schemas"] == [USER, ENTERPRISE]


@pytest.mark.parametrize("path", ["/Users", "/Groups"])
async def test_meta_location_is_the_url_of_the_resource(scim: Client, path: str):
    document = await create(scim, path, team() if path == "/Groups" else person())

    read = await scim("GET", f"{path}/{document['id']}")

    location = f"{scim.url}{path}/{document['id']}"
    assert read.document["meta"]["location"] == location
    assert read.headers["Content-Location"] == location
    assert read.document["meta"]["version"] == read.headers["ETag"]


async def test_user_needs_only_a_user_name(scim: Client):
    sent = person()
    user = await create(scim, "/Users", sent)

    assert {name: user[name] for name in user if name not in ("id", "meta")} == {
        **sent,
        "active": True,
    }


async def test_user_has_its_direct_and_indirect_groups(scim: Client):
    user = await create(scim, "/Users", person())
    inner = await create(scim, "/Groups", team(user["id"]))
    outer = await create(scim, "/Groups", team(inner["id"]))

    read = await scim("GET", f"/Users/{user['id']}")

    groups = sorted(read.document["groups"], key=lambda each: each["type"])
    assert groups == [
        {
            "value": group["id"],
            "$ref": f"{scim.url}/Groups/{group['id']}",
            "display": group["displayName"],
            "type": type_,
        }
        for group, type_ in ((inner, "direct"), (outer, "indirect"))
    ]


async def test_groups_of_a_user_are_read_only(scim: Client):
    user = await create(scim, "/Users", person(groups=[{"value": str(uuid4())}]))

    body = patch("add", "groups", [{"value": str(uuid4())}])
    patched = await scim("PATCH", f"/Users/{user['id']}", body)

    assert "groups" not in user
    assert refusal(patched) == (400, "mutability")


async def test_group_members_may_be_users_and_groups(scim: Client):
    user = await create(scim, "/Users", person())
    inner = await create(scim, "/Groups", team())
    sent = {**team(user["id"], inner["id"]), "externalId": uuid4().hex}

    group = await create(scim, "/Groups", sent)

    location = f"{scim.url}/Groups/{group['id']}"
    members = [("Users", "User", user["id"]), ("Groups", "Group", inner["id"])]
    group["members"].sort(key=lambda each: each["type"], reverse=True)
    assert group == {
        **sent,
        "id": group["id"],
        "members": [
            {"value": id_, "$ref": f"{scim.url}/{endpoint}/{id_}", "type": type_}
            for endpoint, type_, id_ in members
        ],
        "meta": {
            "resourceType": "Group",
            "created": group["meta"]["created"],
            "lastModified": group["meta"]["created"],
            "version": group["meta"]["version"],
            "location": location,
        },
    }


async def test_member_display_is_returned_on_request(scim: Client):
    user = await create(scim, "/Users", person(displayName="Ann"))
    group = await create(scim, "/Groups", team(user["id"]))

    read = await scim("GET", f"/Groups/{group['id']}?attributes=members.display")

    assert read.document["members"] == [{"display": "Ann"}]


async def test_group_without_display_name_is_refused(scim: Client):
    reply = await scim("POST", "/Groups", {"schemas": [GROUP]})

    assert refusal(reply) == (400, "invalidValue")


async def test_manager_display_name_is_not_returned(scim: Client):
    boss = await create(scim, "/Users", person(displayName="Boss"))
    manager = {"value": boss["id"], "displayName": "Somebody"}

    user = await create(scim, "/Users", person(**{ENTERPRISE: {"manager": manager}}))

    reference = f"{scim.url}/Users/{boss['id']}"
    assert user[ENTERPRISE] == {"manager": {"value": boss["id"], "$ref": reference}}


async def test_service_provider_config_has_all_required_attributes(scim: Client):
    reply = await scim("GET", "/ServiceProviderConfig")

    document = dict(reply.document)
    scheme = document.pop("authenticationSchemes")[0]
    assert {name: type(scheme[name]) for name in scheme} == {
        "type": str,
        "name": str,
        "description": str,
        "specUri": str,
        "primary": bool,
    }
    assert document == {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "documentationUri": document["documentationUri"],
        "patch": {"supported": True},
        "bulk": {"supported": True, "maxOperations": 1000, "maxPayloadSize": 1048576},
        "filter": {"supported": True, "maxResults": 1000},
        "changePassword": {"supported": False},
        "sort": {"supported": True},
        "etag": {"supported": True},
        "pagination": document["pagination"],
        "meta": {
            "resourceType": "ServiceProviderConfig",
            "location": f"{scim.url}/ServiceProviderConfig",
        },
    }


async def test_resource_types_name_existing_endpoints_and_schemas(scim: Client):
    types = (await scim("GET", "/ResourceTypes")).document["Resources"]
    schemas = (await scim("GET", "/Schemas")).document["Resources"]

    referenced = {each["schema"] for each in types}
    referenced |= {extension["schema"] for each in types for extension in each["schemaExtensions"]}
    endpoints = [await scim("GET", f"{each['endpoint']}?count=0") for each in types]
    assert {each["name"] for each in types} == {"User", "Group"}
    assert {each["id"] for each in schemas} == referenced >= {USER, GROUP, ENTERPRISE}
    assert [each.status for each in endpoints] == [200, 200]
