"""Extension schemas that an organization registers: discovery, values, PATCH and queries."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import quote

import pytest
from cloudacademy.users.v1 import schemas_pb2 as pb

from tests.support.operators import Operator
from tests.support.scim import Client, Reply, client
from tests.support.scim_documents import PATCH_OP, USER, person
from tests.support.stack import Stack
from tests.support.waiting import eventually

BADGE = "urn:acme:provisioning:2.0:Badge"
A = pb.Attribute

BADGE_SCHEMA = pb.Schema(
    urn=BADGE,
    name="Badge",
    description="What people wear",
    attributes=[
        A(name="badge", type=A.TYPE_STRING, canonical_values=["blue"], description="Its color"),
        A(name="valid", type=A.TYPE_BOOLEAN),
        A(name="floor", type=A.TYPE_INTEGER),
        A(name="ratio", type=A.TYPE_DECIMAL),
        A(name="issued", type=A.TYPE_DATE_TIME),
        A(name="photo", type=A.TYPE_REFERENCE),
        A(name="tags", type=A.TYPE_STRING, multi_valued=True, case_exact=True),
        A(name="serial", type=A.TYPE_STRING, mutability=A.MUTABILITY_IMMUTABLE),
        A(name="pin", type=A.TYPE_STRING, returned=A.RETURNED_NEVER),
        A(name="note", type=A.TYPE_STRING, returned=A.RETURNED_REQUEST),
        A(name="office", type=A.TYPE_COMPLEX, sub_attributes=[
            A(name="city", type=A.TYPE_STRING, required=True),
            A(name="desk", type=A.TYPE_INTEGER),
        ]),
        A(name="doors", type=A.TYPE_COMPLEX, multi_valued=True, sub_attributes=[
            A(name="value", type=A.TYPE_STRING), A(name="type", type=A.TYPE_STRING),
        ]),
    ],
)  # fmt: skip

BADGE_VALUES = {
    "badge": "blue",
    "valid": True,
    "floor": 3,
    "ratio": 0.5,
    "issued": "2026-01-31T09:30:00Z",
    "photo": "https://acme.test/p",
    "tags": ["a", "B"],
    "serial": "s1",
    "office": {"city": "Oslo", "desk": 12},
    "doors": [{"value": "north", "type": "main"}, {"value": "south", "type": "back"}],
}


@asynccontextmanager
async def new_client(tenant: Stack, operate: Operator, *schemas: pb.Schema):
    """A client of a new organization with these registered schemas."""
    organization_id = await operate.create_organization()
    for schema in schemas:
        await operate.register(organization_id, schema)
    key = await operate.generate_key(organization_id)
    async with client(replace(tenant, token=key.token)) as sender:
        yield sender


@pytest.fixture
async def acme(tenant: Stack, operate: Operator) -> AsyncIterator[Client]:
    async with new_client(tenant, operate, BADGE_SCHEMA) as sender:
        yield sender


async def create_user(scim: Client, **values: object) -> Reply:
    reply = await scim("POST", "/Users", person(**{BADGE: values} if values else {}))
    assert reply.status == 201, reply.document
    return reply


async def patch(scim: Client, reply: Reply, *operations: dict[str, object]) -> Reply:
    body = {"schemas": [PATCH_OP], "Operations": operations}
    return await scim("PATCH", f"/Users/{reply.document['id']}", body)


async def matching_ids(scim: Client, filter_: str) -> list[str]:
    reply = await scim("GET", f"/Users?filter={quote(filter_)}&sortBy=userName")
    assert reply.status == 200, reply.document
    return [each["id"] for each in reply.document["Resources"]]


async def test_registered_schema_is_listed_with_its_characteristics(acme: Client):
    schemas = (await acme("GET", "/Schemas")).document["Resources"]
    schema = (await acme("GET", f"/Schemas/{BADGE}")).document
    types = (await acme("GET", "/ResourceTypes")).document["Resources"]

    assert schema in schemas
    assert (schema["id"], schema["name"]) == (BADGE, "Badge")
    assert schema["description"] == "What people wear"
    assert schema["attributes"][0] == {
        "name": "badge",
        "type": "string",
        "multiValued": False,
        "description": "Its color",
        "required": False,
        "caseExact": False,
        "mutability": "readWrite",
        "returned": "default",
        "uniqueness": "none",
        "canonicalValues": ["blue"],
    }
    by_name = {each["name"]: each for each in schema["attributes"]}
    assert by_name["serial"]["mutability"] == "immutable"
    assert (by_name["pin"]["returned"], by_name["note"]["returned"]) == ("never", "request")
    assert (by_name["photo"]["caseExact"], by_name["tags"]["multiValued"]) == (True, True)
    assert by_name["office"]["subAttributes"][0]["required"] is True
    (user,) = [each for each in types if each["name"] == "User"]
    assert {"schema": BADGE, "required": False} in user["schemaExtensions"]


async def test_values_of_every_type_are_returned_with_their_schema(acme: Client):
    reply = await create_user(acme, **BADGE_VALUES, pin="1234")

    assert reply.document[BADGE] == BADGE_VALUES
    assert reply.document["schemas"] == [USER, BADGE]
    assert (await acme("GET", f"/Users/{reply.document['id']}")).document == reply.document
    plain = await create_user(acme)
    assert (plain.document["schemas"], BADGE in plain.document) == ([USER], False)


async def test_attribute_is_unknown_to_another_organization(
    acme: Client, tenant: Stack, operate: Operator
):
    async with new_client(tenant, operate) as other:
        reply = await create_user(other, badge="blue")
        listed = (await other("GET", "/Schemas")).document["Resources"]
        missing = await other("GET", f"/Schemas/{BADGE}")
        refused = await other("GET", "/Users?filter=" + quote(f'{BADGE}:badge eq "blue"'))

    assert BADGE not in reply.document
    assert BADGE not in [each["id"] for each in listed]
    assert (missing.status, refused.status) == (404, 400)
    assert refused.document["scimType"] == "invalidFilter"
    assert await matching_ids(acme, f'{BADGE}:badge eq "blue"') == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("floor", "many"),
        ("valid", 7),
        ("issued", "yesterday"),
        ("photo", "no uri"),
        ("office", {"desk": 1}),
        ("badge", "x" * 8_193),
        ("tags", [str(number) for number in range(251)]),
    ],
)
async def test_invalid_value_is_refused_with_its_attribute_path(
    acme: Client, name: str, value: object
):
    reply = await acme("POST", "/Users", person(**{BADGE: {name: value}}))

    assert (reply.status, reply.document["scimType"]) == (400, "invalidValue")
    assert f"{BADGE}:{name}" in reply.document["detail"]


async def test_put_replaces_values_and_keeps_immutable_ones(acme: Client):
    reply = await create_user(acme, **BADGE_VALUES)
    path = f"/Users/{reply.document['id']}"
    body = {"userName": reply.document["userName"], BADGE: {"badge": "red", "Floor": "4"}}

    replaced = await acme("PUT", path, body)
    same = await acme("PUT", path, body)
    refused = await acme("PUT", path, {**body, BADGE: {"serial": "s2"}})

    assert replaced.document[BADGE] == {"badge": "red", "floor": 4, "serial": "s1"}
    assert same.document["meta"] == replaced.document["meta"]
    assert (refused.status, refused.document["scimType"]) == (400, "mutability")


async def test_patch_accepts_paths_and_keys_of_both_dialects(acme: Client):
    reply = await create_user(acme)

    steps = [
        ({"op": "Add", "path": f"{BADGE}:badge", "value": "red"}, {"badge": "red"}),
        ({"op": "replace", "value": {f"{BADGE}:badge": "blue", f"{BADGE}:valid": "True"}},
         {"badge": "blue", "valid": True}),
        ({"op": "add", "value": {BADGE: {"floor": 3}}},
         {"badge": "blue", "valid": True, "floor": 3}),
        ({"op": "remove", "path": f"{BADGE}:valid"}, {"badge": "blue", "floor": 3}),
        ({"op": "replace", "path": f"{BADGE.upper()}:office.city", "value": "Rome"},
         {"badge": "blue", "floor": 3, "office": {"city": "Rome"}}),
        ({"op": "add", "path": f"{BADGE}:tags", "value": ["x"]},
         {"badge": "blue", "floor": 3, "office": {"city": "Rome"}, "tags": ["x"]}),
        ({"op": "replace", "path": f"{BADGE}:issued", "value": "2026-01-31T09:30:00"},
         {"badge": "blue", "floor": 3, "office": {"city": "Rome"}, "tags": ["x"],
          "issued": "2026-01-31T09:30:00Z"}),
    ]  # fmt: skip
    for operation, expected in steps:
        changed = await patch(acme, reply, operation)
        assert changed.document.get(BADGE) == expected, operation
    gone = await patch(acme, reply, {"op": "remove", "path": BADGE})
    assert (gone.document["schemas"], BADGE in gone.document) == ([USER], False)


async def test_patch_changes_elements_that_match_a_value_filter(acme: Client):
    reply = await create_user(acme, doors=BADGE_VALUES["doors"])

    door = f'{BADGE}:doors[type eq "main"]'
    changed = await patch(acme, reply, {"op": "replace", "path": f"{door}.value", "value": "east"})
    removed = await patch(acme, reply, {"op": "remove", "path": door})

    assert changed.document[BADGE]["doors"] == [
        {"value": "east", "type": "main"},
        {"value": "south", "type": "back"},
    ]
    assert removed.document[BADGE]["doors"] == [{"value": "south", "type": "back"}]


async def test_simple_values_are_accepted_as_objects_with_a_value(acme: Client):
    """UnboundID's SDK sends them so in every kind of request."""
    reply = await create_user(acme, tags=[{"value": "a"}, "b", {"Value": "c", "type": "x"}])
    path, user_name = f"/Users/{reply.document['id']}", reply.document["userName"]

    async def patch(op: str, path_: str | None, value: object = None) -> list[str]:
        operation = {"op": op, "value": value} | ({"path": path_} if path_ else {})
        body = {"schemas": [PATCH_OP], "Operations": [operation]}
        patched = await acme("PATCH", path, body)
        assert patched.status == 200, patched.document
        return patched.document[BADGE]["tags"]

    tags = f"{BADGE}:tags"
    assert reply.document[BADGE]["tags"] == ["a", "b", "c"]
    assert await patch("add", tags, [{"value": "d"}, {"value": None}]) == ["a", "b", "c", "d"]
    assert await patch("remove", tags, [{"value": "a"}]) == ["b", "c", "d"]
    assert await patch("add", None, {BADGE: {"tags": {"value": "e"}}}) == ["b", "c", "d", "e"]
    assert await patch("replace", f'{tags}[value eq "e"]', {"value": "f"}) == ["b", "c", "d", "f"]
    assert await patch("replace", None, {tags: [{"value": "g"}]}) == ["g"]
    body = {"userName": user_name, BADGE: {"tags": [{"value": "h"}]}}
    assert (await acme("PUT", path, body)).document[BADGE]["tags"] == ["h"]
    for wrong in (
        {"display": "x"},
        {},
        {"value": {"value": "x"}},
        {"value": ["x"]},
        {"value": True},
    ):
        refused = await acme("PUT", path, {**body, BADGE: {"tags": [wrong]}})
        assert (refused.status, refused.document.get("scimType")) == (400, "invalidValue"), wrong


async def test_patch_without_effect_keeps_the_version(acme: Client):
    reply = await create_user(acme, **BADGE_VALUES)

    same = await patch(acme, reply, {"op": "replace", "value": {f"{BADGE}:badge": "blue"}})
    retitled = await patch(acme, reply, {"op": "replace", "value": {"title": "Chief"}})
    refused = await patch(acme, reply, {"op": "replace", "path": f"{BADGE}:serial", "value": "s2"})

    assert same.document["meta"] == reply.document["meta"]
    assert (retitled.document["title"], retitled.document[BADGE]) == ("Chief", BADGE_VALUES)
    assert (refused.status, refused.document["scimType"]) == (400, "mutability")


async def test_filter_compares_values_of_each_type(acme: Client):
    ann = (await create_user(acme, **BADGE_VALUES)).document["id"]
    values = {"badge": "Red", "valid": False, "floor": -1, "ratio": 2, "tags": ["b"]}
    bob = (await create_user(acme, **values)).document["id"]
    conditions = {
        f'{BADGE}:badge eq "BLUE"': [ann],
        f"{BADGE}:badge pr": sorted([ann, bob]),
        f'{BADGE}:badge sw "re"': [bob],
        f"{BADGE}:valid eq false": [bob],
        f"{BADGE}:floor gt 2": [ann],
        f"{BADGE}:ratio ge 1.5": [bob],
        f'{BADGE}:issued lt "2026-01-31T12:00:00+01:00"': [ann],
        f'{BADGE}:tags eq "B"': [ann],
        f'{BADGE}:tags[value eq "b"]': [bob],
        f'{BADGE}:office.city eq "oslo" and {BADGE}:office.desk eq 12': [ann],
        f'{BADGE}:office[city eq "oslo"]': [ann],
        f'{BADGE}:doors[type eq "main" and value eq "north"]': [ann],
        f'{BADGE}:doors[type eq "back" and value eq "north"]': [],
        f'schemas eq "{BADGE}" and {BADGE}:serial pr': [ann],
    }

    assert {text: sorted(await matching_ids(acme, text)) for text in conditions} == conditions


async def test_projection_by_urn_respects_the_returned_characteristic(acme: Client):
    path = f"/Users/{(await create_user(acme, **BADGE_VALUES, note='n')).document['id']}"

    async def shown(query: str) -> dict[str, object]:
        return (await acme("GET", f"{path}?{query}")).document.get(BADGE, {})

    assert await shown(f"attributes={BADGE}:badge,{BADGE}:office.city") == {
        "badge": "blue",
        "office": {"city": "Oslo"},
    }
    assert await shown(f"attributes={BADGE}:note") == {"note": "n"}
    assert await shown(f"attributes={BADGE}:pin") == {}
    assert await shown(f"excludedAttributes={BADGE}") == {}
    assert await shown("attributes=userName") == {}


async def test_list_is_sorted_by_single_valued_registered_attribute(acme: Client):
    ids = {floor: (await create_user(acme, floor=floor)).document["id"] for floor in (2, 10, -1)}

    reply = await acme("GET", f"/Users?sortBy={BADGE}:floor&sortOrder=descending")
    refused = await acme("GET", f"/Users?sortBy={BADGE}:tags")

    assert [each["id"] for each in reply.document["Resources"]] == [ids[10], ids[2], ids[-1]]
    assert (refused.status, refused.document["scimType"]) == (400, "invalidValue")


CAR = "urn:acme:provisioning:2.0:Car"
CAR_SCHEMA = pb.Schema(
    urn=CAR,
    name="Car",
    attributes=[
        A(name="plate", type=A.TYPE_STRING, required=True),
        A(name="lot", type=A.TYPE_STRING),
    ],
)


async def test_extension_with_required_attribute_is_removed_or_omitted(
    tenant: Stack, operate: Operator
):
    """RFC 7644 sections 3.5.1 and 3.5.2.2; a client need not know the extension."""
    removals = [
        {"op": "remove", "path": CAR},
        {"op": "replace", "path": CAR, "value": None},
        {"op": "replace", "value": {CAR: None}},
        {"op": "add", "path": CAR, "value": []},
        {"op": "replace", "path": CAR, "value": {"plate": None, "lot": ""}},
    ]
    async with new_client(tenant, operate, CAR_SCHEMA) as scim:
        reply = await scim("POST", "/Users", person(**{CAR: {"plate": "A 1", "lot": "3"}}))
        path, person_ = f"/Users/{reply.document['id']}", reply.document
        without = {"userName": person_["userName"], "title": "Boss"}
        partly = {**without, CAR: {"lot": "4"}}

        for removal in removals:
            removed = await scim("PATCH", path, {"schemas": [PATCH_OP], "Operations": [removal]})
            assert (removed.status, removed.document.get(CAR)) == (200, None)
            restored = await scim("PUT", path, {**without, CAR: person_[CAR]})
            assert restored.document[CAR] == person_[CAR]
        incomplete = await scim("PUT", path, partly)
        required = {"op": "remove", "path": f"{CAR}:plate"}
        kept = await scim("PATCH", path, {"schemas": [PATCH_OP], "Operations": [required]})
        omitted = await scim("PUT", path, without)

    assert (incomplete.status, incomplete.document["scimType"]) == (400, "invalidValue")
    assert (kept.status, kept.document["scimType"]) == (400, "mutability")
    assert (omitted.status, omitted.document.get(CAR), omitted.document["title"]) == (
        200, None, "Boss",
    )  # fmt: skip


async def test_bulk_and_root_query_support_registered_attributes(acme: Client):
    operation = {
        "method": "POST",
        "path": "/Users",
        "bulkId": "a",
        "data": person(**{BADGE: BADGE_VALUES}),
    }
    reply = await acme("POST", "/Bulk", {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [operation],
    })  # fmt: skip
    assert reply.document["Operations"][0]["status"] == "201"

    root = await acme("GET", "/?filter=" + quote(f'{BADGE}:badge eq "blue"'))
    assert [each[BADGE] for each in root.document["Resources"]] == [BADGE_VALUES]


async def test_schema_registered_later_is_used_within_seconds(tenant: Stack, operate: Operator):
    organization_id = await operate.create_organization()
    key = await operate.generate_key(organization_id)
    async with client(replace(tenant, token=key.token)) as scim:
        before = await scim("GET", f"/Schemas/{BADGE}")
        await operate.register(organization_id, BADGE_SCHEMA)

        async def is_known() -> bool:
            return (await scim("GET", f"/Schemas/{BADGE}")).status == 200

        await eventually(is_known)
        reply = await create_user(scim, badge="blue")

    assert before.status == 404
    assert reply.document[BADGE] == {"badge": "blue"}
