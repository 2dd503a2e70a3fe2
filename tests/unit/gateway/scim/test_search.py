"""The parameters of a query, and its filter simplified for each resource type."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.scim import filter as filters
from gateway.scim import search
from gateway.scim.errors import ScimError
from gateway.scim.filter import simplify
from gateway.scim.schema import ENTERPRISE_USER_URN, GROUP, GROUP_URN, USER, USER_URN
from gateway.scim.search import SearchRequest
from tests.support.scim_errors import assert_client_error, refused

TYPES = (USER, GROUP)


def simplified(text):
    """The filter for each type, as text or as a constant."""
    parsed = simplify.parse(TYPES, text)
    return [each if isinstance(each, bool) else filters.to_text(each) for each in parsed]


def test_search_request_equals_the_same_url_parameters():
    parameters = {
        "attributes": "userName,name",
        "excludedAttributes": "emails",
        "filter": "userName pr",
        "sortBy": "userName",
        "sortOrder": "descending",
        "startIndex": "3",
        "count": "10",
        "aadOptscim062020": "",
    }
    document = {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
        "ATTRIBUTES": ["userName", "name"],
        "excludedAttributes": ["emails"],
        "filter": "userName pr",
        "sortBy": "userName",
        "sortOrder": "descending",
        "startIndex": 3,
        "count": 10,
        "domain": "x",
    }
    expected = SearchRequest(
        "userName,name", "emails", "userName pr", "userName", "descending", "3", "10"
    )
    assert search.from_parameters(parameters) == expected
    assert search.from_document(document) == expected


def test_null_equals_absent_but_an_empty_cursor_does_not():
    assert search.from_document({"cursor": None, "count": None}) == SearchRequest()
    assert search.from_document({"cursor": ""}) == SearchRequest(cursor="")
    assert search.from_parameters({"cursor": ""}) == SearchRequest(cursor="")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("attributes", [1]),
        ("excludedAttributes", {}),
        ("filter", 1),
        ("sortBy", ["userName"]),
        ("sortOrder", True),
        ("startIndex", 1.0),
        ("count", True),
        ("cursor", 7),
        ("schemas", "x"),
    ],
)
def test_member_of_the_wrong_type_is_refused_with_its_name(name, value):
    with refused(400, "invalidValue", name):
        search.from_document({name: value})


def test_member_given_twice_is_refused():
    with refused(400, "invalidSyntax", "twice"):
        search.from_document({"count": 1, "Count": 2})


def test_cursor_with_a_start_index_is_refused():
    with refused(400, "invalidValue", "startIndex", "cursor"):
        search.from_parameters({"cursor": "", "startIndex": "1"})


def test_page_size_with_a_cursor_is_the_count_or_refused():
    assert [SearchRequest(count=each).page_size() for each in (None, "-1", "0", "1", " 1000 ")] == [
        100,
        0,
        0,
        1,
        1000,
    ]
    for count in ("1001", "", "x", "1.5", "٣", "²", "9" * 5000):
        with refused(400, "invalidCount", "0 to 1000"):
            SearchRequest(count=count).page_size()


def test_query_identity_ignores_cursor_and_count():
    first = search.from_document({"filter": "id pr", "cursor": "", "count": 1})
    later = search.from_parameters({"filter": "id pr", "cursor": "x", "count": "1"})
    assert first.identity() == later.identity()
    for name in ("attributes", "excludedAttributes", "filter", "sortBy", "sortOrder"):
        other = search.from_parameters({"filter": "id pr", "cursor": "x", name: "title"})
        assert other.identity() != first.identity()


@pytest.mark.parametrize(
    ("text", "user", "group"),
    [
        ('userName eq "a"', 'userName eq "a"', False),
        ('members eq "u1"', False, 'members.value eq "u1"'),
        ('displayName co "a"', 'displayName co "a"', 'displayName co "a"'),
        ("userName pr", "userName pr", False),
        ("not (userName pr)", "not (userName pr)", True),
        ('userName ne "a"', 'userName ne "a"', True),
        ('members ne "a"', False, 'members.value ne "a"'),
        ('emails[type eq "work"]', 'emails[type eq "work"]', False),
        ('meta.resourceType eq "User"', True, False),
        ('meta.resourceType eq "user"', False, False),
        ('meta.resourceType ne "User"', False, True),
        (
            'displayName pr and (members pr or meta.resourceType eq "User")',
            "displayName pr",
            "displayName pr and members pr",
        ),
        (
            'userName eq "a" or displayName pr',
            'userName eq "a" or displayName pr',
            "displayName pr",
        ),
        ("id pr and meta.created pr and schemas pr", True, True),
        (f'schemas eq "{USER_URN}"', True, False),
        (f'schemas eq "{GROUP_URN}"', False, True),
        (f'not (schemas eq "{GROUP_URN}")', True, False),
    ],
)
def test_filter_is_simplified_for_each_resource_type(text, user, group):
    assert simplified(text) == [user, group]


def test_extension_in_a_filter_of_schemas_means_it_has_a_value():
    (user, group) = simplified(f'schemas eq "{ENTERPRISE_USER_URN}"')
    assert group is False
    assert user.split(" or ") == [
        f"{ENTERPRISE_USER_URN}:{name} pr"
        for name in (
            "employeeNumber",
            "costCenter",
            "organization",
            "division",
            "department",
            "manager",
        )
    ]


def test_filter_is_refused_only_if_invalid_for_every_type():
    with refused(400, "invalidFilter", "This server has no attribute", "bogus"):
        simplify.parse(TYPES, "bogus pr")
    with refused(400, "invalidFilter", "Group has no attribute", "userName"):
        simplify.parse((GROUP,), "userName pr")
    assert simplified("userName pr and members pr") == [False, False]


def test_or_keeps_only_the_conditions_of_each_type():
    assert simplified('active eq true or members eq "x"') == [
        "active eq true",
        'members.value eq "x"',
    ]


FILTERS = st.recursive(
    st.sampled_from(
        [
            'userName eq "a"',
            'userName ne "a"',
            "members pr",
            'displayName sw "d"',
            'meta.resourceType eq "User"',
            f'schemas co "{USER_URN}"',
            "active eq true",
            "title pr",
            'emails[type eq "work"]',
        ]
    ),
    lambda inner: st.one_of(
        inner.map("not ({})".format),
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(
            lambda t: "({} {} {})".format(*t)
        ),
    ),
    max_leaves=8,
)
RESOURCES = [
    (USER, {"userName": "a", "displayName": "d", "active": True}),
    (USER, {"userName": "b", "emails": [{"type": "work", "value": "x"}]}),
    (GROUP, {"displayName": "d", "members": [{"value": "u"}]}),
    (GROUP, {"displayName": "e"}),
]


@given(FILTERS)
def test_simplified_filter_matches_the_same_resources(text):
    simplified_filters = simplify.parse(TYPES, text)
    for resource_type, resource in RESOURCES:
        # The original filter applies to the resource as a client sees it.
        visible = {
            **resource,
            "schemas": [resource_type.schema.urn],
            "meta": {"resourceType": resource_type.name},
        }
        tree = filters.parse(simplify._combined_type(resource_type, TYPES), text)
        simple = simplified_filters[TYPES.index(resource_type)]
        found = simple if isinstance(simple, bool) else filters.matches(simple, resource)
        assert found == filters.matches(tree, visible)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(
            ["attributes", "filter", "FILTER", "count", "startIndex", "cursor", "sortBy", "schemas"]
        )
        | st.text(max_size=5),
        JSON,
        max_size=6,
    )
)
def test_any_search_body_is_a_query_or_refused(document):
    try:
        query = search.from_document(document)
        query.page_size()
        if query.filter is not None:
            simplify.parse(TYPES, query.filter)
    except ScimError as refusal:
        assert_client_error(refusal)
