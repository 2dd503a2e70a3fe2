"""ListUsers: pages, counts and refused requests. test_filter_model.py tests the filters."""

import base64
import json
from hashlib import sha256
from uuid import uuid4

import pytest
from cloudacademy.errors.v1.errors_pb2 import Reason
from cloudacademy.users.v1 import filter_pb2
from cloudacademy.users.v1.users_pb2 import (
    EnterpriseUser,
    ListUsersRequest,
    ListUsersResponse,
    TypedValue,
)
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from tests.support.usersvc.user_calls import (
    ACME,
    all_of,
    any_of,
    compare,
    create,
    delete,
    element,
    invalid_field,
    list_pages,
    list_users,
    negation,
    present,
    refused,
    user_names,
)


@pytest.fixture
async def five(users):
    return [await create(users, name) for name in ("Eve", "dan", "Cat", "bob", "Ann")]


async def test_users_are_listed_in_order_of_creation(users, five):
    assert await list_users(users) == ListUsersResponse(users=five)


async def test_list_of_organization_without_users_is_empty(users):
    assert await list_users(users, count_total=True) == ListUsersResponse()


async def test_filter_on_very_long_employee_number_finds_user(users, five):
    """A plain text index would refuse a value of this length."""
    number = "".join(sha256(bytes([n])).hexdigest() for n in range(128))
    long = await create(users, "long", enterprise=EnterpriseUser(employee_number=number))
    found = await list_users(
        users, filter=compare("enterprise.employee_number", "EQUAL", number.upper())
    )
    assert list(found.users) == [long]


async def test_pages_by_token_return_each_user_once(users, five):
    assert await list_pages(users, 2) == [five[:2], five[2:4], five[4:]]


async def test_page_that_holds_all_users_is_the_last(users, five):
    assert await list_pages(users, 5) == [five]


async def test_pages_contain_every_user_despite_creates_and_deletes(users, five):
    page = await list_users(users, page_size=2)
    await delete(users, five[0].id)
    await delete(users, five[1].id)
    late = await create(users, "late")
    rest = await list_users(users, page_size=9, page_token=page.next_page_token)
    assert list(rest.users) == [*five[2:], late]


async def test_page_size_may_change_between_pages(users, five):
    page = await list_users(users, page_size=1)
    rest = await list_users(users, page_size=9, page_token=page.next_page_token)
    assert list(rest.users) == five[1:]


async def test_total_counts_skipped_users(users, five):
    page = await list_users(users, skip=3, count_total=True)
    assert page == ListUsersResponse(users=five[3:], total_size=5)


async def test_skip_applies_only_to_the_first_page(users, five):
    assert await list_pages(users, 2, skip=2) == [five[2:4], five[4:]]


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({"page_size": 2}, 2),
        ({"page_size": 9}, 5),
        ({"skip": 5}, 0),
        ({"skip": 2**31 - 1}, 0),
        ({"omit_users": True}, 0),
    ],
)
async def test_total_counts_the_users_of_all_pages(users, five, fields, size):
    page = await list_users(users, count_total=True, **fields)
    assert (len(page.users), page.total_size) == (size, 5)


async def test_total_is_the_same_on_every_page(users, five):
    first = await list_users(users, page_size=3, count_total=True)
    token = first.next_page_token
    last = await list_users(users, page_size=3, count_total=True, page_token=token)
    assert (first.total_size, last.total_size) == (5, 5)


async def test_list_with_omit_users_returns_no_users(users, five):
    assert await list_users(users, omit_users=True) == ListUsersResponse()


async def test_total_counts_only_users_that_match_the_filter(users, five):
    wanted = any_of(compare("user_name", "EQUAL", "ANN"), compare("user_name", "EQUAL", "Bob"))
    page = await list_users(users, wanted, page_size=1, count_total=True)
    assert ([user.user_name for user in page.users], page.total_size) == (["bob"], 2)


async def test_page_size_is_capped_at_1000_and_defaults_to_100(users, db):
    await db.execute(
        """
        INSERT INTO users (organization_id, create_time, update_time, user_name, active)
        SELECT '018f6d2e-0000-7000-8000-00000000000a', now(), now(), 'u' || n, true
          FROM generate_series(1, 1100) AS n
        """
    )
    sizes = [len((await list_users(users, page_size=size)).users) for size in (0, 2000)]
    assert sizes == [100, 1000]


async def test_element_filter_needs_one_element_that_matches_all(users):
    await create(users, "ann", emails=[TypedValue(value="a", type="work"), TypedValue(value="b")])
    await create(users, "bob", emails=[TypedValue(value="b", type="work")])
    work = compare("type", "EQUAL", "work")
    is_b = compare("value", "EQUAL", "B")
    assert await user_names(users, element("emails", all_of(work, is_b))) == ["bob"]
    assert await user_names(users, element("emails", all_of(is_b, negation(work)))) == ["ann"]


@pytest.mark.parametrize("name", ["page_size", "skip"])
async def test_negative_page_size_or_skip_is_refused(users, name):
    with invalid_field(name):
        await list_users(users, **{name: -1})


async def test_page_token_with_another_filter_or_order_is_refused(users, five):
    filter_ = compare("active", "EQUAL", True)
    page = await list_users(users, filter_, page_size=2, order_by="user_name")
    for other in (
        {"filter": filter_, "order_by": "user_name desc"},
        {"filter": compare("active", "EQUAL", False), "order_by": "user_name"},
        {"order_by": "user_name"},
        {"filter": filter_},
    ):
        with refused(Reason.REASON_INVALID_PAGE_TOKEN, StatusCode.INVALID_ARGUMENT):
            await list_users(users, page_token=page.next_page_token, **other)


async def test_tampered_page_token_is_refused(users, five):
    token = (await list_users(users, page_size=2, order_by="create_time")).next_page_token
    digest, user_id, key = json.loads(base64.urlsafe_b64decode(token))
    contents = [
        *([digest, user_id, 7], [digest, user_id, "x"], [digest, user_id, "2026-01-01T00:00:00"]),
        *([digest, "x", key], [digest, 7, key], [digest], [user_id, user_id, key], {}, 7, None),
    ]
    forged = [base64.urlsafe_b64encode(json.dumps(each).encode()).decode() for each in contents]
    nested = base64.urlsafe_b64encode(b"[" * 100_000).decode()
    for text in [*forged, nested, token[:-3], "x", "é", "\ud7ff", "A" * 100_000, "null"]:
        with refused(Reason.REASON_INVALID_PAGE_TOKEN, StatusCode.INVALID_ARGUMENT):
            await list_users(users, page_token=text, order_by="create_time")


@pytest.mark.parametrize("key", ["a\0b", "\ud800", ["a"], 7, True])
async def test_page_token_with_invalid_key_is_refused(users, five, key):
    token = (await list_users(users, page_size=2, order_by="user_name")).next_page_token
    digest, user_id, _ = json.loads(base64.urlsafe_b64decode(token))
    forged = base64.urlsafe_b64encode(json.dumps([digest, user_id, key]).encode()).decode()
    with refused(Reason.REASON_INVALID_PAGE_TOKEN, StatusCode.INVALID_ARGUMENT):
        await list_users(users, page_token=forged, order_by="user_name")


@pytest.mark.parametrize(
    "order",
    [
        *("nothing", "name", "userName", "user_name DESC", "id, user_name", "user_name asc"),
        *(" desc", "addresses", "emails.nothing", "organization_id", "'", "user_name;--"),
    ],
)
async def test_user_order_by_unsupported_field_is_refused(users, order):
    field = order.removesuffix(" desc")
    with refused(Reason.REASON_UNKNOWN_FIELD, StatusCode.INVALID_ARGUMENT, field=field):
        await list_users(users, order_by=order)


@pytest.mark.parametrize(
    ("field", "filter_"),
    [
        ("nothing", compare("nothing", "EQUAL", "x")),
        ("etag", compare("etag", "EQUAL", "1")),
        ("organization_id", present("organization_id")),
        ("emails", compare("emails", "EQUAL", "x")),
        ("name", compare("name", "EQUAL", "x")),
        ("emails.nothing", compare("emails.nothing", "EQUAL", "x")),
        ("emails.nothing", present("emails.nothing")),
        ("emails.", present("emails.")),
        ("name.", present("name.")),
        ("user_name", element("user_name", present("value"))),
        ("user_name", element("emails", present("user_name"))),
        ("emails", element("emails", element("emails", present("value")))),
        ("emails.value", element("emails", compare("emails.value", "EQUAL", "x"))),
        ("", present("")),
        ("user_name' OR true --", present("user_name' OR true --")),
    ],
)
async def test_user_filter_on_unsupported_field_is_refused(users, field, filter_):
    with refused(Reason.REASON_UNKNOWN_FIELD, StatusCode.INVALID_ARGUMENT, field=field):
        await list_users(users, filter_)


TIME = Timestamp(seconds=1)


def nested(levels: int) -> filter_pb2.Filter:
    filter_ = present("title")
    for _ in range(levels - 1):
        filter_ = negation(filter_)
    return filter_


@pytest.mark.parametrize(
    "filter_",
    [
        compare("user_name", "EQUAL", True),
        compare("user_name", "EQUAL", TIME),
        compare("active", "EQUAL", "true"),
        compare("active", "GREATER_THAN", True),
        compare("emails.primary", "CONTAINS", True),
        compare("update_time", "EQUAL", "2026-01-01T00:00:00Z"),
        compare("update_time", "CONTAINS", TIME),
        compare("update_time", "STARTS_WITH", TIME),
        compare("update_time", "EQUAL", Timestamp(nanos=-1)),
        compare("update_time", "EQUAL", Timestamp(seconds=2**62)),
        compare("id", "EQUAL", True),
        compare("user_name", "UNSPECIFIED", "x"),
        compare("title", "EQUAL", "\0"),
        filter_pb2.Filter(),
        filter_pb2.Filter(comparison=filter_pb2.Comparison(field="title", operator=1)),
        filter_pb2.Filter(comparison=filter_pb2.Comparison(field="title", operator=99, text="x")),
        all_of(),
        any_of(),
        negation(filter_pb2.Filter()),
        element("emails", filter_pb2.Filter()),
        nested(31),
        all_of(*[present("title")] * 201),
        any_of(present("title"), *[all_of(*[present("title")] * 50)] * 4),
    ],
    ids=lambda filter_: str(filter_).replace("\n", " ")[:60],
)
async def test_malformed_filter_is_refused(users, filter_):
    with refused(Reason.REASON_INVALID_FILTER, StatusCode.INVALID_ARGUMENT):
        await list_users(users, filter_)


async def test_filter_at_depth_and_size_limits_is_accepted(users, five):
    wide = any_of(*[negation(negation(compare("user_name", "EQUAL", "ann")))] * 200)
    assert await user_names(users, wide) == ["Ann"]
    negated_29_times = await user_names(users, nested(30))
    assert negated_29_times == [user.user_name for user in five]


async def test_filter_of_200_ids_finds_the_existing_users(users, five):
    ids = [user.id for user in five[:3]] + [str(uuid4()) for _ in range(196)] + ["no id"]
    wanted = any_of(*[compare("id", "EQUAL", each) for each in ids])
    assert await user_names(users, wanted) == ["Eve", "dan", "Cat"]
    assert (await list_users(users, wanted, count_total=True, page_size=2)).total_size == 3


@pytest.mark.parametrize(
    ("field", "texts"),
    [
        ("user_name", ["ANN", "eve"]),
        ("external_id", ["x-Ann", "x-Eve", "X-BOB"]),
        ("display_name", ["THE Ann", "the eve"]),
        ("enterprise.employee_number", ["E-Ann", "e-EVE"]),
        ("emails.value", ["ANN@acme.test", "eve@ACME.test"]),
        ("title", ["BOSS OF Ann", "boss of eve"]),
    ],
)
async def test_filter_of_several_texts_finds_each_user_once(users, field, texts):
    for name in ("Ann", "bob", "Eve"):
        await create(
            users,
            name,
            external_id=f"x-{name}",
            display_name=f"The {name}",
            title=f"Boss of {name}",
            emails=[TypedValue(value=f"{name}@acme.test"), TypedValue(value=f"{name}@corp.test")],
            enterprise=EnterpriseUser(employee_number=f"E-{name}"),
        )
    wanted = any_of(*[compare(field, "EQUAL", text) for text in [*texts, *texts, "nobody"]])
    assert await user_names(users, wanted) == ["Ann", "Eve"]
    wider = any_of(wanted, compare("user_name", "EQUAL", "bob"))
    assert await user_names(users, wider) == ["Ann", "bob", "Eve"]
    narrower = all_of(wanted, compare("user_name", "EQUAL", "eve"))
    assert await user_names(users, narrower) == ["Eve"]


async def test_page_of_large_users_is_cut_and_the_pages_are_complete(users):
    photos = [TypedValue(value=str(number) + "x" * 8_000) for number in range(120)]
    created = [await create(users, f"user{number}", photos=photos) for number in range(12)]

    first = await list_users(users, page_size=100, count_total=True)
    pages = await list_pages(users, 100)

    assert (0 < len(first.users) < len(created), first.total_size) == (True, len(created))
    assert [user.id for page in pages for user in page] == [user.id for user in created]


def list_request(prefix: str, **fields: object) -> ListUsersRequest:
    """A list request for the users whose names start with a prefix."""
    return ListUsersRequest(
        organization_id=ACME, filter=compare("user_name", "STARTS_WITH", prefix), **fields
    )


async def test_page_ends_before_it_exceeds_max_bytes(users):
    photos = [TypedValue(value="x" * 8_000)]
    created = [await create(users, f"user{number}", photos=photos) for number in range(5)]

    page = await users.ListUsers(list_request("user", max_bytes=20_000))
    rest = await users.ListUsers(list_request("user", page_token=page.next_page_token))

    assert (len(page.users), page.omitted_bytes) == (2, 0)
    assert [user.id for user in [*page.users, *rest.users]] == [user.id for user in created]


async def test_page_whose_first_user_exceeds_max_bytes_has_only_its_size(users):
    ann = await create(users, "ann", photos=[TypedValue(value="x" * 8_000)])
    await create(users, "anna")

    page = await users.ListUsers(list_request("ann", max_bytes=1_000, count_total=True))
    again = await users.ListUsers(list_request("ann", max_bytes=page.omitted_bytes, page_size=1))

    assert (list(page.users), page.total_size) == ([], 2)
    assert page.omitted_bytes == ann.ByteSize()
    assert list(again.users) == [ann]


async def test_user_whose_lists_exceed_message_size_is_refused(users):
    photos = [TypedValue(value=str(number) + "x" * 8_000) for number in range(140)]
    with invalid_field("user"):
        await create(users, "ann", photos=photos)
