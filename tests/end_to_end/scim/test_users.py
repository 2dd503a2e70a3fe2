"""Creating, reading, changing, deleting and listing users over HTTP (RFC 7644 section 3)."""

from uuid import uuid4

from tests.support.scim import Client
from tests.support.scim_documents import ENTERPRISE, FULL_USER, LIST, USER, person


async def test_all_attributes_of_a_user_are_stored_and_returned(scim: Client):
    sent = person(**FULL_USER)

    created = await scim("POST", "/Users", sent)
    read = await scim("GET", f"/Users/{created.document['id']}")

    location = f"{scim.url}/Users/{created.document['id']}"
    meta = created.document["meta"]
    assert created.status == 201
    assert created.headers["Location"] == location
    assert created.headers["ETag"] == meta["version"]
    manager = sent[ENTERPRISE]["manager"]
    reference = f"{scim.url}/Users/{manager['value']}"
    assert created.document == {
        **sent,
        "schemas": [USER, ENTERPRISE],
        "id": created.document["id"],
        ENTERPRISE: {**sent[ENTERPRISE], "manager": {**manager, "$ref": reference}},
        "meta": {
            "resourceType": "User",
            "created": meta["created"],
            "lastModified": meta["created"],
            "version": meta["version"],
            "location": location,
        },
    }
    assert read.document == created.document


async def test_put_replaces_user_and_clears_omitted_attributes(scim: Client):
    created = await scim("POST", "/Users", person(**FULL_USER))
    user_name = created.document["userName"]

    replaced = await scim(
        "PUT",
        f"/Users/{created.document['id']}",
        {"schemas": [USER], "userName": user_name, "title": "Chief"},
    )

    document = replaced.document
    assert replaced.status == 200
    assert {name: document[name] for name in document if name not in ("meta", "id")} == {
        "schemas": [USER],
        "userName": user_name,
        "title": "Chief",
        "active": True,
    }
    assert document["meta"]["version"] != created.document["meta"]["version"]


async def test_put_without_active_keeps_user_inactive(scim: Client):
    created = await scim("POST", "/Users", person(active=False))

    replaced = await scim(
        "PUT",
        f"/Users/{created.document['id']}",
        {"schemas": [USER], "userName": created.document["userName"]},
    )

    assert replaced.document["active"] is False


async def test_patch_without_effect_keeps_the_version(scim: Client):
    created = await scim("POST", "/Users", person(title="Chief"))

    patched = await scim(
        "PATCH",
        f"/Users/{created.document['id']}",
        {"Operations": [{"op": "Replace", "path": "title", "value": "Chief"}]},
    )

    assert patched.document == created.document


async def test_write_with_outdated_if_match_is_412_and_changes_nothing(scim: Client):
    created = await scim("POST", "/Users", person(title="Chief"))
    path = f"/Users/{created.document['id']}"
    old = created.headers["ETag"]
    newer = await scim(
        "PATCH", path, {"Operations": [{"op": "add", "path": "title", "value": "2"}]}
    )

    put = await scim("PUT", path, person(), If_Match=old)
    patch = await scim("PATCH", path, {"Operations": []}, If_Match=old)
    emails = [{"op": "add", "path": "emails", "value": [{"value": "a@b.test"}]}]
    complex_patch = await scim("PATCH", path, {"Operations": emails}, If_Match=old)
    delete = await scim("DELETE", path, If_Match=old)

    assert [put.status, patch.status, complex_patch.status, delete.status] == [412] * 4
    assert (await scim("GET", path)).document == newer.document


async def test_if_match_list_with_current_version_allows_delete(scim: Client):
    created = await scim("POST", "/Users", person())

    deleted = await scim(
        "DELETE",
        f"/Users/{created.document['id']}",
        If_Match=f'"never", {created.headers["ETag"]}',
    )

    assert (deleted.status, deleted.document) == (204, None)


async def test_read_with_current_if_none_match_is_304(scim: Client):
    created = await scim("POST", "/Users", person())

    read = await scim(
        "GET", f"/Users/{created.document['id']}", If_None_Match=created.headers["ETag"]
    )

    assert (read.status, read.document) == (304, None)


async def test_only_requested_attributes_are_returned(scim: Client):
    created = await scim("POST", "/Users", person(**FULL_USER))
    path = f"/Users/{created.document['id']}"

    included = await scim("GET", f"{path}?attributes=userName,name.givenName,emails.value")
    excluded = await scim("GET", f"{path}?excludedAttributes=emails,{ENTERPRISE}")

    assert included.document == {
        "schemas": created.document["schemas"],
        "id": created.document["id"],
        "userName": created.document["userName"],
        "name": {"givenName": "Ann"},
        "emails": [{"value": "Ann@corp.test"}, {"value": "ann@home.test"}],
    }
    assert created.document.keys() - excluded.document.keys() == {"emails", ENTERPRISE}


async def test_pages_by_index_have_no_gap_or_repeat(scim: Client):
    department = uuid4().hex
    names = [
        (await scim("POST", "/Users", person(**{ENTERPRISE: {"department": department}})))
        .document["userName"]
        for _ in range(11)
    ]  # fmt: skip
    filter_ = f"filter={ENTERPRISE}:department+eq+%22{department}%22"

    pages = [
        (await scim("GET", f"/Users?{filter_}&startIndex={start}&count=5")).document
        for start in (1, 6, 11)
    ]

    assert [(page["totalResults"], page["startIndex"], page["itemsPerPage"]) for page in pages] == [
        (11, 1, 5),
        (11, 6, 5),
        (11, 11, 1),
    ]
    newest_first = [user["userName"] for page in pages for user in page["Resources"]]
    assert newest_first == names[::-1]


async def test_count_of_zero_returns_only_the_total(scim: Client):
    created = await scim("POST", "/Users", person())
    name = created.document["userName"].replace("@", "%40")

    counted = await scim("GET", f"/Users?filter=userName+eq+%22{name}%22&count=0")

    assert counted.document == {
        "schemas": [LIST],
        "totalResults": 1,
        "startIndex": 1,
        "itemsPerPage": 0,
        "Resources": [],
    }


async def test_users_are_sorted_in_both_directions(scim: Client):
    department = uuid4().hex
    for title in ("b", "C", "a"):
        extension = {ENTERPRISE: {"department": department}}
        await scim("POST", "/Users", person(title=title, **extension))

    ascending, descending = [
        await scim(
            "GET",
            f"/Users?filter={ENTERPRISE}:department+eq+%22{department}%22"
            f"&sortBy=title&sortOrder={order}",
        )
        for order in ("ascending", "descending")
    ]

    assert [user["title"] for user in ascending.document["Resources"]] == ["a", "b", "C"]
    assert [user["title"] for user in descending.document["Resources"]] == ["C", "b", "a"]
