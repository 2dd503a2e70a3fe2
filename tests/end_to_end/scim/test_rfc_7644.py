"""Requirements of RFC 7644 on requests and responses that no other test covers."""

from urllib.parse import quote
from uuid import uuid4

import pytest

from tests.support.bulk_requests import bulk, created_id, post
from tests.support.scim import Client
from tests.support.scim_documents import (
    ENTERPRISE,
    ERROR,
    GROUP,
    LIST,
    USER,
    patch,
    person,
    refusal,
)


async def test_only_service_provider_config_needs_no_key(scim: Client):
    paths = ("/Users", "/Groups", "/", "/Schemas", "/ResourceTypes", "/ServiceProviderConfig")
    replies = [await scim("GET", path, Authorization="") for path in paths]

    assert [each.status for each in replies] == [401] * 5 + [200]


async def test_list_without_matches_is_200_with_empty_resources(scim: Client):
    reply = await scim("GET", f"/Users?filter=userName+eq+%22{uuid4()}%22")

    assert (reply.status, reply.document) == (
        200,
        {
            "schemas": [LIST],
            "totalResults": 0,
            "startIndex": 1,
            "itemsPerPage": 0,
            "Resources": [],
        },
    )


async def sorted_titles(scim: Client, *titles: str | None, query: str) -> list[str | None]:
    """The titles of new users in the order in which a list returns them."""
    department = uuid4().hex
    for title in titles:
        attributes = {} if title is None else {"title": title}
        extension = {ENTERPRISE: {"department": department}}
        await scim("POST", "/Users", person(**attributes, **extension))
    filter_ = quote(f'{ENTERPRISE}:department eq "{department}"')
    reply = await scim("GET", f"/Users?filter={filter_}&{query}")
    return [user.get("title") for user in reply.document["Resources"]]


async def test_sort_order_defaults_to_ascending_and_ignores_case(scim: Client):
    assert await sorted_titles(scim, "b", "C", "a", query="sortBy=title") == ["a", "b", "C"]


@pytest.mark.parametrize(
    ("order", "titles"),
    [("ascending", ["a", "b", None]), ("descending", [None, "b", "a"])],
)
async def test_missing_sort_value_is_last_ascending_and_first_descending(
    scim: Client, order: str, titles: list[str | None]
):
    query = f"sortBy=title&sortOrder={order}"

    assert await sorted_titles(scim, "b", None, "a", query=query) == titles


async def test_multi_valued_attribute_is_sorted_by_primary_or_first_value(scim: Client):
    title = uuid4().hex
    b, a = {"value": "b@corp.test"}, {"value": "a@corp.test"}
    for emails in ([b, a], [{"value": "c@corp.test"}, {**a, "primary": True}]):
        await scim("POST", "/Users", person(title=title, emails=emails))

    reply = await scim("GET", f"/Users?filter=title+eq+%22{title}%22&sortBy=emails.value")

    first_emails = [user["emails"][0]["value"] for user in reply.document["Resources"]]
    assert first_emails == ["c@corp.test", "b@corp.test"]


async def test_put_of_unknown_id_is_404(scim: Client):
    reply = await scim("PUT", f"/Users/{uuid4()}", person())

    assert reply.status == 404


async def test_patch_of_small_group_returns_the_group(scim: Client):
    group = await scim("POST", "/Groups", {"schemas": [GROUP], "displayName": "Team"})
    user = await scim("POST", "/Users", person())
    path = f"/Groups/{group.document['id']}"

    reply = await scim("PATCH", path, patch("add", "members", [{"value": user.document["id"]}]))

    assert reply.status == 200
    assert reply.document == (await scim("GET", path)).document


async def test_patch_of_large_group_is_204_unless_attributes_are_requested(scim: Client):
    results = await bulk(scim, *[post(str(number)) for number in range(21)])
    members = [{"value": created_id(each)} for each in results]
    sent = {"schemas": [GROUP], "displayName": "Team", "members": members}
    path = f"/Groups/{(await scim('POST', '/Groups', sent)).document['id']}"

    reply = await scim("PATCH", path, patch("replace", "displayName", "Crew"))
    projected = await scim(
        "PATCH", f"{path}?attributes=displayName", patch("add", "externalId", "x")
    )

    assert (reply.status, reply.document) == (204, None)
    assert reply.headers["ETag"] != projected.headers["ETag"]
    assert (projected.status, projected.document["displayName"]) == (200, "Crew")


async def test_patch_without_schemas_is_accepted(scim: Client):
    user = await scim("POST", "/Users", person())
    body = {"Operations": [{"op": "add", "path": "title", "value": "Chief"}]}

    reply = await scim("PATCH", f"/Users/{user.document['id']}", body)

    assert (reply.status, reply.document["title"]) == (200, "Chief")


async def test_replace_by_value_filter_without_match_is_no_target(scim: Client):
    user = await scim("POST", "/Users", person(emails=[{"value": "a@b.test", "type": "work"}]))
    path = f"/Users/{user.document['id']}"

    reply = await scim("PATCH", path, patch("replace", 'emails[type ne "work"].value', "c@d.test"))

    assert refusal(reply) == (400, "noTarget")
    assert (await scim("GET", path)).document == user.document


async def test_remove_of_required_attribute_is_refused(scim: Client):
    user = await scim("POST", "/Users", person())

    reply = await scim("PATCH", f"/Users/{user.document['id']}", patch("remove", "userName"))

    assert refusal(reply) == (400, "mutability")


async def test_refused_bulk_operation_has_location(scim: Client):
    path = f"/Users/{uuid4()}"
    put = {"method": "PUT", "path": path, "data": person()}

    results = await bulk(scim, put, {**put, "data": None}, {**put, "data": {"userName": 7}})

    statuses = [(each["status"], each["method"], each.get("location")) for each in results]
    location = f"{scim.url}{path}"
    assert statuses == [(status, "PUT", location) for status in ("404", "400", "400")]


async def test_response_to_a_write_has_the_requested_attributes(scim: Client):
    sent = person(title="Chief")
    created = await scim("POST", "/Users?attributes=title", sent)
    path = f"/Users/{created.document['id']}"
    replaced = await scim("PUT", f"{path}?attributes=title", sent)
    patched = await scim("PATCH", f"{path}?attributes=title", patch("add", "nickName", "Ann"))
    excluded = await scim("PUT", f"{path}?excludedAttributes=title,active,meta", sent)

    projected = {"schemas": [USER], "id": created.document["id"], "title": "Chief"}
    assert [each.document for each in (created, replaced, patched)] == [projected] * 3
    assert excluded.document == {
        "schemas": [USER],
        "id": projected["id"],
        "userName": sent["userName"],
    }


async def test_attributes_with_excluded_attributes_is_refused(scim: Client):
    reply = await scim("GET", "/Users?attributes=title&excludedAttributes=emails")

    assert refusal(reply) == (400, "invalidValue")


async def test_attribute_name_may_be_prefixed_with_its_schema_urn(scim: Client):
    department = uuid4().hex
    created = await scim("POST", "/Users", person(**{ENTERPRISE: {"department": department}}))
    filter_ = quote(f'{ENTERPRISE}:department eq "{department}"')

    found = await scim("GET", f"/Users?filter={filter_}&attributes={USER}:userName")

    assert found.document["Resources"] == [
        {
            "schemas": created.document["schemas"],
            "id": created.document["id"],
            "userName": created.document["userName"],
        }
    ]


async def test_error_has_status_scim_type_and_advice(scim: Client):
    reply = await scim("POST", "/Users", {"schemas": [USER]})

    assert (reply.status, reply.document) == (
        400,
        {
            "schemas": [ERROR],
            "status": "400",
            "scimType": "invalidValue",
            "detail": "userName is required; send a value for it.",
        },
    )


async def test_path_with_protocol_version_is_404(scim: Client):
    assert (await scim("GET", "/v2/Users")).status == 404


async def test_discovery_ignores_sorting_and_paging_and_refuses_filters(scim: Client):
    for path in ("/Schemas", "/ResourceTypes", "/ServiceProviderConfig"):
        plain = await scim("GET", path)
        sorted_page = await scim("GET", f"{path}?sortBy=id&startIndex=2&count=1&attributes=id")
        filtered = await scim("GET", f"{path}?filter=id+pr")

        assert sorted_page.document == plain.document
        assert refusal(filtered) == (403, None)


async def test_user_name_comparison_ignores_case_but_not_unicode_form(scim: Client):
    name = f"{uuid4().hex}é"
    statuses = [
        (await scim("POST", "/Users", person(userName=each))).status
        for each in (name, name.upper(), name.replace("é", "e\N{COMBINING ACUTE ACCENT}"))
    ]

    assert statuses == [201, 409, 201]


async def test_every_response_has_cache_control_no_store(scim: Client):
    replies = [await scim("GET", path) for path in ("/Users?count=0", "/Users/none", "/Schemas")]

    assert [each.headers["Cache-Control"] for each in replies] == ["no-store"] * 3
