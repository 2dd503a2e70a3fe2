"""PostgreSQL returns the users that a Python model of the contract returns."""

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping

import pytest
from cloudacademy.users.v1 import filter_pb2, users_pb2
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.clocks import StoppedClock
from tests.support.postgres import Template
from tests.support.usersvc import filter_model
from tests.support.usersvc.services import running_service
from tests.support.usersvc.user_calls import ACME, list_pages, list_users

# Few texts, so that values coincide; some of them are special for SQL, LIKE or case folding.
TEXTS = [
    *("a", "A", "ab", "aB", "b", "Ba", "%", "a%b", "_", "a_b", "\\", "'", '"', "ß", "ss", "SS"),
    *("É", "é", "e\u0301", "Σ", "ς", "\u03c3\u03b1", "İ", "i", "\u0131", "ﬃ", "ffi", "Z", "z", "~"),
    *("\U0001f600", "\U0010ffff", "\ud7ff", "\ue000", "a\U0010ffff", "b" * 600),
]
TYPES = ["work", "Work", "home", ""]
SINGLE_TEXTS = [
    *("user_name", "external_id", "display_name", "nick_name", "profile_url", "title"),
    *("user_type", "preferred_language", "locale", "timezone"),
    *("name.formatted", "name.family_name", "name.given_name", "name.middle_name"),
    *("name.honorific_prefix", "name.honorific_suffix"),
    *("enterprise.employee_number", "enterprise.cost_center", "enterprise.organization"),
    *("enterprise.division", "enterprise.department", "enterprise.manager.value"),
]
TYPED_FIELDS = [
    "emails",
    "phone_numbers",
    "ims",
    "photos",
    "entitlements",
    "roles",
    "x509_certificates",
]
ADDRESS = ["formatted", "street_address", "locality", "region", "postal_code", "country", "type"]
ELEMENT_TEXTS = {field: ["value", "display", "type"] for field in TYPED_FIELDS} | {
    "addresses": ADDRESS
}
TEXT_OPERATORS = list(range(1, 10))
TIME_OPERATORS = [1, 2, 6, 7, 8, 9]


def population(count: int) -> list[users_pb2.User]:
    """Users with values in every field; the same users in every run."""
    rng = random.Random(3)
    return [_user(rng, number) for number in range(count)]


def _user(rng: random.Random, number: int) -> users_pb2.User:
    def text() -> str:
        return rng.choice(TEXTS) if rng.random() < 0.4 else ""

    user = users_pb2.User(user_name=f"{rng.choice(TEXTS)}{number}", active=rng.random() < 0.7)
    for path in SINGLE_TEXTS[1:]:
        *parents, leaf = path.split(".")
        holder = user
        value = text()
        for parent in parents:
            if value:
                holder = getattr(holder, parent)
        if value:
            setattr(holder, leaf, value)
    for field, texts in ELEMENT_TEXTS.items():
        for index in range(rng.choice([0, 0, 1, 2, 3])):
            element = getattr(user, field).add(**{name: text() for name in texts})
            element.type = rng.choice(TYPES)
            if rng.random() < 0.5:
                element.primary = rng.random() < 0.5 and index == 0
    return user


FindIds = Callable[[filter_pb2.Filter], list[str]]
ListPages = Callable[[str], list[list[users_pb2.User]]]
Directory = tuple[list[users_pb2.User], FindIds, ListPages]


@pytest.fixture(scope="module")
def directory(
    templates: Mapping[str, Template],
) -> Iterator[Directory]:
    """A service with 80 users of one organization, created just over a second apart."""
    clock = StoppedClock()
    with templates["usersvc"].database() as url, asyncio.Runner() as runner:
        service = running_service(url, clock)
        stub = runner.run(service.__aenter__())

        async def fill() -> list[users_pb2.User]:
            users = []
            for user in population(80):
                clock.advance(seconds=1, microseconds=7)
                request = users_pb2.CreateUserRequest(organization_id=ACME, user=user)
                users.append((await stub.CreateUser(request)).user)
            return users

        async def find_ids(filter_: filter_pb2.Filter) -> list[str]:
            return [user.id for user in (await list_users(stub, filter_)).users]

        users = runner.run(fill())
        yield (
            users,
            lambda filter_: runner.run(find_ids(filter_)),
            lambda order_by: runner.run(list_pages(stub, 7, order_by=order_by)),
        )
        runner.run(service.__aexit__(None, None, None))


FIRST_NANOS = int(StoppedClock().now.timestamp()) * 10**9 + 123_456_000
STEP_NANOS = 1_000_007_000
texts = st.sampled_from([*TEXTS, ""]) | st.text(
    st.sampled_from("aAbBß%_\\\u03c3ς\U0010ffff"), max_size=3
)
# Times close to the users' create times. About half of them are not whole microseconds.
times = st.builds(
    lambda steps, offset: Timestamp(
        seconds=(FIRST_NANOS + steps * STEP_NANOS + offset) // 10**9,
        nanos=(FIRST_NANOS + steps * STEP_NANOS + offset) % 10**9,
    ),
    st.integers(0, 81),
    st.sampled_from([-1000, -999, -1, 0, 1, 500, 999, 1000]),
)


def comparisons(fields: list[str]) -> st.SearchStrategy[filter_pb2.Filter]:
    return st.builds(
        lambda field, operator, text: filter_pb2.Filter(
            comparison=filter_pb2.Comparison(field=field, operator=operator, text=text)
        ),
        st.sampled_from(fields),
        st.sampled_from(TEXT_OPERATORS),
        texts,
    )


def booleans(fields: list[str]) -> st.SearchStrategy[filter_pb2.Filter]:
    return st.builds(
        lambda field, operator, value: filter_pb2.Filter(
            comparison=filter_pb2.Comparison(field=field, operator=operator, boolean=value)
        ),
        st.sampled_from(fields),
        st.sampled_from([1, 2]),
        st.booleans(),
    )


moments = st.builds(
    lambda field, operator, time: filter_pb2.Filter(
        comparison=filter_pb2.Comparison(field=field, operator=operator, time=time)
    ),
    st.sampled_from(["create_time", "update_time"]),
    st.sampled_from(TIME_OPERATORS),
    times,
)


def trees(leaves: st.SearchStrategy[filter_pb2.Filter]) -> st.SearchStrategy[filter_pb2.Filter]:
    def grow(inner: st.SearchStrategy[filter_pb2.Filter]) -> st.SearchStrategy[filter_pb2.Filter]:
        several = st.lists(inner, min_size=1, max_size=3)
        return (
            several.map(lambda fs: filter_pb2.Filter(all_of=filter_pb2.AllOf(filters=fs)))
            | several.map(lambda fs: filter_pb2.Filter(any_of=filter_pb2.AnyOf(filters=fs)))
            | inner.map(lambda f: filter_pb2.Filter(negation=f))
        )

    return st.recursive(leaves, grow, max_leaves=5)


def presences(fields: list[str]) -> st.SearchStrategy[filter_pb2.Filter]:
    return st.sampled_from(fields).map(lambda field: filter_pb2.Filter(present=field))


def element_matches(field: str) -> st.SearchStrategy[filter_pb2.Filter]:
    names = ELEMENT_TEXTS[field]
    conditions = comparisons(names) | booleans(["primary"]) | presences([*names, "primary"])
    return trees(conditions).map(
        lambda f: filter_pb2.Filter(element=filter_pb2.ElementMatch(field=field, filter=f))
    )


ANY_ELEMENT = [f"{field}.{name}" for field, names in ELEMENT_TEXTS.items() for name in names]
OTHER_FIELDS = ["name", "enterprise", "enterprise.manager", "id", "active", "update_time"]
filters = trees(
    comparisons([*SINGLE_TEXTS, *ANY_ELEMENT, "id"])
    | comparisons(["user_name", "external_id", "display_name", "emails.value"])
    | booleans(["active", *(f"{field}.primary" for field in ELEMENT_TEXTS)])
    | moments
    | presences([*SINGLE_TEXTS, *ELEMENT_TEXTS, *ANY_ELEMENT, *OTHER_FIELDS, "emails.primary"])
    | st.sampled_from(list(ELEMENT_TEXTS)).flatmap(element_matches)
)


@settings(max_examples=600, deadline=None, derandomize=True)
@given(filter_=filters)
def test_filter_finds_exactly_the_users_that_match(directory, filter_):
    users, find_ids, _ = directory
    expected = [user.id for user in users if filter_model.satisfies(user, filter_)]
    assert sorted(find_ids(filter_)) == sorted(expected)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(data=st.data())
def test_id_filter_compares_exact_text(directory, data):
    users, find_ids, _ = directory
    user_id = data.draw(st.sampled_from(users)).id
    text = data.draw(st.sampled_from([user_id, user_id.upper(), user_id[:8], user_id[-3:], "x"]))
    operator = data.draw(st.sampled_from(TEXT_OPERATORS))
    comparison = filter_pb2.Comparison(field="id", operator=operator, text=text)
    filter_ = filter_pb2.Filter(comparison=comparison)
    expected = [user.id for user in users if filter_model.satisfies(user, filter_)]
    assert sorted(find_ids(filter_)) == sorted(expected)


@pytest.mark.parametrize("direction", ["", " desc"])
@pytest.mark.parametrize(
    "field",
    [
        *("id", "create_time", "update_time", "active", *SINGLE_TEXTS, *TYPED_FIELDS),
        *("emails.value", "emails.type", "addresses.locality"),
    ],
)
def test_ordered_pages_return_every_user_once_in_order(directory, field, direction):
    users, _, list_in_order = directory
    pages = list_in_order(field + direction)
    listed = [user.id for page in pages for user in page]
    assert listed == [u.id for u in filter_model.sort(users, field, bool(direction))]
    assert [len(page) for page in pages] == [7] * 11 + [3]
