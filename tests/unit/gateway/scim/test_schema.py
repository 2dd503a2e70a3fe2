"""Resource types: attribute lookup, custom extensions, and the discovery documents."""

import gc
import json
import weakref
from pathlib import Path

import pytest
import scim2_models as models

from gateway.scim import projection, schema
from gateway.scim.filter import simplify
from gateway.scim.schema import ENTERPRISE_USER_URN, GROUP, GROUP_URN, USER, USER_URN

FOLDER = Path(schema.__file__).parent / "schemas"


@pytest.mark.parametrize(
    ("spelling", "path"),
    [
        ("userName", "userName"),
        ("USERNAME", "userName"),
        (f"{USER_URN}:userName", "userName"),
        (f"{USER_URN.upper()}:username", "userName"),
        (f"{USER_URN}:name.familyName", "name.familyName"),
        ("name.FamilyName", "name.familyName"),
        ("emails.Value", "emails.value"),
        ("meta.Created", "meta.created"),
        ("id", "id"),
        ("externalid", "externalId"),
        ("schemas", "schemas"),
        (f"{ENTERPRISE_USER_URN}:employeeNumber", f"{ENTERPRISE_USER_URN}:employeeNumber"),
        (f"{ENTERPRISE_USER_URN}.manager", f"{ENTERPRISE_USER_URN}:manager"),
        (f"{ENTERPRISE_USER_URN}:manager.value", f"{ENTERPRISE_USER_URN}:manager.value"),
        ("manager", f"{ENTERPRISE_USER_URN}:manager"),
        ("Manager.Value", f"{ENTERPRISE_USER_URN}:manager.value"),
    ],
)
def test_attribute_is_found_by_any_spelling_of_its_name(spelling, path):
    assert str(USER.find(spelling)) == path


@pytest.mark.parametrize(
    "urn",
    [
        "urn:scim:schemas:extension:enterprise:2.0",
        "URN:SCIM:Schemas:extension:enterprise:2.0:User",
        "urn:scim:schemas:extension:enterprise:1.0",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0User",
    ],
)
def test_enterprise_extension_is_found_by_urns_of_other_clients(urn):
    badge = schema.Schema.from_document({"id": "urn:acme:Badge", "name": "B", "attributes": []})
    for resource_type in (USER, USER.with_extension(badge)):
        assert resource_type.extension_urn(urn) == ENTERPRISE_USER_URN
        for spelling in (f"{urn}:Manager.value", f"{urn}.manager.value"):
            path = f"{ENTERPRISE_USER_URN}:manager.value"
            assert str(resource_type.find(spelling)) == path
    assert GROUP.extension_urn(urn) is None


def test_schema_of_an_organization_keeps_its_urn_that_other_clients_send():
    urn = "urn:scim:schemas:extension:enterprise:2.0"
    attributes = [{"name": "department", "type": "string"}]
    own = schema.Schema.from_document({"id": urn, "name": "Own", "attributes": attributes})
    user = USER.with_extension(own)

    assert user.extension_urn(urn) == urn
    assert str(user.find(f"{urn}:department")) == f"{urn}:department"
    assert user.find(f"{urn}:manager") is None
    assert str(user.find("department")) == f"{ENTERPRISE_USER_URN}:department"


@pytest.mark.parametrize(
    ("resource_type", "urn"),
    [
        (USER, "urn:scim:schemas:core:2.0"),
        (USER, "urn:scim:schemas:core:2.0:User"),
        (USER, "urn:scim:schemas:core:1.0"),
        (GROUP, "urn:scim:schemas:core:2.0:Group"),
        (GROUP, "urn:SCIM:schemas:core:2.0"),
    ],
)
def test_core_schema_is_found_by_urns_of_other_clients(resource_type, urn):
    assert resource_type.is_core_urn(urn)
    assert str(resource_type.find(f"{urn}:displayName")) == "displayName"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "nope",
        "name.nope",
        "userName.value",
        "name.givenName.value",
        USER_URN,
        ENTERPRISE_USER_URN,
        f"{GROUP_URN}:displayName",
        f"{USER_URN}:manager",
        " userName",
        "password",
    ],
)
def test_unknown_attribute_is_not_found(name):
    assert USER.find(name) is None


def test_all_spellings_of_a_name_give_the_same_path():
    spellings = ["manager", f"{ENTERPRISE_USER_URN}:MANAGER", f"{ENTERPRISE_USER_URN}.manager"]
    assert len({USER.find(each) for each in spellings}) == 1


SHOES = {
    "id": "urn:acme:schemas:1.0:Shoes",
    "name": "Shoes",
    "attributes": [
        {"name": "size", "type": "integer", "required": True},
        {"name": "department", "type": "string"},
        {"name": "title", "type": "string"},
    ],
}


def test_custom_extension_is_found_like_the_built_in_ones():
    user = USER.with_extension(schema.Schema.from_document(SHOES))

    found = {name: str(user.find(name)) for name in ("SIZE", "urn:acme:schemas:1.0:shoes:size")}

    assert found == dict.fromkeys(found, "urn:acme:schemas:1.0:Shoes:size")
    assert user.extension_urn("URN:ACME:schemas:1.0:shoes") == "urn:acme:schemas:1.0:Shoes"


def test_custom_extension_does_not_take_over_an_existing_name():
    user = USER.with_extension(schema.Schema.from_document(SHOES))

    assert str(user.find("title")) == "title"
    assert str(user.find("department")) == f"{ENTERPRISE_USER_URN}:department"


DOTTED = {
    "id": "urn:acme:2.0",
    "name": "Dotted",
    "attributes": [
        {
            "name": "Office",
            "type": "complex",
            "subAttributes": [{"name": "City", "type": "string"}],
        },
        {"name": "size", "type": "integer"},
        {"name": "name", "type": "string"},
    ],
}


def test_custom_attributes_are_found_by_the_spellings_of_standard_ones():
    custom = [schema.Schema.from_document(each) for each in (SHOES, DOTTED)]
    user = USER.with_extension(*custom)

    expected = schema._spellings(user, list(user.top_level))

    assert {spelling: user.find(spelling) for spelling in expected} == expected
    assert "office.city" in expected
    assert "urn:acme:2.0.office.city" in expected


@pytest.mark.parametrize(
    "name",
    [
        "office.size",
        "name.city",
        "title.size",
        "urn:acme:2.0",
        "urn:acme:2.0:office.city.name",
        "urn:acme:2.0:nope",
        "urn:acme:2:size",
        ":size",
        ".size",
        ":",
        ".",
    ],
)
def test_unknown_custom_attribute_is_not_found(name):
    user = USER.with_extension(*map(schema.Schema.from_document, (SHOES, DOTTED)))
    assert user.find(name) is None


def test_schema_reads_its_document_when_it_is_needed():
    read = []
    shoes = schema.Schema.from_document(SHOES, read_document=lambda: read.append(1) or SHOES)

    assert (read, shoes.document, read) == ([1], SHOES, [1])


def test_no_cache_keeps_the_type_of_an_organization():
    def read_document():
        return SHOES

    shoes = weakref.ref(read_document)
    user = USER.with_extension(schema.Schema.from_document(SHOES, "", read_document))
    projection.parse(user, "size", None)
    projection.parse(user, None, None)
    simplify.parse([user, GROUP], "size eq 1")

    del user, read_document
    gc.collect()
    assert shoes() is None


def test_adding_an_extension_does_not_change_the_original_type():
    USER.with_extension(schema.Schema.from_document(SHOES))
    assert USER.find("size") is None


def test_schema_documents_list_each_schema_once_with_its_location():
    documents = schema.schema_documents([USER, GROUP, USER], "https://scim.test")

    assert [(each["id"], each["meta"]) for each in documents] == [
        (urn, {"resourceType": "Schema", "location": f"https://scim.test/Schemas/{urn}"})
        for urn in (USER_URN, ENTERPRISE_USER_URN, GROUP_URN)
    ]
    assert all(each["schemas"] == [schema.SCHEMA_URN] for each in documents)


def test_resource_type_documents_have_endpoint_and_schemas():
    assert schema.resource_type_documents([USER, GROUP], "https://scim.test") == [
        {
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
            "id": "User",
            "name": "User",
            "endpoint": "/Users",
            "description": "User Account",
            "schema": USER_URN,
            "schemaExtensions": [{"schema": ENTERPRISE_USER_URN, "required": False}],
            "meta": {
                "resourceType": "ResourceType",
                "location": "https://scim.test/ResourceTypes/User",
            },
        },
        {
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
            "id": "Group",
            "name": "Group",
            "endpoint": "/Groups",
            "description": "Group",
            "schema": GROUP_URN,
            "schemaExtensions": [],
            "meta": {
                "resourceType": "ResourceType",
                "location": "https://scim.test/ResourceTypes/Group",
            },
        },
    ]


def every_attribute(documents):
    for document in documents:
        for attribute in document["attributes"]:
            yield attribute
            yield from attribute.get("subAttributes", ())


def test_every_attribute_lists_all_characteristics_without_null():
    characteristics = {
        "name",
        "type",
        "multiValued",
        "description",
        "required",
        "caseExact",
        "mutability",
        "returned",
        "uniqueness",
    }
    for attribute in every_attribute(schema.schema_documents([USER, GROUP], "")):
        assert characteristics <= attribute.keys()
        assert None not in attribute.values()


def test_attributes_that_entra_maps_are_listed_and_writable():
    listed = {each["name"]: each for each in USER.schema.document["attributes"]}
    names = {each["name"] for each in listed["name"]["subAttributes"]}

    assert {"userName", "externalId", "active", "name"} <= listed.keys()
    assert {"givenName", "familyName"} <= names
    assert [each for each, a in listed.items() if a["required"]] == ["userName"]
    assert [each for each, a in listed.items() if a["mutability"] == "readOnly"] == ["groups"]


@pytest.mark.parametrize(
    "sub_attribute",
    [
        {"name": "colors", "type": "string", "multiValued": True},
        {"name": "lace", "type": "complex", "subAttributes": []},
    ],
)
def test_schema_with_nested_or_multi_valued_sub_attributes_is_refused(sub_attribute):
    shoe = {"name": "shoe", "type": "complex", "subAttributes": [sub_attribute]}
    with pytest.raises(ValueError, match="shoe"):
        schema.Schema.from_document({**SHOES, "attributes": [shoe]})


# RFC 7643 section 8.7.1 as scim2-models has it: with the beginning of each description.
RFC_SCHEMAS = {
    "user": models.User.to_schema(),
    "group": models.Group.to_schema(),
    "enterprise_user": models.EnterpriseUser.to_schema(),
}
DIFFERENT_CHARACTERISTICS = {
    # A member without an id cannot be stored; a name for each would make large groups larger.
    ("group", "members.value"): {"required": True},
    ("group", "members.display"): {"mutability": "readOnly", "returned": "request"},
    # An empty manager is accepted, as Entra sends it, and $ref alone or value alone names one.
    ("enterprise_user", "manager.value"): {"required": False},
    ("enterprise_user", "manager.$ref"): {"required": False},
}
ABSENT = {("user", "password"), ("enterprise_user", "manager.displayName")}
COMMON = {("user", "externalId"), ("group", "externalId")}
OTHER_BEGINNING = {
    *(("user", "title"), ("user", "addresses.primary"), ("user", "groups.$ref")),
    *(("group", "members.$ref"), ("group", "members.display")),
}
"""Descriptions that scim2-models words differently; the schemas have those of the RFC."""


def characteristics(document):
    """The attributes of a schema by their path, as an object has them in `/Schemas`."""
    for attribute in document["attributes"]:
        for each in (attribute, *(attribute.get("subAttributes") or ())):
            path = attribute["name"] + (f".{each['name']}" if each is not attribute else "")
            yield path, {k: v for k, v in each.items() if k != "subAttributes" and v is not None}


@pytest.mark.parametrize("name", RFC_SCHEMAS)
def test_schema_has_characteristics_and_descriptions_of_rfc_7643(name):
    expected = dict(characteristics(RFC_SCHEMAS[name].model_dump()))
    document = json.loads((FOLDER / f"{name}.json").read_text())
    actual = dict(characteristics(document))

    assert {(name, each) for each in expected.keys() - actual.keys()} == {
        each for each in ABSENT if each[0] == name
    }
    assert {(name, each) for each in actual.keys() - expected.keys()} == {
        each for each in COMMON if each[0] == name
    }
    for path, attribute in actual.items():
        if (name, path) in COMMON:
            continue
        description = " ".join(attribute.pop("description").split())
        beginning = " ".join(expected[path].pop("description", "").split())
        assert attribute == {**expected[path], **DIFFERENT_CHARACTERISTICS.get((name, path), {})}
        if (name, path) not in OTHER_BEGINNING:
            assert description.startswith(beginning)
            assert beginning
