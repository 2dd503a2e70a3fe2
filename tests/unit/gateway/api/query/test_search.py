"""Lists of several resource types, read page by page."""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudacademy.users.v1 import walks_pb2
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.query.cursors import Cursors
from gateway.api.query.pages import PageQuery, ResultPage
from gateway.api.query.search import Search
from gateway.api.query.walks import Walks
from gateway.api.request import ScimRequest
from gateway.auth.authenticator import Caller
from gateway.backend.client import Origin
from gateway.http.response_memory import ResponseMemory
from gateway.scim.projection import Projection
from gateway.scim.responses import dumps
from gateway.scim.schema import GROUP, USER, ResourceType
from gateway.signing.shared_secrets import SharedSecrets
from tests.support.scim_errors import refused

NO_HEADERS: Mapping[str, str] = {}


class ListSource:
    """A source of a list of resources; its page tokens are the numbers of the last resources."""

    def __init__(self, resource_type: ResourceType, length: int, page_size: int = 100) -> None:
        self.resource_type = resource_type
        self.numbers = list(range(length))
        self.page_size = page_size
        self.parts: list[PageQuery] = []

    @property
    def ids(self) -> list[str]:
        return [f"{self.resource_type.name}{number}" for number in self.numbers]

    async def page(self, request: ScimRequest, view: Projection, part: PageQuery) -> ResultPage:
        self.parts.append(part)
        last = int(part.page_token) if part.page_token else -1
        start = part.skip + sum(number <= last for number in self.numbers)
        end = start + min(part.size, self.page_size)
        projected = [view.apply({"id": each}) for each in self.ids[start:end]]
        more = part.size and end < len(self.numbers)
        return ResultPage(
            len(projected),
            _json(projected),
            len(self.numbers) if part.count_total else 0,
            str(self.numbers[end - 1]) if more else "",
        )


class StoredWalks:
    """Walks in memory, the latest first."""

    def __init__(self) -> None:
        self.saved: list[walks_pb2.SaveWalkRequest] = []

    async def find(self, request: walks_pb2.FindWalkRequest, _: Origin) -> walks_pb2.Walk | None:
        for each in self.saved:
            indexes = (each.walk.page_index, each.walk.next_index, each.walk.full_index)
            if each.list_digest == request.list_digest and request.index in indexes:
                return each.walk
        return None

    async def save(self, request: walks_pb2.SaveWalkRequest, _: Origin) -> None:
        others = [each for each in self.saved if each.walk.id != request.walk.id]
        self.saved = [request, *others]


async def _json(resources: Sequence[Mapping[str, Any]]) -> AsyncGenerator[bytes, None]:
    yield dumps(resources)[1:-1]


def clock() -> datetime:
    return datetime(2026, 1, 31, tzinfo=UTC)


async def search(
    sources: Sequence[ListSource], walks: StoredWalks | None = None, **parameters: str
) -> Any:
    memory = ResponseMemory().reservation("o")
    caller = Caller("o", parameters.get("key", "k"))
    request = ScimRequest("r", "https://x", caller, "", parameters, NO_HEADERS, dict, memory)
    query = Search(
        sources, Cursors(SharedSecrets((b"s" * 32,)), clock), Walks(walks or StoredWalks())
    )
    response = await query.get(request)
    return json.loads(response.body)


def ids(page: Any) -> list[str]:
    return [each["id"] for each in page["Resources"]]


LENGTHS = st.integers(0, 7)


@given(LENGTHS, LENGTHS, st.integers(1, 16), st.integers(0, 9))
async def test_start_index_pages_through_all_types_as_one_list(users, groups, start, count):
    sources = [ListSource(USER, users), ListSource(GROUP, groups)]
    all_ids = [each for source in sources for each in source.ids]

    page = await search(sources, startIndex=str(start), count=str(count))

    assert ids(page) == all_ids[start - 1 : start - 1 + count]
    assert page["totalResults"] == len(all_ids)
    assert page["startIndex"] == start


@given(LENGTHS, LENGTHS, st.integers(1, 9))
async def test_cursor_pages_through_all_types_without_counting(users, groups, count):
    sources = [ListSource(USER, users), ListSource(GROUP, groups)]
    found_ids: list[str] = []
    page: Any = {"nextCursor": ""}
    while "nextCursor" in page:
        page = await search(sources, cursor=page["nextCursor"], count=str(count))
        found_ids += ids(page)
        assert "totalResults" not in page or len(found_ids) == page["totalResults"]

    assert found_ids == [each for source in sources for each in source.ids]
    assert not any(part.count_total for source in sources for part in source.parts)


@given(st.data(), LENGTHS, LENGTHS, st.integers(1, 9), st.integers(1, 9))
async def test_walk_over_all_types_has_each_remaining_resource_once(
    data, users, groups, count, page_size
):
    sources = [ListSource(GROUP, groups, page_size), ListSource(USER, users, page_size)]
    created = [each for source in sources for each in source.ids]
    walks, found, start, total = StoredWalks(), list[str](), 1, 1
    while start <= total:
        page = await search(sources, walks, startIndex=str(start), count=str(count))
        found += ids(page)
        total = page["totalResults"]
        start += data.draw(st.sampled_from([count, page["itemsPerPage"]]))
        for source in sources:
            if source.numbers and data.draw(st.booleans()):
                source.numbers.remove(data.draw(st.sampled_from(source.numbers)))

    assert len(found) == len(set(found))
    assert {each for source in sources for each in source.ids} <= set(found) <= set(created)


async def test_page_that_continues_a_walk_neither_skips_nor_counts():
    users, walks = ListSource(USER, 9), StoredWalks()
    for start in (1, 4, 7, 7, 10):
        page = await search([users], walks, startIndex=str(start), count="3")
        assert page["totalResults"] == 9

    assert [(part.skip, part.page_token, part.count_total) for part in users.parts] == [
        (0, "", True),
        (0, "2", False),
        (0, "5", False),
        (0, "5", False),
    ]


async def test_list_on_one_page_stores_no_walk():
    walks = StoredWalks()
    await search([ListSource(USER, 3)], walks, count="3")
    await search([ListSource(USER, 3)], walks, count="0")
    await search([ListSource(USER, 3)], walks, startIndex="2", count="2")
    assert walks.saved == []


@pytest.mark.parametrize(
    "other",
    [{"key": "other"}, {"sortBy": "id"}, {"filter": "active eq true"}, {"attributes": "userName"}],
)
async def test_walk_is_continued_only_by_its_key_and_query(other):
    users, walks = ListSource(USER, 6), StoredWalks()
    await search([users], walks, count="2")
    del users.numbers[0]
    page = await search([users], walks, startIndex="3", count="2", **other)
    assert ids(page) == ["User3", "User4"]


async def test_page_out_of_sequence_is_that_of_the_list_as_it_is():
    users, walks = ListSource(USER, 9), StoredWalks()
    await search([users], walks, count="2")
    del users.numbers[0]
    page = await search([users], walks, startIndex="6", count="2")
    assert (ids(page), page["totalResults"]) == (["User6", "User7"], 8)
    page = await search([users], walks, startIndex="8", count="2")
    assert (ids(page), page["totalResults"]) == (["User8"], 8)


async def test_type_excluded_by_the_filter_is_not_queried():
    users, groups = ListSource(USER, 2), ListSource(GROUP, 2)
    page = await search([users, groups], filter='meta.resourceType eq "Group"')
    assert (ids(page), page["totalResults"]) == (["Group0", "Group1"], 2)
    assert users.parts == []
    assert groups.parts == [PageQuery(None, "id desc", 100, 0, "", count_total=True)]


async def test_type_without_the_sort_attribute_keeps_its_default_order():
    users, groups = ListSource(USER, 1), ListSource(GROUP, 1)
    await search([users, groups], sortBy="userName", sortOrder="descending")
    assert [part.order_by for part in (*users.parts, *groups.parts)] == [
        "user_name desc",
        "id desc",
    ]
    with refused(400, "invalidValue", "sortBy"):
        await search([users, groups], sortBy="bogus")


@pytest.mark.parametrize("types", [[USER], [GROUP], [GROUP, USER]])
async def test_cursor_of_another_endpoint_is_refused(types):
    first = await search([ListSource(USER, 3), ListSource(GROUP, 3)], cursor="", count="1")
    with refused(400, "invalidCursor"):
        await search([ListSource(each, 3) for each in types], cursor=first["nextCursor"], count="1")
