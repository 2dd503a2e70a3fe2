"""Resources as clients send them: canonical form, refusals, limits, and JSON bodies."""

import pytest

from gateway.scim import resource as resources
from gateway.scim.schema import ENTERPRISE_USER_URN, GROUP, GROUP_URN, USER, USER_URN, Schema
from tests.support.scim_errors import refused


def read(document):
    return resources.read(USER, {"userName": "ann", **document})


def read_group(document):
    return resources.read(GROUP, {"displayName": "Team", **document})


def test_user_as_entra_creates_it_is_read():
    document = {
        "schemas": [USER_URN, ENTERPRISE_USER_URN],
        "externalId": "ann",
        "userName": "Ann@corp.test",
        "active": True,
        "meta": {"resourceType": "User"},
        "name": {"givenName": "Ann", "familyName": "Li", "formatted": "Ann Li"},
        "emails": [{"primary": True, "type": "work", "value": "ann@corp.test"}],
        "roles": [],
        "department": None,
        "manager": None,
        "addresses": None,
    }

    assert resources.read(USER, document) == {
        "externalId": "ann",
        "userName": "Ann@corp.test",
        "active": True,
        "name": {"givenName": "Ann", "familyName": "Li", "formatted": "Ann Li"},
        "emails": [{"primary": True, "type": "work", "value": "ann@corp.test"}],
    }


@pytest.mark.parametrize(
    ("sent", "canonical"),
    [
        ({"TITLE": "x"}, {"title": "x"}),
        ({"name": {"GIVENNAME": "A"}}, {"name": {"givenName": "A"}}),
        (
            {"name.givenName": "A", "name.familyName": "L"},
            {"name": {"givenName": "A", "familyName": "L"}},
        ),
        (
            {"name.givenName": "A", "name": {"familyName": "L"}},
            {"name": {"givenName": "A", "familyName": "L"}},
        ),
        ({f"{USER_URN}:title": "x"}, {"title": "x"}),
        ({USER_URN: {"title": "x"}}, {"title": "x"}),
        ({f"{ENTERPRISE_USER_URN}:department": "R"}, {ENTERPRISE_USER_URN: {"department": "R"}}),
        (
            {ENTERPRISE_USER_URN.lower(): {"Department": "R"}},
            {ENTERPRISE_USER_URN: {"department": "R"}},
        ),
        ({"department": "R"}, {ENTERPRISE_USER_URN: {"department": "R"}}),
        ({"manager": "u2"}, {ENTERPRISE_USER_URN: {"manager": {"value": "u2"}}}),
        (
            {"manager": {"value": "u2", "$ref": "/Users/u2"}},
            {ENTERPRISE_USER_URN: {"manager": {"value": "u2"}}},
        ),
        ({"manager": [{"value": "u2"}]}, {ENTERPRISE_USER_URN: {"manager": {"value": "u2"}}}),
        ({"manager": []}, {}),
        ({"active": "True"}, {"active": True}),
        ({"active": "false"}, {"active": False}),
        ({"active": None}, {}),
        ({"active": [False]}, {"active": False}),
        ({"active": [{"$ref": None, "value": "False"}]}, {"active": False}),
        ({"displayName": [{"$ref": None, "value": "Ann"}]}, {"displayName": "Ann"}),
        ({"userName": ["ann"]}, {}),
        ({"title": []}, {}),
        ({"name": {"givenName": ["A"]}}, {"name": {"givenName": "A"}}),
        ({"externalId": 701984}, {"externalId": "701984"}),
        ({"employeeNumber": 0}, {ENTERPRISE_USER_URN: {"employeeNumber": "0"}}),
        ({"phoneNumbers": [{"value": 5550100}]}, {"phoneNumbers": [{"value": "5550100"}]}),
        ({"addresses": [{"postalCode": 8000}]}, {"addresses": [{"postalCode": "8000"}]}),
        ({"phoneNumbers": [{"type": "work", "value": ""}]}, {}),
        (
            {"phoneNumbers": [{"type": "work", "primary": True}, {"value": "5"}]},
            {"phoneNumbers": [{"value": "5"}]},
        ),
        ({"addresses": [{"type": "work", "streetAddress": "", "country": None}]}, {}),
        (
            {"emails": [{"type": "work", "display": "Ann"}]},
            {"emails": [{"type": "work", "display": "Ann"}]},
        ),
        ({"title": ""}, {}),
        ({"title": None, "name": {}, "emails": [], "roles": None}, {}),
        ({"name": {"givenName": None, "familyName": ""}}, {}),
        ({"emails": [{}, None, {"value": ""}]}, {}),
        ({ENTERPRISE_USER_URN: {}}, {}),
        ({ENTERPRISE_USER_URN: None}, {}),
        ({"emails": {"value": "a@x"}}, {"emails": [{"value": "a@x"}]}),
        ({"emails": "a@x"}, {"emails": [{"value": "a@x"}]}),
        ({"emails": ["a@x", {"value": "b@x"}]}, {"emails": [{"value": "a@x"}, {"value": "b@x"}]}),
        (
            {
                "emails": [
                    {"value": "a", "type": "work"},
                    {"type": "work", "value": "a", "display": "A"},
                ]
            },
            {"emails": [{"value": "a", "type": "work", "display": "A"}]},
        ),
        (
            {"emails": [{"value": "a", "type": "work"}, {"value": "a"}]},
            {"emails": [{"value": "a", "type": "work"}, {"value": "a"}]},
        ),
        (
            {"emails": [{"value": "a", "primary": "True"}]},
            {"emails": [{"value": "a", "primary": True}]},
        ),
        (
            {"emails": [{"value": "a", "type": "untyped"}]},
            {"emails": [{"value": "a", "type": "untyped"}]},
        ),
        ({"emails": [{"value": "a", "nope": 1}]}, {"emails": [{"value": "a"}]}),
        ({"emails.value": "a"}, {"emails": [{"value": "a"}]}),
        ({"roles": [{"value": '{"id":"r1"}'}]}, {"roles": [{"value": '{"id":"r1"}'}]}),
        ({"x509Certificates": [{"value": "MIIB"}]}, {"x509Certificates": [{"value": "MIIB"}]}),
        ({"nope": 1, "urn:acme:x": {"a": 1}, f"{USER_URN}:nope": 1}, {}),
        ({"id": "mine", "groups": [{"value": "g"}], "meta": 5, "schemas": []}, {}),
        ({"phoneNumbers": [{"value": " 555 "}]}, {"phoneNumbers": [{"value": " 555 "}]}),
    ],
)
def test_document_is_converted_to_canonical_form(sent, canonical):
    assert read(sent) == {"userName": "ann", **canonical}


@pytest.mark.parametrize(
    ("sent", "mentions"),
    [
        ({"userName": None}, "userName is required"),
        ({"userName": ""}, "userName is required"),
        ({"userName": 5}, "userName cannot be 5"),
        ({"userName": ["a", "b"]}, "userName has 2 values; send only one"),
        ({"userName": []}, "userName is required"),
        ({"displayName": [["a"]]}, "displayName cannot be an array"),
        ({"displayName": [{"display": "a"}]}, "displayName cannot be an object"),
        ({"userName": "a\x00b"}, "NUL"),
        ({"userName": "a\ud800"}, "surrogate"),
        ({"userName": "x" * 1025}, "userName is 1025 bytes"),
        ({"userName": "é" * 513}, "userName is 1026 bytes"),
        ({"title": "x" * 8193}, "title is 8193 bytes"),
        ({"active": "yes"}, 'active cannot be "yes"; send true or false'),
        ({"active": 1}, "active cannot be 1"),
        ({"active": ""}, 'active cannot be ""; send true or false'),
        ({"active": []}, "active cannot be an array; send true or false"),
        ({"active": [True, False]}, "active has 2 values; send only one"),
        ({"externalId": 1.5}, "externalId cannot be 1.5"),
        ({"externalId": True}, "externalId cannot be true"),
        ({"title": 5}, "title cannot be 5"),
        ({"name": "Ann"}, 'name cannot be "Ann"'),
        ({"name": [{"givenName": "A"}, {"givenName": "B"}]}, "name has 2 values"),
        ({"name": {"givenName": {"a": 1}}}, "name.givenName cannot be an object"),
        ({"emails": [5]}, "emails cannot be 5"),
        ({"emails": [{"value": True}]}, "emails.value cannot be true"),
        ({"emails": [{"primary": True}, {"value": "a", "primary": True}]}, "2 values with primary"),
        ({"emails": [{"value": str(i)} for i in range(251)]}, "emails has 251 values"),
        ({"x509Certificates": [{"value": "not base64!"}]}, "x509Certificates.value"),
        ({ENTERPRISE_USER_URN: "x"}, ENTERPRISE_USER_URN),
        ({"manager": 5}, "manager cannot be 5"),
        ({"schemas": "x"}, "schemas"),
        ({"schemas": [5]}, "schemas"),
    ],
)
def test_invalid_value_is_refused_with_its_attribute_name(sent, mentions):
    with refused(400, "invalidValue", mentions):
        read(sent)


@pytest.mark.parametrize(
    "sent",
    [
        {"username": "bob"},
        {"name": {"givenName": "A", "GIVENNAME": "B"}},
        {f"{USER_URN}:userName": "bob"},
        {"manager": "u1", ENTERPRISE_USER_URN: {"manager": "u2"}},
    ],
)
def test_attribute_given_twice_is_refused(sent):
    with refused(400, "invalidSyntax", "twice"):
        read(sent)


def test_values_at_their_size_limit_are_accepted():
    document = {"userName": "é" * 512, "title": "x" * 8192}
    assert resources.read(USER, document) == document


def test_group_members_are_read_in_every_form():
    members = [
        {"value": "u1", "$ref": None},
        "u2",
        {"value": "g1", "type": "Group"},
        {"value": "u1"},
    ]
    assert read_group({"members": members}) == {
        "displayName": "Team",
        "members": [{"value": "u1"}, {"value": "u2"}, {"value": "g1", "type": "Group"}],
    }


@pytest.mark.parametrize(
    "members",
    [[{"type": "User"}], [{}], {}, [None], [""], "", [{"value": ""}], [{"value": "u1"}, {}]],
)
def test_member_without_an_id_is_refused(members):
    with refused(400, "invalidValue", "members.value is required"):
        read_group({"members": members})


@pytest.mark.parametrize("members", [None, []])
def test_group_may_be_sent_without_members(members):
    assert read_group({"members": members}) == {"displayName": "Team"}


def test_member_id_is_taken_from_a_ref_without_a_value():
    group = read_group({"members": [{"$ref": "https://scim.test/Users/u1"}]})
    assert group["members"] == [{"value": "u1"}]


def test_group_with_more_than_100000_members_is_refused():
    members = [{"value": str(i)} for i in range(100_001)]
    assert len(read_group({"members": members[:-1]})["members"]) == 100_000
    with refused(400, "invalidValue", "members has 100001 values"):
        read_group({"members": members})


def test_group_without_a_display_name_is_refused():
    with refused(400, "invalidValue", "displayName is required"):
        resources.read(GROUP, {"schemas": [GROUP_URN], "externalId": "g"})


SHOES_URN = "urn:acme:1.0:Shoes"
USER_WITH_SHOES = USER.with_extension(
    Schema.from_document(
        {
            "id": SHOES_URN,
            "name": "Shoes",
            "attributes": [
                {"name": "size", "type": "integer", "required": True},
                {"name": "weight", "type": "decimal"},
                {"name": "bought", "type": "dateTime"},
                {"name": "tags", "type": "string", "multiValued": True},
                {"name": "maker", "type": "string"},
            ],
        },
        f"{SHOES_URN}:",
    )
)


@pytest.mark.parametrize(
    ("sent", "canonical"),
    [
        ({"size": 42, "weight": 1.5}, {"size": 42, "weight": 1.5}),
        ({"size": "42", "weight": "-1.5e1"}, {"size": 42, "weight": -15.0}),
        ({"size": 1, "tags": ["a", "A", "b"]}, {"size": 1, "tags": ["a", "b"]}),
        ({"size": [1], "maker": 4711}, {"size": 1, "maker": "4711"}),
        (
            {"size": 1, "bought": "2024-01-02T03:04:05"},
            {"size": 1, "bought": "2024-01-02T03:04:05"},
        ),
        ({"size": None}, None),
    ],
)
def test_attributes_of_a_custom_extension_are_read_by_their_type(sent, canonical):
    expected = {"userName": "ann"} | ({SHOES_URN: canonical} if canonical else {})
    assert resources.read(USER_WITH_SHOES, {"userName": "ann", SHOES_URN: sent}) == expected


@pytest.mark.parametrize(
    ("sent", "mentions"),
    [
        ({"size": 4.5}, "size"),
        ({"size": True}, "size"),
        ({"size": 2**63}, "size"),
        ({"size": "x"}, "size"),
        ({"size": 1, "weight": "1e999"}, "weight"),
        ({"size": 1, "weight": float("nan")}, "weight"),
        ({"size": 1, "weight": 10**400}, "weight"),
        ({"size": 1, "bought": "2024-13-02T03:04:05Z"}, "bought"),
        ({"size": 1, "bought": "0001-01-01T00:00:00+14:00"}, "bought"),
        ({"tags": ["a"]}, "size is required"),
    ],
)
def test_invalid_value_in_a_custom_extension_is_refused(sent, mentions):
    with refused(400, "invalidValue", mentions):
        resources.read(USER_WITH_SHOES, {"userName": "ann", SHOES_URN: sent})


def test_schemas_are_the_core_schema_and_extensions_with_values():
    assert resources.schemas(USER, {"userName": "ann"}) == [USER_URN]
    assert resources.schemas(USER, {ENTERPRISE_USER_URN: {"department": "R"}}) == [
        USER_URN,
        ENTERPRISE_USER_URN,
    ]


@pytest.mark.parametrize(
    ("body", "document"),
    [
        (b"{}", {}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (
            b'{"a:b": "c:\\"d\\":e", "f": [{"g": {}}, {"g": 1}]}',
            {"a:b": 'c:"d":e', "f": [{"g": {}}, {"g": 1}]},
        ),
    ],
)
def test_body_is_parsed_as_a_json_object(body, document):
    assert resources.loads(body) == document


@pytest.mark.parametrize(
    ("body", "mentions"),
    [
        (b"", "The body is empty"),
        (b"\xef\xbb\xbf \n", "The body is empty"),
        (b"{", "not valid JSON"),
        (b'{"a":NaN}', "not valid JSON"),
        (b'{"a":"\\ud800"}', "not valid JSON"),
        (b'{"a":"\xff"}', "The body is not UTF-8: byte 7 is invalid"),
        ('{"a":1}'.encode("utf-16"), "The body is not UTF-8"),
        (b'{"a":1e999}', "not valid JSON"),
        (b"[]", "an array"),
        (b"null", "null"),
        (b'"x"', '"x"'),
        (b'{"a":1,"a":2}', 'twice: "a"'),
        (b'\xef\xbb\xbf{"x":{"a":":","a":2}}', 'twice: "a"'),
        (b'{"x":' + b"[" * 1000 + b"]" * 1000 + b',"x":2}', "twice"),
        (b'{"a":' + b"[" * 32 + b"]" * 32 + b"}", "32 levels"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "not valid JSON"),
    ],
)
def test_body_that_is_not_a_valid_json_object_is_refused(body, mentions):
    with refused(400, "invalidSyntax", mentions):
        resources.loads(body)


def test_body_with_too_many_objects_and_arrays_gets_413():
    largest = b'{"a":[' + b",".join([b"{}"] * (resources.MAX_CONTAINERS - 2)) + b"]}"
    assert len(resources.loads(largest)["a"]) == resources.MAX_CONTAINERS - 2
    with refused(413, None, "send fewer"):
        resources.loads(largest[:-2] + b",[]]}")
    with refused(413, None, "send fewer"):
        resources.loads(b'{"a":' + b"[" * 500_000)


def test_values_are_counted_before_they_are_read():
    with refused(400, "invalidValue", "emails has 251 values"):
        resources.read(USER, {"userName": "ann", "emails": [None] * 251})


INVISIBLE = ["\u202e", "\u200b", "\u0001", "\n", "\ufeff"]


@pytest.mark.parametrize("blank", [" ", "\t \u3000", "\u200b", " \ufeff\u2060", "\x01"])
def test_blank_name_is_refused(blank):
    with refused(400, "invalidValue", "userName is blank"):
        resources.read(USER, {"userName": blank})
    with refused(400, "invalidValue", "displayName is blank"):
        resources.read(GROUP, {"displayName": blank})


@pytest.mark.parametrize("char", INVISIBLE)
def test_user_name_with_an_invisible_character_is_refused(char):
    with refused(
        400, "invalidValue", f"userName contains the invisible character U+{ord(char):04X}"
    ):
        resources.read(USER, {"userName": f"ann{char}@corp.test"})


@pytest.mark.parametrize("char", INVISIBLE)
def test_other_texts_may_contain_invisible_characters(char):
    group = {"displayName": f"Sales{char}", "externalId": char}
    assert resources.read(GROUP, group) == group
    user = {"userName": "ann", "displayName": char, "name": {"formatted": f"A{char}"}}
    assert resources.read(USER, user) == user


@pytest.mark.parametrize("name", ["Ann Li", "Zoë\u00a0Ö", "安", "👩", "\ue000", "a\u0301"])
def test_user_name_may_contain_any_visible_character(name):
    assert resources.read(USER, {"userName": name}) == {"userName": name}
