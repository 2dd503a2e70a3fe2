"""Lists of several resource types, read page by page."""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.query.cursors import Cursors
from gateway.api.query.search import PageQuery, ResultPage, Search
from gateway.api.request import ScimRequest
from gateway.auth.authenticator import Caller
from gateway.http.response_memory import ResponseMemory
from gateway.scim.projection import Projection
from gateway.scim.responses import dumps
from gateway.scim.schema import GROUP, USER, ResourceType
from tests.support.scim_errors import refused

NO_HEADERS: Mapping[str, str] = {}


class ListSource:
    """A source of a list of resources; its page tokens are positions in the list."""

    def __init__(self, resource_type: ResourceType, length: int) -> None:
        self.resource_type = resource_type
        self.resources = [{"id": f"{resource_type.name}{n}"} for n in range(length)]
        self.parts: list[PageQuery] = []

    async def page(self, request: ScimRequest, view: Projection, part: PageQuery) -> ResultPage:
        self.parts.append(part)
        start = int(part.page_token or part.skip)
        end = start + part.size
        projected = [view.apply(each) for each in self.resources[start:end]]
        return ResultPage(
            len(projected),
            _json(projected),
            len(self.resources) if part.count_total else 0,
            str(end) if end < len(self.resources) else "",
        )


async def _json(resources: Sequence[Mapping[str, Any]]) -> AsyncGenerator[bytes, None]:
    yield dumps(resources)[1:-1]


def clock() -> datetime:
    return datetime(2026, 1, 31, tzinfo=UTC)


async def search(sources: Sequence[ListSource], **parameters: str) -> Any:
    memory = ResponseMemory().reservation("o")
    request = ScimRequest(
        "r", "https://x", Caller("o", "k"), "", parameters, NO_HEADERS, dict, memory
    )
    response = await Search(sources, Cursors(b"s" * 32, clock)).get(request)
    return json.loads(response.body)


def ids(page: Any) -> list[str]:
    return [each["id"] for each in page["Resources"]]


LENGTHS = st.integers(0, 7)


@given(LENGTHS, LENGTHS, st.integers(1, 16), st.integers(0, 9))
async def test_start_index_pages_through_all_types_as_one_list(users, groups, start, count):
    sources = [ListSource(USER, users), ListSource(GROUP, groups)]
    all_ids = [each["id"] for source in sources for each in source.resources]

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

    assert found_ids == [each["id"] for source in sources for each in source.resources]
    assert not any(part.count_total for source in sources for part in source.parts)


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
