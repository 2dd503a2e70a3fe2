"""SCIM filters: parsing, printing, limits, and evaluation."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from gateway.scim import filter as filters
from gateway.scim.errors import ScimError
from gateway.scim.filter import And, Compare, ElementMatch, Not, Operator, Or, Present
from gateway.scim.schema import ENTERPRISE_USER_URN, GROUP, USER, Schema
from tests.support.scim_errors import refused


def path(name, resource_type=USER):
    found = resource_type.find(name)
    assert found is not None
    return found


def eq(name, value):
    return Compare(path(name), Operator.EQ, value)


TREES = [
    ('userName eq "ann@corp.test"', eq("userName", "ann@corp.test")),
    ('USERNAME EQ "Ann"', eq("userName", "Ann")),
    ("externalId eq jyoung", eq("externalId", "jyoung")),
    ("externalId eq 4711", eq("externalId", "4711")),
    ("userName eq o'brien+x@corp.test", eq("userName", "o'brien+x@corp.test")),
    ("userName eq jürgen@müller.test", eq("userName", "jürgen@müller.test")),
    ("externalId eq ab/c+d==", eq("externalId", "ab/c+d==")),
    ("userName eq \"'ann'\"", eq("userName", "'ann'")),
    ("userName sw O", Compare(path("userName"), Operator.SW, "O")),
    ("  title   pr  ", Present(path("title"))),
    ("title Pr", Present(path("title"))),
    ("name pr", Present(path("name"))),
    ("emails pr", Present(path("emails"))),
    ("active eq true", eq("active", True)),
    ('active eq "False"', eq("active", False)),
    ("active eq True", eq("active", True)),
    ("title eq null", Not(Present(path("title")))),
    ("title ne NULL", Present(path("title"))),
    ("manager eq null", Not(Present(path("manager")))),
    ('manager eq "u2"', eq("manager.value", "u2")),
    ('emails eq "x"', eq("emails.value", "x")),
    ('emails co "@x"', Compare(path("emails.value"), Operator.CO, "@x")),
    (r'title eq "a\"]) \u00e9 \\"', eq("title", 'a"]) é \\')),
    (f'{ENTERPRISE_USER_URN}:department eq "x"', eq("department", "x")),
    (
        'meta.lastModified ge "2024-01-02T03:04:05+02:00"',
        Compare(path("meta.lastModified"), Operator.GE, datetime(2024, 1, 2, 1, 4, 5, tzinfo=UTC)),
    ),
    (
        "meta.lastModified ge 2024-01-02T03:04:05Z",
        Compare(path("meta.lastModified"), Operator.GE, datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
    ),
    ('id eq "u1" and manager eq "u2"', And((eq("id", "u1"), eq("manager.value", "u2")))),
    (
        "title pr or nickName pr and locale pr",
        Or(
            (Present(path("title")), And((Present(path("nickName")), Present(path("locale"))))),
        ),
    ),
    (
        "(title pr or nickName pr) and locale pr",
        And((Or((Present(path("title")), Present(path("nickName")))), Present(path("locale")))),
    ),
    ("NOT(title pr)", Not(Present(path("title")))),
    ("not (not (title pr))", Not(Not(Present(path("title"))))),
    ("((title pr))", Present(path("title"))),
    (
        'emails[type eq "work" and value co "@x"]',
        ElementMatch(
            path("emails"),
            And((eq("emails.type", "work"), Compare(path("emails.value"), Operator.CO, "@x"))),
        ),
    ),
    (
        'emails[type eq "work"].value eq "x"',
        ElementMatch(path("emails"), And((eq("emails.type", "work"), eq("emails.value", "x")))),
    ),
    (
        'emails[type eq "work"] eq "x"',
        ElementMatch(path("emails"), And((eq("emails.type", "work"), eq("emails.value", "x")))),
    ),
    ('emails[not (type eq "a]")]', ElementMatch(path("emails"), Not(eq("emails.type", "a]")))),
    ('roles[primary eq "True"]', ElementMatch(path("roles"), eq("roles.primary", True))),
    ('manager[value eq "u2"]', ElementMatch(path("manager"), eq("manager.value", "u2"))),
    (
        "title pr and emails[primary eq true] or active eq false",
        Or(
            (
                And(
                    (
                        Present(path("title")),
                        ElementMatch(path("emails"), eq("emails.primary", True)),
                    )
                ),
                eq("active", False),
            )
        ),
    ),
]


@pytest.mark.parametrize(("text", "tree"), TREES)
def test_filter_is_parsed_into_its_tree(text, tree):
    assert filters.parse(USER, text) == tree


@pytest.mark.parametrize("tree", [tree for _, tree in TREES])
def test_printed_filter_parses_to_the_same_tree(tree):
    assert filters.parse(USER, filters.to_text(tree)) == tree


@pytest.mark.parametrize(
    ("text", "mentions"),
    [
        ("", "ends; expected"),
        ("userName", "ends; expected an operator"),
        ("userName eq", "ends; expected a value"),
        ('userName is "x"', '"is" at character 10'),
        ('userName eq "x" userName', '"userName" at character 17'),
        ('foo eq "x"', '"foo" (at character 1'),
        ('title pr and foo eq "x"', '"foo" (at character 14'),
        ('emails[foo eq "x"]', 'no sub-attribute "foo" (at character 8'),
        ('emails[type eq "x"].foo pr', 'no sub-attribute "foo"'),
        ('emails[emails[type eq "x"]]', "no sub-attribute"),
        ('userName[value eq "x"]', "no elements"),
        ('emails.type[value eq "x"]', "no elements"),
        ('name eq "x"', "name.formatted"),
        ('name co "x"', "co does not apply to name"),
        ('active gt "x"', "gt does not apply to active"),
        ("active co true", "co does not apply to active"),
        ('meta.created sw "2"', "sw does not apply to meta.created"),
        ('x509Certificates.value gt "x"', "gt does not apply to x509Certificates.value"),
        ("active eq maybe", '"maybe"'),
        ("userName eq true", '"true"'),
        ('meta.created eq "yesterday"', '"2026-01-31T09:30:00Z"'),
        ('title eq"x"', "no space before"),
        ('title eq "x"and nickName pr', 'no space before "and"'),
        ("(title pr)and (nickName pr)", 'no space before "and"'),
        ("title pr and(nickName pr)", 'no space before "("'),
        ('emails[type eq "work"]and title pr', 'no space before "and"'),
        ('title\u00a0eq "x"', "no attribute"),
        ('meta.created eq "2024-02-30T00:00:00Z"', '"2024-02-30T00:00:00Z"'),
        ("title gt null", "null"),
        ('(title eq "x"', 'expected ")"'),
        ('title eq "x")', '")" at character 13'),
        ('emails[type eq "x"', 'expected "]"'),
        ("emails[]", '"]" at character 8'),
        ('title eq "x', "no closing quote"),
        (r'title eq "\x"', "JSON string"),
        (r'title eq "\ud800"', "JSON string"),
        (r'title eq "\u0000"', "NUL"),
        ('title eq "\x00"', "NUL"),
        ("title eq \ud800", "surrogate"),
        ("title eq (", '"("'),
        ("not title pr", "write not (…)"),
        ('emails[not type eq "x"]', "write not (…)"),
        ("title pr and", "ends; expected the name"),
        ("and title pr", '"and"'),
        (f"title eq {'x' * 13_000}", "13009 characters"),
        ("(" * 31 + "title pr" + ")" * 31, "30 levels"),
        (" or ".join(["title pr"] * 201), "200 conditions"),
    ],
)
def test_invalid_filter_is_refused_with_a_detail_of_the_fault(text, mentions):
    with refused(400, "invalidFilter", mentions):
        filters.parse(USER, text)


@pytest.mark.parametrize(
    "value",
    [
        *(
            "'ann'",
            "'ann",
            "ann'",
            "`ann`",
            "\u2018ann\u2019",
            "\u201cann\u201d",
            "\u00abann\u00bb",
        ),
        *("\u02bcann\u02bc", "\uff07ann\uff07", "\uff02ann\uff02", "\u00b4ann\u00b4", "ann\u2032"),
        *("{ann}", "<ann>", "ann;", ";ann", "ann,", "\\ann", "a\\nn", "ann\u200b", "bulkId:ann"),
        *("and", "OR", "not", "pr", "eq"),
    ],
)
@pytest.mark.parametrize("where", ["userName eq {}", "emails[type eq {}]", "emails.value co {}"])
def test_value_in_other_quotes_is_refused_and_shown_in_double_quotes(where, value):
    shown = value.replace("\u200b", "\ufffd")
    with refused(400, "invalidFilter", shown, 'Send a string in double quotes, such as "'):
        filters.parse(USER, where.format(value))


def test_detail_repeats_an_unquoted_value_in_double_quotes():
    with refused(400, "invalidFilter", "userName cannot", "'ann@x'", '"ann@x"', "character 13"):
        filters.parse(USER, "userName eq 'ann@x'")


def test_filter_at_each_limit_is_accepted():
    filters.parse(USER, "(" * 30 + "title pr" + ")" * 30)
    filters.parse(USER, " or ".join(["not (title pr)"] * 200))
    filters.parse(USER, f'title eq "{"x" * (12_288 - 11)}"')
    for name in ("id", "externalId"):
        filters.parse(USER, " or ".join([f'{name} eq "{uuid4()}"'] * 200))


def test_detail_shortens_a_long_value():
    with pytest.raises(ScimError) as caught:
        filters.parse(USER, "f" * 5000)
    assert len(caught.value.detail) < 200


def test_numeric_extension_attributes_are_compared_as_numbers():
    user = USER.with_extension(
        Schema.from_document(
            {
                "id": "urn:acme:1.0:Shoes",
                "name": "Shoes",
                "attributes": [
                    {"name": "size", "type": "integer"},
                    {"name": "weight", "type": "decimal"},
                    {"name": "tags", "type": "string", "multiValued": True},
                ],
            }
        )
    )
    tree = filters.parse(user, 'size gt 41 and weight le -1.5e2 and tags[value eq "red"]')

    assert tree == And(
        (
            Compare(path("size", user), Operator.GT, 41),
            Compare(path("weight", user), Operator.LE, -150.0),
            ElementMatch(path("tags", user), Compare(path("tags", user), Operator.EQ, "red")),
        )
    )
    assert filters.parse(user, filters.to_text(tree)) == tree
    shoes = {"urn:acme:1.0:Shoes": {"size": 42, "weight": -151, "tags": ["blue", "Red"]}}
    assert filters.matches(tree, shoes)
    for text in ("size eq 1.5", "size eq 9223372036854775808", 'size eq "4"', "weight eq 1e999"):
        with refused(400, "invalidFilter"):
            filters.parse(user, text)


ANN = {
    "id": "U1",
    "userName": "Ann@Corp.test",
    "externalId": "Ann",
    "active": True,
    "name": {"familyName": "Li"},
    "emails": [
        {"type": "work", "value": "ann@corp.test", "primary": True},
        {"type": "home", "value": "ann@home.test"},
    ],
    "meta": {"created": "2024-01-02T03:04:05Z"},
    ENTERPRISE_USER_URN: {"department": "R&D", "manager": {"value": "u2"}},
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('userName eq "aNN@corp.TEST"', True),
        ('externalId eq "Ann"', True),
        ('externalId eq "ann"', False),
        ('id eq "u1"', False),
        ('title eq "x"', False),
        ('title ne "x"', True),
        ('userName ne "ann@corp.test"', False),
        ("active eq true", True),
        ("active ne true", False),
        ('name.familyName sw "l"', True),
        ('name.familyName ew "L"', False),
        ('emails co "HOME"', True),
        ('emails.type eq "work" and emails.value co "home"', True),
        ('emails[type eq "work" and value co "home"]', False),
        ('emails[type eq "work"].value sw "ann@corp"', True),
        ("emails[primary eq true]", True),
        ("emails[primary ne true]", True),
        ('emails ne "ann@corp.test"', True),
        ('roles ne "x"', False),
        ("roles pr", False),
        ("emails.display pr", False),
        ('not (emails[type eq "other"])', True),
        ('meta.created gt "2024-01-02T04:04:04+01:00"', True),
        ('meta.created gt "2024-01-02T03:04:05Z"', False),
        ('meta.created ge "2024-01-02T03:04:05Z"', True),
        ('meta.created lt "2024-01-02T03:04:06Z"', True),
        ('meta.created le "2024-01-02T03:04:04Z"', False),
        ('manager eq "u2"', True),
        ('manager[value eq "u3"]', False),
        ('department eq "r&d"', True),
        ("title eq null", True),
        ("department ne null", True),
        ('name.familyName gt "LA" and name.familyName lt "lj"', True),
    ],
)
def test_filter_is_evaluated_against_a_resource(text, expected):
    assert filters.matches(filters.parse(USER, text), ANN) is expected


def test_group_filter_matches_by_member():
    tree = filters.parse(GROUP, 'id eq "g1" and members eq "u1"')
    assert filters.matches(tree, {"id": "g1", "members": [{"value": "u0"}, {"value": "u1"}]})
    assert not filters.matches(tree, {"id": "g1", "members": [{"value": "u0"}]})
