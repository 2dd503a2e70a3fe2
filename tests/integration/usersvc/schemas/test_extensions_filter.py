"""Filters and orders by the extension attributes of an organization."""

from datetime import UTC, datetime

import pytest
from cloudacademy.errors.v1.errors_pb2 import Reason
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from tests.support.usersvc.schema_calls import (
    ALL_TYPES,
    BADGE,
    attribute,
    badge,
    create_schema,
    extension,
)
from tests.support.usersvc.user_calls import (
    GLOBEX,
    all_of,
    any_of,
    compare,
    create,
    element,
    list_pages,
    list_users,
    negation,
    present,
    refused,
    user_names,
)

PEOPLE = {
    "ann": {
        "nickname": "Rosé", "number": "7-A", "valid": True, "floor": 3, "ratio": 0.5,
        "issued": "2026-01-31T09:30:00Z", "tags": ["Red", "blue"],
        "office": {"city": "Oslo", "desk": 12},
        "doors": [{"value": "north", "level": 1}, {"value": "south", "level": 2}],
    },
    "bob": {
        "nickname": "ROSÉ", "number": "7-a", "valid": False, "floor": -3, "ratio": 12.0,
        "issued": "2026-01-31T10:30:00+01:00", "tags": ["green"],
        "office": {"city": "Rome"},
        "doors": [{"value": "north", "level": 2}],
    },
    "eve": {},
}  # fmt: skip


@pytest.fixture(autouse=True)
async def people(schemas, users):
    await create_schema(schemas, *ALL_TYPES)
    for name, values in PEOPLE.items():
        await create(users, name, extensions=badge(**values) if values else {})


def at(*parts: int) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(datetime(*parts, tzinfo=UTC))
    return timestamp


def compare_badge(name: str, operator: str, value: object):
    return compare(f"{BADGE}:{name}", operator, value)


CASES = {
    "text ignores case": (compare_badge("nickname", "EQUAL", "rosé"), "ann bob"),
    "text contains": (compare_badge("nickname", "CONTAINS", "OS"), "ann bob"),
    "text starts with": (compare_badge("nickname", "STARTS_WITH", "r"), "ann bob"),
    "text ends with": (compare_badge("nickname", "ENDS_WITH", "SÉ"), "ann bob"),
    "wildcard is literal": (compare_badge("nickname", "CONTAINS", "%"), ""),
    "text is case-exact": (compare_badge("number", "EQUAL", "7-A"), "ann"),
    "text greater than": (compare_badge("number", "GREATER_THAN", "7-A"), "bob"),
    "not equal includes unassigned": (compare_badge("number", "NOT_EQUAL", "7-A"), "bob eve"),
    "true": (compare_badge("valid", "EQUAL", True), "ann"),
    "not true": (compare_badge("valid", "NOT_EQUAL", True), "bob eve"),
    "integer": (compare_badge("floor", "EQUAL", 3), "ann"),
    "integer less than": (compare_badge("floor", "LESS_THAN", 0), "bob"),
    "largest integer": (compare_badge("floor", "LESS_OR_EQUAL", 2**63 - 1), "ann bob"),
    "decimal": (compare_badge("ratio", "GREATER_OR_EQUAL", 0.5), "ann bob"),
    "decimal equals integer": (compare_badge("ratio", "EQUAL", 12), "bob"),
    "time in any zone": (compare_badge("issued", "EQUAL", at(2026, 1, 31, 9, 30)), "ann bob"),
    "time less than": (compare_badge("issued", "LESS_THAN", at(2026, 1, 31, 9, 30)), ""),
    "any of several values": (compare_badge("tags", "EQUAL", "red"), "ann"),
    "value as an element": (
        element(f"{BADGE}:tags", compare("value", "STARTS_WITH", "GR")), "bob"),
    "sub-attribute": (compare_badge("office.city", "EQUAL", "oslo"), "ann"),
    "sub-attribute greater than": (compare_badge("office.desk", "GREATER_THAN", 11), "ann"),
    "sub-attribute of any element": (compare_badge("doors.level", "EQUAL", 2), "ann bob"),
    "one element matches both": (
        element(f"{BADGE}:doors", all_of(compare("value", "EQUAL", "north"),
                                         compare("level", "EQUAL", 2))), "bob"),
    "single object as an element": (
        element(f"{BADGE}:office", negation(compare("city", "EQUAL", "oslo"))), "bob"),
    "present value": (present(f"{BADGE}:floor"), "ann bob"),
    "present object": (present(f"{BADGE}:office"), "ann bob"),
    "present sub-attribute": (present(f"{BADGE}:office.desk"), "ann"),
    "present list": (present(f"{BADGE}:tags"), "ann bob"),
    "not present": (negation(present(f"{BADGE}:doors.level")), "eve"),
    "combined with core fields": (
        any_of(compare("user_name", "EQUAL", "eve"), compare_badge("floor", "EQUAL", 3)),
        "ann eve"),
}  # fmt: skip


@pytest.mark.parametrize(("filter_", "expected"), CASES.values(), ids=CASES)
async def test_extension_filter_finds_matching_users(users, filter_, expected):
    assert await user_names(users, filter_) == expected.split()
    assert (await list_users(users, filter_, count_total=True, omit_users=True)).total_size == len(
        expected.split()
    )


@pytest.mark.parametrize(
    ("name", "operator", "value"),
    [
        ("nickname", "EQUAL", 7),
        ("valid", "EQUAL", "true"),
        ("valid", "GREATER_THAN", True),
        ("floor", "EQUAL", "3"),
        ("floor", "EQUAL", True),
        ("floor", "CONTAINS", 3),
        ("ratio", "EQUAL", float("nan")),
        ("issued", "EQUAL", "2026-01-31T09:30:00Z"),
    ],
)
async def test_extension_filter_with_value_of_another_type_is_refused(users, name, operator, value):
    with refused(Reason.REASON_INVALID_FILTER, StatusCode.INVALID_ARGUMENT):
        await user_names(users, compare_badge(name, operator, value))


@pytest.mark.parametrize(
    "field",
    [f"{BADGE}:nobody", f"{BADGE}:office", f"{BADGE}:office.nobody", BADGE, "urn:acme:no:number"],
)
async def test_extension_filter_on_unknown_attribute_is_refused(users, field):
    with refused(Reason.REASON_UNKNOWN_FIELD, StatusCode.INVALID_ARGUMENT, field=field):
        await user_names(users, compare(field, "EQUAL", "x"))


async def test_extension_filter_is_limited_to_the_organization(users, schemas):
    condition = compare_badge("floor", "EQUAL", 3)
    with refused(Reason.REASON_UNKNOWN_FIELD, StatusCode.INVALID_ARGUMENT, field=f"{BADGE}:floor"):
        await user_names(users, condition, organization_id=GLOBEX)

    await create_schema(schemas, attribute("floor", "INTEGER"), organization_id=GLOBEX)
    await create(users, "zoe", GLOBEX, extensions=badge(floor=3))
    assert await user_names(users, condition, organization_id=GLOBEX) == ["zoe"]
    assert await user_names(users, condition) == ["ann"]


async def test_attribute_may_have_another_type_in_another_organization(users, schemas):
    await create_schema(schemas, attribute("floor"), organization_id=GLOBEX)
    await create(users, "zoe", GLOBEX, extensions=badge(floor="ground"))

    assert await user_names(users, compare_badge("floor", "EQUAL", 3)) == ["ann"]
    assert await user_names(
        users, compare_badge("floor", "EQUAL", "Ground"), organization_id=GLOBEX
    ) == ["zoe"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("floor", "bob ann eve"),
        ("ratio", "ann bob eve"),
        ("number", "ann bob eve"),
        ("valid", "bob ann eve"),
        ("office.city", "ann bob eve"),
    ],
)
async def test_list_is_sorted_and_paged_by_extension_attribute(users, name, expected):
    pages = await list_pages(users, 1, order_by=f"{BADGE}:{name}")

    assert [user.user_name for page in pages for user in page] == expected.split()


async def test_extension_filter_accepts_urn_with_dots(users, schemas):
    urn = "urn:acme:badge.v2"
    await create_schema(schemas, *ALL_TYPES, urn=urn)
    await create(users, "kim", extensions={urn: extension(tags=["x"], office={"city": "Bonn"})})

    assert await user_names(users, compare(f"{urn}:tags", "EQUAL", "x")) == ["kim"]
    assert await user_names(users, compare(f"{urn}:office.city", "EQUAL", "bonn")) == ["kim"]
    assert await user_names(users, present(f"{urn}:tags")) == ["kim"]
