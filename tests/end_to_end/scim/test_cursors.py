"""Paging by cursor over HTTP (RFC 9865)."""

import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.scim import Client, Reply
from tests.support.scim_documents import person

LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"


@pytest.fixture
async def five(scim: Client) -> AsyncIterator[tuple[str, list[str]]]:
    """A filter, and the five users whom it finds, the newest first."""
    title = person()["userName"]
    created = [await scim("POST", "/Users", person(title=title)) for _ in range(5)]
    yield quote(f'title eq "{title}"'), [each.document["id"] for each in reversed(created)]
    for each in created:
        await scim("DELETE", f"/Users/{each.document['id']}")


def ids(page: Reply) -> list[str]:
    return [each["id"] for each in page.document["Resources"]]


def refusal(reply: Reply) -> tuple[int, str | None]:
    return reply.status, reply.document.get("scimType")


async def walk(scim: Client, query: str) -> list[Reply]:
    pages = [await scim("GET", f"{query}&cursor")]
    while "nextCursor" in pages[-1].document:
        cursor = pages[-1].document["nextCursor"]
        pages.append(await scim("GET", f"{query}&cursor={cursor}"))
    return pages


def page_document(resources: list[Any], **members: object) -> dict[str, object]:
    document = {"schemas": [LIST], "itemsPerPage": len(resources), "Resources": resources}
    return document | members


async def test_a_walk_by_cursor_meets_everybody_once_and_counts_nobody(scim: Client, five):
    query, users = five
    pages = await walk(scim, f"/Users?filter={query}&count=2&attributes=id")

    shown = [
        {"schemas": page["schemas"], "id": page["id"]}
        for reply in pages
        for page in reply.document["Resources"]
    ]
    assert [page.document for page in pages] == [
        page_document(shown[:2], nextCursor=pages[0].document["nextCursor"]),
        page_document(shown[2:4], nextCursor=pages[1].document["nextCursor"]),
        page_document(shown[4:]),
    ]
    assert [each["id"] for each in shown] == users


async def test_a_list_of_one_page_says_how_long_it_is(scim: Client, five):
    query, users = five
    reply = await scim("GET", f"/Users?filter={query}&cursor=")
    assert reply.document == page_document(reply.document["Resources"], totalResults=5)
    assert ids(reply) == users


async def test_a_page_of_none_says_how_many_there_are_and_leads_nowhere(scim: Client, five):
    query, _ = five
    reply = await scim("GET", f"/Users?filter={query}&cursor&count=0")
    assert reply.document == page_document([], totalResults=5)


async def test_who_comes_and_goes_during_a_walk_hides_nobody_else(scim: Client, five):
    query, users = five
    first = await scim("GET", f"/Users?filter={query}&count=2&cursor")
    await scim("DELETE", f"/Users/{users[0]}")
    await scim("DELETE", f"/Users/{users[1]}")
    cursor = first.document["nextCursor"]
    second = await scim("GET", f"/Users?filter={query}&count=2&cursor={cursor}")
    assert ids(first) + ids(second) == users[:4]


async def test_a_sorted_list_can_be_walked(scim: Client, five):
    query, users = five
    pages = await walk(scim, f"/Users?filter={query}&count=2&sortBy=id&sortOrder=ascending")
    assert [each for page in pages for each in ids(page)] == users[::-1]


async def test_a_cursor_goes_from_a_get_to_a_search_and_back(scim: Client, five):
    query, users = five
    first = await scim("GET", f"/Users?filter={query}&count=3&cursor")
    body = {"filter": f'title eq "{first.document["Resources"][0]["title"]}"', "count": 3}
    second = await scim("POST", "/Users/.search", {**body, "cursor": first.document["nextCursor"]})
    assert ids(first) + ids(second) == users


async def test_a_cursor_of_another_query_is_refused(scim: Client, five):
    query, _ = five
    first = await scim("GET", f"/Users?filter={query}&count=2&cursor")
    cursor = first.document["nextCursor"]
    for other in (
        f"/Users?count=2&cursor={cursor}",
        f"/Users?filter={query}&count=2&sortBy=id&cursor={cursor}",
        f"/Users?filter={query}&count=2&attributes=id&cursor={cursor}",
        f"/Users?filter={query}&count=2&cursor=x{cursor}",
        f"/Users?filter={query}&count=2&cursor=%C3%A9",
    ):
        assert refusal(await scim("GET", other)) == (400, "invalidCursor")


async def test_a_cursor_of_one_organization_is_none_in_another(scim: Client, operate, five):
    token = (await operate.key(await operate.organization())).token
    first = await scim("GET", "/Users?count=1&cursor")
    reply = await scim(
        "GET",
        f"/Users?count=1&cursor={first.document['nextCursor']}",
        Authorization=f"Bearer {token}",
    )
    assert refusal(reply) == (400, "invalidCursor")


async def test_a_count_by_cursor_is_within_the_limits_and_stays_the_same(scim: Client, five):
    query, _ = five
    first = await scim("GET", f"/Users?filter={query}&count=2&cursor")
    for other in ("count=1001&cursor", "count=x&cursor"):
        assert refusal(await scim("GET", f"/Users?{other}")) == (400, "invalidCount")
    changed = f"/Users?filter={query}&count=3&cursor={first.document['nextCursor']}"
    assert refusal(await scim("GET", changed)) == (400, "invalidCount")


async def test_a_count_below_zero_is_zero(scim: Client, five):
    query, _ = five
    reply = await scim("GET", f"/Users?filter={query}&cursor&count=-3")
    assert reply.document == page_document([], totalResults=5)


async def test_a_cursor_needs_no_escape_in_a_url(scim: Client, five):
    query, _ = five
    first = await scim("GET", f"/Users?filter={query}&count=2&cursor")
    assert re.fullmatch("[A-Za-z0-9._~-]+", first.document["nextCursor"])


async def test_who_asks_for_neither_index_nor_cursor_gets_an_index(scim: Client, five):
    query, _ = five
    reply = await scim("GET", f"/Users?filter={query}&count=2")
    assert reply.document == page_document(
        reply.document["Resources"], startIndex=1, totalResults=5
    )


async def test_an_index_beside_a_cursor_is_refused(scim: Client):
    assert refusal(await scim("GET", "/Users?startIndex=1&cursor")) == (400, "invalidValue")


async def test_the_configuration_says_how_lists_are_paged(scim: Client):
    reply = await scim("GET", "/ServiceProviderConfig")
    assert reply.document["pagination"] == {
        "cursor": True,
        "index": True,
        "defaultPaginationMethod": "index",
        "defaultPageSize": 100,
        "maxPageSize": 1000,
        "cursorTimeout": 3600,
    }


@pytest.mark.parametrize("text", ["\U0001f600" * 2_048, "Ω" * 4_096], ids=["emoji", "greek"])
async def test_a_list_sorted_by_the_longest_texts_can_be_walked(scim: Client, text: str):
    title = person()["userName"]
    for _ in range(3):
        await scim("POST", "/Users", person(title=title, nickName=text))
    filter_ = quote(f'title eq "{title}"')
    query = f"/Users?filter={filter_}&sortBy=nickName&count=1&attributes=id"

    pages = await walk(scim, query)

    assert len({ids(page)[0] for page in pages}) == len(pages) == 3
