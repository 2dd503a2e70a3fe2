"""What RFC 7644 says of requests and answers, where no other test shows it."""

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


async def test_a_key_is_asked_for_everywhere_but_at_the_configuration(scim: Client):
    paths = ("/Users", "/Groups", "/", "/Schemas", "/ResourceTypes", "/ServiceProviderConfig")
    replies = [await scim("GET", path, Authorization="") for path in paths]

    assert [each.status for each in replies] == [401] * 5 + [200]


async def test_a_list_of_which_nothing_is_shown_has_no_resources_and_is_no_error(scim: Client):
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
    department = uuid4().hex
    for title in titles:
        named = {} if title is None else {"title": title}
        await scim("POST", "/Users", person(**named, **{ENTERPRISE: {"department": department}}))
    filter_ = quote(f'{ENTERPRISE}:department eq "{department}"')
    reply = await scim("GET", f"/Users?filter={filter_}&{query}")
    return [user.get("title") for user in reply.document["Resources"]]


async def test_a_list_is_sorted_upwards_unless_it_is_asked_otherwise(scim: Client):
    assert await sorted_titles(scim, "b", "C", "a", query="sortBy=title") == ["a", "b", "C"]


@pytest.mark.parametrize(
    ("order", "titles"),
    [("ascending", ["a", "b", None]), ("descending", [None, "b", "a"])],
)
async def test_who_has_nothing_to_sort_by_comes_last_upwards_and_first_downwards(
    scim: Client, order: str, titles: list[str | None]
):
    query = f"sortBy=title&sortOrder={order}"

    assert await sorted_titles(scim, "b", None, "a", query=query) == titles


async def test_of_several_values_the_primary_one_or_else_the_first_is_sorted_by(scim: Client):
    title = uuid4().hex
    b, a = {"value": "b@corp.test"}, {"value": "a@corp.test"}
    for emails in ([b, a], [{"value": "c@corp.test"}, {**a, "primary": True}]):
        await scim("POST", "/Users", person(title=title, emails=emails))

    reply = await scim("GET", f"/Users?filter=title+eq+%22{title}%22&sortBy=emails.value")

    firsts = [user["emails"][0]["value"] for user in reply.document["Resources"]]
    assert firsts == ["c@corp.test", "b@corp.test"]


async def test_a_put_does_not_create(scim: Client):
    reply = await scim("PUT", f"/Users/{uuid4()}", person())

    assert reply.status == 404


async def test_a_change_of_a_small_group_answers_with_it(scim: Client):
    group = await scim("POST", "/Groups", {"schemas": [GROUP], "displayName": "Team"})
    user = await scim("POST", "/Users", person())
    path = f"/Groups/{group.document['id']}"

    reply = await scim("PATCH", path, patch("add", "members", [{"value": user.document["id"]}]))

    assert reply.status == 200
    assert reply.document == (await scim("GET", path)).document


async def test_a_change_of_a_large_group_answers_with_its_version_alone(scim: Client):
    people = await bulk(scim, *[post(str(number)) for number in range(21)])
    members = [{"value": created_id(each)} for each in people]
    sent = {"schemas": [GROUP], "displayName": "Team", "members": members}
    path = f"/Groups/{(await scim('POST', '/Groups', sent)).document['id']}"

    reply = await scim("PATCH", path, patch("replace", "displayName", "Crew"))
    asked = await scim("PATCH", f"{path}?attributes=displayName", patch("add", "externalId", "x"))

    assert (reply.status, reply.document) == (204, None)
    assert reply.headers["ETag"] != asked.headers["ETag"]
    assert (asked.status, asked.document["displayName"]) == (200, "Crew")


async def test_a_patch_without_schemas_is_one_nevertheless(scim: Client):
    user = await scim("POST", "/Users", person())
    body = {"Operations": [{"op": "add", "path": "title", "value": "Chief"}]}

    reply = await scim("PATCH", f"/Users/{user.document['id']}", body)

    assert (reply.status, reply.document["title"]) == (200, "Chief")


async def test_a_replace_of_elements_of_which_none_is_there_has_no_target(scim: Client):
    user = await scim("POST", "/Users", person(emails=[{"value": "a@b.test", "type": "work"}]))
    path = f"/Users/{user.document['id']}"

    reply = await scim("PATCH", path, patch("replace", 'emails[type ne "work"].value', "c@d.test"))

    assert refusal(reply) == (400, "noTarget")
    assert (await scim("GET", path)).document == user.document


async def test_a_required_attribute_is_not_removed(scim: Client):
    user = await scim("POST", "/Users", person())

    reply = await scim("PATCH", f"/Users/{user.document['id']}", patch("remove", "userName"))

    assert refusal(reply) == (400, "mutability")


async def test_a_refused_operation_of_a_bulk_request_says_where_it_was_to_be(scim: Client):
    path = f"/Users/{uuid4()}"
    put = {"method": "PUT", "path": path, "data": person()}

    results = await bulk(scim, put, {**put, "data": None}, {**put, "data": {"userName": 7}})

    statuses = [(each["status"], each["method"], each.get("location")) for each in results]
    location = f"{scim.url}{path}"
    assert statuses == [(status, "PUT", location) for status in ("404", "400", "400")]


async def test_an_answer_to_a_change_holds_what_was_asked_for(scim: Client):
    sent = person(title="Chief")
    created = await scim("POST", "/Users?attributes=title", sent)
    path = f"/Users/{created.document['id']}"
    replaced = await scim("PUT", f"{path}?attributes=title", sent)
    patched = await scim("PATCH", f"{path}?attributes=title", patch("add", "nickName", "Ann"))
    least = await scim("PUT", f"{path}?excludedAttributes=title,active,meta", sent)

    some = {"schemas": [USER], "id": created.document["id"], "title": "Chief"}
    assert [each.document for each in (created, replaced, patched)] == [some] * 3
    assert least.document == {
        "schemas": [USER],
        "id": some["id"],
        "userName": sent["userName"],
    }


async def test_attributes_are_named_or_excluded_but_not_both(scim: Client):
    reply = await scim("GET", "/Users?attributes=title&excludedAttributes=emails")

    assert refusal(reply) == (400, "invalidValue")


async def test_a_name_with_its_urn_means_the_attribute(scim: Client):
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


async def test_an_error_says_its_status_its_kind_and_what_to_do(scim: Client):
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


async def test_an_address_of_another_version_of_the_protocol_is_refused(scim: Client):
    assert (await scim("GET", "/v2/Users")).status == 404


async def test_discovery_is_neither_sorted_nor_paged_nor_filtered(scim: Client):
    for path in ("/Schemas", "/ResourceTypes", "/ServiceProviderConfig"):
        plain = await scim("GET", path)
        asked = await scim("GET", f"{path}?sortBy=id&startIndex=2&count=1&attributes=id")
        filtered = await scim("GET", f"{path}?filter=id+pr")

        assert asked.document == plain.document
        assert refusal(filtered) == (403, None)


async def test_names_are_compared_without_regard_to_case_and_are_not_normalized(scim: Client):
    name = f"{uuid4().hex}é"
    statuses = [
        (await scim("POST", "/Users", person(userName=each))).status
        for each in (name, name.upper(), name.replace("é", "e\N{COMBINING ACUTE ACCENT}"))
    ]

    assert statuses == [201, 409, 201]


async def test_no_answer_is_to_be_stored(scim: Client):
    replies = [await scim("GET", path) for path in ("/Users?count=0", "/Users/none", "/Schemas")]

    assert [each.headers["Cache-Control"] for each in replies] == ["no-store"] * 3
