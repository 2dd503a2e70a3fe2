"""What RFC 7643 says of resources and their schemas, where no other test shows it."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from tests.support.scim import Client, Reply
from tests.support.scim_documents import ENTERPRISE, USER, person

GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


def refusal(reply: Reply) -> tuple[int, str | None]:
    return reply.status, reply.document.get("scimType")


async def created(scim: Client, path: str, document: dict[str, Any]) -> Any:
    reply = await scim("POST", path, document)
    assert reply.status == 201
    return reply.document


def team(*members: str) -> dict[str, Any]:
    return {
        "schemas": [GROUP],
        "displayName": f"Team {uuid4().hex}",
        "members": [{"value": each} for each in members],
    }


async def test_the_times_of_a_resource_are_date_times_in_utc(scim: Client):
    before = datetime.now(UTC)
    user = await created(scim, "/Users", person())
    after = datetime.now(UTC)

    times = [user["meta"][name] for name in ("created", "lastModified")]
    assert [each[-1] for each in times] == ["Z", "Z"]
    assert all(before <= datetime.fromisoformat(each) <= after for each in times)


async def test_a_binary_value_is_base64_and_kept_as_it_was_sent(scim: Client):
    certificates = [{"value": "MIIBAA=="}]
    user = await created(scim, "/Users", person(x509Certificates=certificates))
    other = await scim("POST", "/Users", person(x509Certificates=[{"value": "no base64!"}]))

    assert user["x509Certificates"] == certificates
    assert refusal(other) == (400, "invalidValue")


async def test_the_address_in_a_reference_leads_to_the_resource(scim: Client):
    boss = await created(scim, "/Users", person())
    worker = await created(scim, "/Users", person(**{ENTERPRISE: {"manager": boss["id"]}}))
    group = await created(scim, "/Groups", team(worker["id"]))

    addresses = [worker[ENTERPRISE]["manager"]["$ref"], group["members"][0]["$ref"]]
    paths = [address.removeprefix(scim.url) for address in addresses]
    found = [(await scim("GET", path)).document["id"] for path in paths]
    assert found == [boss["id"], worker["id"]]


async def test_a_reference_to_something_outside_is_kept_as_it_was_sent(scim: Client):
    photos = [{"value": "ann li.png"}]
    user = await created(scim, "/Users", person(profileUrl="Ann Li", photos=photos))

    assert (user["profileUrl"], user["photos"]) == ("Ann Li", photos)


async def test_a_value_that_is_sent_twice_is_returned_once(scim: Client):
    email = {"value": "ann@corp.test", "type": "work"}
    user = await created(scim, "/Users", person(emails=[email, {**email, "display": "Ann"}]))

    assert user["emails"] == [{**email, "display": "Ann"}]


async def test_other_types_than_the_canonical_ones_are_kept(scim: Client):
    addresses = [{"type": "cabin", "country": "Switzerland"}]
    user = await created(scim, "/Users", person(addresses=addresses))

    assert user["addresses"] == addresses


async def test_phone_numbers_and_e_mail_addresses_are_kept_as_they_were_sent(scim: Client):
    values = {"emails": [{"value": "Ann@CORP.test"}], "phoneNumbers": [{"value": "555 1234"}]}
    user = await created(scim, "/Users", person(**values))

    assert {name: user[name] for name in values} == values


async def test_a_resource_without_schemas_is_one_of_its_endpoint(scim: Client):
    user = await created(scim, "/Users", {"userName": f"{uuid4().hex}@corp.test"})

    assert user["schemas"] == [USER]


async def test_schemas_names_what_a_resource_holds_and_each_once(scim: Client):
    sent = person(**{ENTERPRISE: {"department": "Tours"}})
    sent["schemas"] = [USER, USER]
    user = await created(scim, "/Users", sent)

    assert user["schemas"] == [USER, ENTERPRISE]


@pytest.mark.parametrize("path", ["/Users", "/Groups"])
async def test_the_location_of_a_resource_is_where_it_was_found(scim: Client, path: str):
    document = await created(scim, path, team() if path == "/Groups" else person())

    read = await scim("GET", f"{path}/{document['id']}")

    location = f"{scim.url}{path}/{document['id']}"
    assert read.document["meta"]["location"] == location
    assert read.headers["Content-Location"] == location
    assert read.document["meta"]["version"] == read.headers["ETag"]


async def test_nothing_but_a_name_makes_a_user(scim: Client):
    sent = person()
    user = await created(scim, "/Users", sent)

    assert {name: user[name] for name in user if name not in ("id", "meta")} == {
        **sent,
        "active": True,
    }


async def test_a_user_is_told_the_groups_that_it_is_in_directly_and_through_others(scim: Client):
    user = await created(scim, "/Users", person())
    inner = await created(scim, "/Groups", team(user["id"]))
    outer = await created(scim, "/Groups", team(inner["id"]))

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


async def test_the_groups_of_a_user_are_changed_at_the_groups_only(scim: Client):
    user = await created(scim, "/Users", person(groups=[{"value": str(uuid4())}]))
    operation = {"op": "add", "path": "groups", "value": [{"value": str(uuid4())}]}

    body = {"schemas": [PATCH_OP], "Operations": [operation]}
    patched = await scim("PATCH", f"/Users/{user['id']}", body)

    assert "groups" not in user
    assert refusal(patched) == (400, "mutability")


async def test_a_group_holds_users_and_groups(scim: Client):
    user = await created(scim, "/Users", person())
    inner = await created(scim, "/Groups", team())
    sent = {**team(user["id"], inner["id"]), "externalId": uuid4().hex}

    group = await created(scim, "/Groups", sent)

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


async def test_a_member_s_name_is_told_when_it_is_asked_for(scim: Client):
    user = await created(scim, "/Users", person(displayName="Ann"))
    group = await created(scim, "/Groups", team(user["id"]))

    read = await scim("GET", f"/Groups/{group['id']}?attributes=members.display")

    assert read.document["members"] == [{"display": "Ann"}]


async def test_a_group_needs_a_name(scim: Client):
    reply = await scim("POST", "/Groups", {"schemas": [GROUP]})

    assert refusal(reply) == (400, "invalidValue")


async def test_a_manager_s_name_is_not_told(scim: Client):
    boss = await created(scim, "/Users", person(displayName="Boss"))
    manager = {"value": boss["id"], "displayName": "Somebody"}

    user = await created(scim, "/Users", person(**{ENTERPRISE: {"manager": manager}}))

    reference = f"{scim.url}/Users/{boss['id']}"
    assert user[ENTERPRISE] == {"manager": {"value": boss["id"], "$ref": reference}}


async def test_the_configuration_says_all_that_it_has_to(scim: Client):
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


async def test_each_resource_type_leads_to_its_endpoint_and_its_schemas(scim: Client):
    types = (await scim("GET", "/ResourceTypes")).document["Resources"]
    schemas = (await scim("GET", "/Schemas")).document["Resources"]

    wanted = {each["schema"] for each in types}
    wanted |= {extension["schema"] for each in types for extension in each["schemaExtensions"]}
    endpoints = [await scim("GET", f"{each['endpoint']}?count=0") for each in types]
    assert {each["name"] for each in types} == {"User", "Group"}
    assert {each["id"] for each in schemas} == wanted >= {USER, GROUP, ENTERPRISE}
    assert [each.status for each in endpoints] == [200, 200]
