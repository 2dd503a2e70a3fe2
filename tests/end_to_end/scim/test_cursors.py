"""Paging by cursor over HTTP (RFC 9865)."""

import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.scim import Client, Reply
from tests.support.scim_documents import LIST, person, refusal


@pytest.fixture
async def five_users(scim: Client) -> AsyncIterator[tuple[str, list[str]]]:
    """A filter, and the ids of the five users that match it, the newest first."""
    title = person()["userName"]
    created = [await scim("POST", "/Users", person(title=title)) for _ in range(5)]
    yield quote(f'title eq "{title}"'), [each.document["id"] for each in reversed(created)]
    for each in created:
        await scim("DELETE", f"/Users/{each.document['id']}")


def ids(page: Reply) -> list[str]:
    return [each["id"] for each in page.document["Resources"]]


async def get_all_pages(scim: Client, query: str) -> list[Reply]:
    pages = [await scim("GET", f"{query}&cursor")]
    while "nextCursor" in pages[-1].document:
        cursor = pages[-1].document["nextCursor"]
        pages.append(await scim("GET", f"{query}&cursor={cursor}"))
    return pages


def page_document(resources: list[Any], **members: object) -> dict[str, object]:
    document = {"schemas": [LIST], "itemsPerPage": len(resources), "Resources": resources}
    return document | members


async def test_cursor_pages_have_each_user_once_and_no_total_results(scim: Client, five_users):
    query, users = five_users
    pages = await get_all_pages(scim, f"/Users?filter={query}&count=2&attributes=id")

    resources = [
        {"schemas": page["schemas"], "id": page["id"]}
        for reply in pages
        for page in reply.document["Resources"]
    ]
    assert [page.document for page in pages] == [
        page_document(resources[:2], nextCursor=pages[0].document["nextCursor"]),
        page_document(resources[2:4], nextCursor=pages[1].document["nextCursor"]),
        page_document(resources[4:]),
    ]
    assert [each["id"] for each in resources] == users


async def test_single_page_by_cursor_has_total_results(scim: Client, five_users):
    query, users = five_users
    reply = await scim("GET", f"/Users?filter={query}&cursor=")
    assert reply.document == page_document(reply.document["Resources"], totalResults=5)
    assert ids(reply) == users


async def test_cursor_page_of_count_zero_has_total_but_no_next_cursor(scim: Client, five_users):
    query, _ = five_users
    reply = await scim("GET", f"/Users?filter={query}&cursor&count=0")
    assert reply.document == page_document([], totalResults=5)


async def test_users_deleted_between_cursor_pages_hide_no_others(scim: Client, five_users):
    query, users = five_users
    first = await scim("GET", f"/Users?filter={query}&count=2&cursor")
    await scim("DELETE", f"/Users/{users[0]}")
    await scim("DELETE", f"/Users/{users[1]}")
    cursor = first.document["nextCursor"]
    second = await scim("GET", f"/Users?filter={query}&count=2&cursor={cursor}")
    assert ids(first) + ids(second) == users[:4]


async def test_sorted_list_is_paged_by_cursor(scim: Client, five_users):
    query, users = five_users
    pages = await get_all_pages(
        scim, f"/Users?filter={query}&count=2&sortBy=id&sortOrder=ascending"
    )
    assert [each for page in pages for each in ids(page)] == users[::-1]


async def test_cursor_of_a_get_works_in_a_search_request(scim: Client, five_users):
    query, users = five_users
    first = await scim("GET", f"/Users?filter={query}&count=3&cursor")
    body = {"filter": f'title eq "{first.document["Resources"][0]["title"]}"', "count": 3}
    second = await scim("POST", "/Users/.search", {**body, "cursor": first.document["nextCursor"]})
    assert ids(first) + ids(second) == users


async def test_cursor_of_another_query_or_malformed_is_refused(scim: Client, five_users):
    query, _ = five_users
    first = await scim("GET", f"/Users?filter={query}&count=2&cursor")
    cursor = first.document["nextCursor"]
    for path in (
        f"/Users?count=2&cursor={cursor}",
        f"/Users?filter={query}&count=2&sortBy=id&cursor={cursor}",
        f"/Users?filter={query}&count=2&attributes=id&cursor={cursor}",
        f"/Users?filter={query}&count=2&cursor=x{cursor}",
        f"/Users?filter={query}&count=2&cursor=%C3%A9",
    ):
        assert refusal(await scim("GET", path)) == (400, "invalidCursor")


async def test_cursor_of_another_organization_is_refused(scim: Client, operate, five_users):
    token = (await operate.generate_key(await operate.create_organization())).token
    first = await scim("GET", "/Users?count=1&cursor")
    reply = await scim(
        "GET",
        f"/Users?count=1&cursor={first.document['nextCursor']}",
        Authorization=f"Bearer {token}",
    )
    assert refusal(reply) == (400, "invalidCursor")


async def test_cursor_with_invalid_or_changed_count_is_refused(scim: Client, five_users):
    query, _ = five_users
    first = await scim("GET", f"/Users?filter={query}&count=2&cursor")
    for invalid in ("count=1001&cursor", "count=x&cursor"):
        assert refusal(await scim("GET", f"/Users?{invalid}")) == (400, "invalidCount")
    changed = f"/Users?filter={query}&count=3&cursor={first.document['nextCursor']}"
    assert refusal(await scim("GET", changed)) == (400, "invalidCount")


async def test_negative_count_with_cursor_means_zero(scim: Client, five_users):
    query, _ = five_users
    reply = await scim("GET", f"/Users?filter={query}&cursor&count=-3")
    assert reply.document == page_document([], totalResults=5)


async def test_cursor_needs_no_url_escaping(scim: Client, five_users):
    query, _ = five_users
    first = await scim("GET", f"/Users?filter={query}&count=2&cursor")
    assert re.fullmatch("[A-Za-z0-9._~-]+", first.document["nextCursor"])


async def test_list_without_index_or_cursor_is_paged_by_index(scim: Client, five_users):
    query, _ = five_users
    reply = await scim("GET", f"/Users?filter={query}&count=2")
    assert reply.document == page_document(
        reply.document["Resources"], startIndex=1, totalResults=5
    )


async def test_start_index_with_cursor_is_refused(scim: Client):
    assert refusal(await scim("GET", "/Users?startIndex=1&cursor")) == (400, "invalidValue")


async def test_service_provider_config_describes_pagination(scim: Client):
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
async def test_list_sorted_by_longest_texts_is_paged_by_cursor(scim: Client, text: str):
    title = person()["userName"]
    for _ in range(3):
        await scim("POST", "/Users", person(title=title, nickName=text))
    filter_ = quote(f'title eq "{title}"')
    query = f"/Users?filter={filter_}&sortBy=nickName&count=1&attributes=id"

    pages = await get_all_pages(scim, query)

    assert len({ids(page)[0] for page in pages}) == len(pages) == 3
