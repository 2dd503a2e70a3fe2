"""Groups over HTTP: members, nesting, versions, filters, and isolation of organizations."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from tests.support.bulk_requests import bulk, created_id, post
from tests.support.operators import Operator
from tests.support.scim import Client, client
from tests.support.scim_documents import GROUP, LIST, patch, person, refusal
from tests.support.stack import Stack

Document = dict[str, Any]


@pytest.fixture
async def stranger(tenant: Stack, operate: Operator) -> AsyncIterator[Client]:
    """A client of another organization."""
    key = await operate.generate_key(await operate.create_organization())
    async with client(replace(tenant, token=key.token)) as sender:
        yield sender


async def new_user(scim: Client) -> Document:
    return (await scim("POST", "/Users", person())).document


async def new_group(scim: Client, *members: Document, **attributes: object) -> Document:
    reply = await scim("POST", "/Groups", team(*members, **attributes))
    assert reply.status == 201
    return reply.document


def team(*members: Document, **attributes: object) -> Document:
    """The body that creates or replaces a group."""
    references = {"members": [{"value": each["id"]} for each in members]} if members else {}
    return {"schemas": [GROUP], "displayName": "Team", **references, **attributes}


def as_member(resource: Document) -> Document:
    """The element of a group's `members` for a resource."""
    meta = resource["meta"]
    return {"value": resource["id"], "$ref": meta["location"], "type": meta["resourceType"]}


def membership(group: Document, type_: str) -> Document:
    """The element of a user's `groups` for a group."""
    return {
        "value": group["id"],
        "$ref": group["meta"]["location"],
        "display": group["displayName"],
        "type": type_,
    }


def path_of(group: Document) -> str:
    return f"/Groups/{group['id']}"


async def read(scim: Client, group: Document) -> Document:
    return (await scim("GET", path_of(group))).document


async def change(scim: Client, group: Document, *operation: Any) -> Document:
    """PATCH a group with one operation; returns the changed group."""
    reply = await scim("PATCH", path_of(group), patch(*operation))
    assert (reply.status, reply.document) == (200, await read(scim, group))
    return reply.document


async def find(scim: Client, filter_: str) -> list[Document]:
    reply = await scim("GET", f"/Groups?filter={quote(filter_)}")
    found = reply.document["Resources"]
    assert (reply.status, reply.document) == (
        200,
        {
            "schemas": [LIST],
            "totalResults": len(found),
            "startIndex": 1,
            "itemsPerPage": len(found),
            "Resources": found,
        },
    )
    return found


# --- create and read --------------------------------------------------------------------


async def test_group_is_created_with_members_and_read_back(scim: Client):
    ann, inner = await new_user(scim), await new_group(scim)
    sent = team(ann, inner, externalId="team")

    created = await scim("POST", "/Groups", sent)
    read_back = await scim("GET", path_of(created.document))

    location = f"{scim.url}{path_of(created.document)}"
    meta = created.document["meta"]
    assert created.status == 201
    assert created.headers["Location"] == location
    assert created.headers["ETag"] == meta["version"]
    assert created.document == {
        **sent,
        "id": created.document["id"],
        "members": [as_member(ann), as_member(inner)],
        "meta": {
            "resourceType": "Group",
            "created": meta["created"],
            "lastModified": meta["created"],
            "version": meta["version"],
            "location": location,
        },
    }
    assert (read_back.status, read_back.document) == (200, created.document)
    assert read_back.headers["ETag"] == meta["version"]


async def test_group_without_members_has_no_members_attribute(scim: Client):
    group = await new_group(scim)

    assert group == {
        "schemas": [GROUP],
        "id": group["id"],
        "displayName": "Team",
        "meta": group["meta"],
    }


async def test_group_without_display_name_is_refused(scim: Client):
    reply = await scim("POST", "/Groups", {"schemas": [GROUP], "externalId": "team"})

    assert refusal(reply) == (400, "invalidValue")


async def test_groups_may_share_display_name_and_external_id(scim: Client):
    first = await new_group(scim, externalId="team")
    second = await new_group(scim, externalId="team")

    assert first["id"] != second["id"]


async def test_member_display_is_returned_on_request(scim: Client):
    ann = (await scim("POST", "/Users", person(displayName="Ann Li"))).document
    inner = await new_group(scim, displayName="Inner")
    group = await new_group(scim, ann, inner)

    projected = await scim("GET", f"{path_of(group)}?attributes=members.value,members.display")

    assert projected.document == {
        "schemas": [GROUP],
        "id": group["id"],
        "members": [
            {"value": ann["id"], "display": "Ann Li"},
            {"value": inner["id"], "display": "Inner"},
        ],
    }


async def test_excluded_members_are_omitted_from_read_and_list(scim: Client):
    group = await new_group(scim, await new_user(scim))
    without = {name: group[name] for name in group if name != "members"}

    read_one = await scim("GET", f"{path_of(group)}?excludedAttributes=members")
    filter_ = quote(f'id eq "{group["id"]}"')
    listed = await scim("GET", f"/Groups?filter={filter_}&excludedAttributes=members")

    assert read_one.document == without
    assert listed.document["Resources"] == [without]


async def test_unknown_member_is_stored_as_sent(scim: Client):
    ann, unknown_id = await new_user(scim), str(uuid4())

    group = await new_group(scim, ann, {"id": unknown_id}, {"id": "not a UUID"})

    assert group["members"][0] == as_member(ann)
    unknown = sorted(group["members"][1:], key=lambda member: member["value"])
    assert unknown == [{"value": unknown_id}, {"value": "not a UUID"}]
    assert await read(scim, group) == group


# --- PUT --------------------------------------------------------------------------------


async def test_put_replaces_members_and_clears_omitted_attributes(scim: Client):
    ann, bob, cid = [await new_user(scim) for _ in range(3)]
    group = await new_group(scim, ann, bob, externalId="team")

    replaced = await scim("PUT", path_of(group), team(bob, cid, displayName="Crew"))

    meta = replaced.document["meta"]
    assert (replaced.status, replaced.headers["ETag"]) == (200, meta["version"])
    assert meta["version"] != group["meta"]["version"]
    assert replaced.document == {
        "schemas": [GROUP],
        "id": group["id"],
        "displayName": "Crew",
        "members": [as_member(bob), as_member(cid)],
        "meta": {
            **group["meta"],
            "lastModified": meta["lastModified"],
            "version": meta["version"],
        },
    }
    assert await read(scim, group) == replaced.document


async def test_put_without_members_empties_the_group(scim: Client):
    group = await new_group(scim, await new_user(scim))

    replaced = await scim("PUT", path_of(group), team())

    assert replaced.status == 200
    assert "members" not in replaced.document


# --- PATCH ------------------------------------------------------------------------------


async def test_add_keeps_existing_members(scim: Client):
    ann, bob = await new_user(scim), await new_user(scim)
    group = await new_group(scim, ann)

    changed = await change(scim, group, "Add", "members", [{"value": bob["id"]}])

    assert changed["members"] == [as_member(ann), as_member(bob)]


async def test_replace_of_members_replaces_all_members(scim: Client):
    ann, bob = await new_user(scim), await new_user(scim)
    group = await new_group(scim, ann)

    changed = await change(scim, group, "Replace", "members", [{"value": bob["id"]}])

    assert changed["members"] == [as_member(bob)]


async def test_remove_with_values_removes_only_those_members(scim: Client):
    ann, bob, cid = [await new_user(scim) for _ in range(3)]
    group = await new_group(scim, ann, bob, cid)
    removed = [{"value": ann["id"]}, {"value": cid["id"]}]

    changed = await change(scim, group, "Remove", "members", removed)

    assert changed["members"] == [as_member(bob)]


async def test_remove_by_value_filter_removes_the_match(scim: Client):
    ann, bob = await new_user(scim), await new_user(scim)
    group = await new_group(scim, ann, bob)

    changed = await change(scim, group, "Remove", f'members[value eq "{ann["id"]}"]')

    assert changed["members"] == [as_member(bob)]


async def test_remove_by_type_filter_removes_all_members_of_that_type(scim: Client):
    ann, inner = await new_user(scim), await new_group(scim)
    group = await new_group(scim, ann, inner)

    changed = await change(scim, group, "Remove", 'members[type eq "Group"]')

    assert changed["members"] == [as_member(ann)]


async def test_remove_without_value_or_filter_removes_all_members(scim: Client):
    group = await new_group(scim, await new_user(scim), await new_group(scim), {"id": "nobody"})

    changed = await change(scim, group, "Remove", "members")

    assert "members" not in changed


@pytest.mark.parametrize("in_array", [False, True])
async def test_plain_id_is_accepted_as_member(scim: Client, in_array: bool):
    ann, group = await new_user(scim), await new_group(scim)
    value = [ann["id"]] if in_array else ann["id"]

    added = await change(scim, group, "Add", "members", value)
    removed = await change(scim, group, "Remove", "members", value)

    assert added["members"] == [as_member(ann)]
    assert "members" not in removed


async def test_patch_returns_group_up_to_20_members_and_204_above(scim: Client):
    users = await bulk(scim, *[post(str(number)) for number in range(21)])
    *first_20, last = [{"value": created_id(each)} for each in users]
    path = path_of(await new_group(scim, members=first_20))

    small = await scim("PATCH", path, patch("add", "externalId", "small"))
    small_read = await scim("GET", path)
    large = await scim("PATCH", path, patch("add", "members", [last]))
    large_read = await scim("GET", path)

    assert (small.status, small.document) == (200, small_read.document)
    assert (large.status, large.document) == (204, None)
    assert large.headers["ETag"] == large_read.document["meta"]["version"]
    sizes = [len(each.document["members"]) for each in (small_read, large_read)]
    assert sizes == [20, 21]


async def test_write_of_small_group_makes_one_call_of_usersvc(scim: Client, tenant: Stack):
    ann, bob = await new_user(scim), await new_user(scim)
    created = await scim("POST", "/Groups", team(ann))
    path = path_of(created.document)
    patched = await scim("PATCH", path, patch("add", "members", [{"value": bob["id"]}]))
    projected = await scim("PATCH", f"{path}?attributes=members", patch("add", "externalId", "a"))
    replaced = await scim("PUT", path, team(ann, bob))
    emptied = await scim("PUT", path, team())

    replies = [created, patched, projected, replaced, emptied]
    assert [len(each.document.get("members", ())) for each in replies] == [1, 2, 2, 2, 0]
    lines = [json.loads(line) for line in tenant.log("usersvc").splitlines() if "{" in line[:1]]
    calls = [
        [
            line["method"].rpartition("/")[2]
            for line in lines
            if line.get("request_id") == each.headers["X-Request-Id"]
        ]
        for each in replies
    ]
    assert calls == [["CreateGroup"], *[["UpdateGroup"]] * 4]


async def test_refused_patch_applies_none_of_its_operations(scim: Client):
    group = await new_group(scim, await new_user(scim))
    operations = [
        *patch("replace", "displayName", "Crew")["Operations"],
        *patch("remove", "members")["Operations"],
        *patch("replace", "bogus", "x")["Operations"],
    ]

    reply = await scim("PATCH", path_of(group), {"Operations": operations})

    assert refusal(reply) == (400, "invalidPath")
    assert await read(scim, group) == group


async def test_writes_without_effect_keep_version_and_last_modified(scim: Client):
    ann, bob = await new_user(scim), await new_user(scim)
    group = await new_group(scim, ann, externalId="team")
    present, absent = [{"value": ann["id"]}], [{"value": bob["id"]}]

    patched = [
        await change(scim, group, *each)
        for each in (
            ("replace", "displayName", "Team"),
            ("add", "members", present),
            ("replace", "members", present),
            ("remove", "members", absent),
        )
    ]
    put = await scim("PUT", path_of(group), team(ann, externalId="team"))

    assert [*patched, put.document] == [group] * 5


# --- versions ---------------------------------------------------------------------------


async def test_write_with_outdated_if_match_is_412_and_changes_nothing(scim: Client):
    group = await new_group(scim)
    path, old = path_of(group), group["meta"]["version"]
    members = [{"value": (await new_user(scim))["id"]}]
    newer = await change(scim, group, "add", "members", members)

    replies = [
        await scim("PUT", path, team(), If_Match=old),
        await scim("PATCH", path, {"Operations": []}, If_Match=old),
        await scim("PATCH", path, patch("remove", "members", members), If_Match=old),
        await scim("PATCH", path, patch("remove", 'members[type eq "User"]'), If_Match=old),
        await scim("DELETE", path, If_Match=old),
    ]

    assert [reply.status for reply in replies] == [412] * 5
    assert await read(scim, group) == newer


@pytest.mark.parametrize("if_match", ['"never", {}', '{}, "never"', "*"])
async def test_if_match_list_with_current_version_allows_writes(scim: Client, if_match: str):
    group = await new_group(scim)
    path = path_of(group)

    replies = []
    for method, body in (("PUT", team()), ("PATCH", patch("add", "externalId", "x"))):
        current = (await read(scim, group))["meta"]["version"]
        replies.append(await scim(method, path, body, If_Match=if_match.format(current)))
    current = (await read(scim, group))["meta"]["version"]
    replies.append(await scim("DELETE", path, If_Match=if_match.format(current)))

    assert [reply.status for reply in replies] == [200, 200, 204]


async def test_read_with_current_if_none_match_is_304(scim: Client):
    group = await new_group(scim, await new_user(scim))
    version = group["meta"]["version"]

    known = await scim("GET", path_of(group), If_None_Match=f'"never", {version}')
    unknown = await scim("GET", path_of(group), If_None_Match='"never"')

    assert (known.status, known.document, known.headers["ETag"]) == (304, None, version)
    assert (unknown.status, unknown.document) == (200, group)


# --- groups in groups -------------------------------------------------------------------


async def test_user_has_its_direct_and_indirect_groups(scim: Client):
    ann = await new_user(scim)
    inner = await new_group(scim, ann, displayName="Inner")
    middle = await new_group(scim, inner, displayName="Middle")
    outer = await new_group(scim, middle, displayName="Outer")
    await new_group(scim, displayName="Other")

    user = (await scim("GET", f"/Users/{ann['id']}")).document

    assert user == {
        **ann,
        "groups": [
            membership(inner, "direct"),
            membership(middle, "indirect"),
            membership(outer, "indirect"),
        ],
    }


async def test_direct_and_indirect_membership_is_shown_as_direct(scim: Client):
    ann = await new_user(scim)
    inner = await new_group(scim, ann, displayName="Inner")
    outer = await new_group(scim, inner, ann, displayName="Outer")

    user = (await scim("GET", f"/Users/{ann['id']}")).document

    assert user["groups"] == [membership(inner, "direct"), membership(outer, "direct")]


async def test_user_removed_from_group_no_longer_has_it(scim: Client):
    ann = await new_user(scim)
    group = await new_group(scim, ann)

    await change(scim, group, "remove", "members", [{"value": ann["id"]}])

    assert (await scim("GET", f"/Users/{ann['id']}")).document == ann


async def test_group_nested_in_itself_is_refused(scim: Client):
    inner = await new_group(scim)
    outer = await new_group(scim, await new_group(scim, inner))

    replies = [
        await scim("PATCH", path_of(inner), patch("add", "members", [{"value": each["id"]}]))
        for each in (inner, outer)
    ]
    replies.append(await scim("PUT", path_of(inner), team(outer, displayName="Crew")))

    assert [refusal(reply) for reply in replies] == [(400, "invalidValue")] * 3
    assert await read(scim, inner) == inner


# --- deletion ---------------------------------------------------------------------------


async def test_deleted_group_is_404(scim: Client):
    path = path_of(await new_group(scim))

    deleted = await scim("DELETE", path)
    afterwards = [await scim("GET", path), await scim("PUT", path, team())]
    afterwards += [await scim("PATCH", path, patch("remove", "members"))]
    afterwards += [await scim("DELETE", path)]

    assert (deleted.status, deleted.document) == (204, None)
    assert [reply.status for reply in afterwards] == [404] * 4


@pytest.mark.parametrize("endpoint", ["Users", "Groups"])
async def test_deleted_member_leaves_group_and_changes_its_version(scim: Client, endpoint: str):
    ann = await new_user(scim)
    deleted = await (new_user(scim) if endpoint == "Users" else new_group(scim))
    group = await new_group(scim, ann, deleted)

    await scim("DELETE", f"/{endpoint}/{deleted['id']}")

    after = await read(scim, group)
    meta = after["meta"]
    assert after == {
        **group,
        "members": [as_member(ann)],
        "meta": {
            **group["meta"],
            "lastModified": meta["lastModified"],
            "version": meta["version"],
        },
    }
    assert meta["version"] != group["meta"]["version"]
    assert meta["lastModified"] > group["meta"]["lastModified"]


# --- filters ----------------------------------------------------------------------------


async def test_filter_by_display_name_ignores_case(scim: Client):
    name = f"Team {uuid4()}"
    first = await new_group(scim, displayName=name)
    second = await new_group(scim, await new_user(scim), displayName=name.upper())
    await new_group(scim, displayName=f"{name} 2")

    assert await find(scim, f'displayName eq "{name.lower()}"') == [second, first]


async def test_filter_by_external_id_respects_case(scim: Client):
    external_id = f"Team {uuid4()}"
    group = await new_group(scim, externalId=external_id)

    assert await find(scim, f'externalId eq "{external_id}"') == [group]
    assert await find(scim, f'externalId eq "{external_id.upper()}"') == []


@pytest.mark.parametrize("attribute", ["members", "members.value"])
async def test_filter_by_member_finds_groups_of_direct_member_only(scim: Client, attribute: str):
    ann = await new_user(scim)
    inner = await new_group(scim, ann)
    outer = await new_group(scim, inner)

    assert await find(scim, f'{attribute} eq "{ann["id"]}"') == [inner]
    assert await find(scim, f'{attribute} eq "{inner["id"]}"') == [outer]


async def test_filter_by_id_and_member_needs_both(scim: Client):
    ann, bob = await new_user(scim), await new_user(scim)
    group = await new_group(scim, ann)
    await new_group(scim, ann)
    filter_ = f'id eq "{group["id"]}" and members eq'

    assert await find(scim, f'{filter_} "{ann["id"]}"') == [group]
    assert await find(scim, f'{filter_} "{bob["id"]}"') == []


# --- other organizations ----------------------------------------------------------------


async def test_another_organization_cannot_read_change_or_delete_a_group(
    scim: Client, stranger: Client
):
    group = await new_group(scim, await new_user(scim))
    path = path_of(group)

    replies = [
        await stranger("GET", path),
        await stranger("PUT", path, team(displayName="Crew")),
        await stranger("PATCH", path, patch("replace", "displayName", "Crew")),
        await stranger("PATCH", path, patch("remove", "members")),
        await stranger("PATCH", path, patch("remove", 'members[type eq "User"]')),
        await stranger("DELETE", path),
    ]

    assert [reply.status for reply in replies] == [404] * 6
    assert await read(scim, group) == group


async def test_another_organization_cannot_find_a_group(scim: Client, stranger: Client):
    ann, name = await new_user(scim), str(uuid4())
    group = await new_group(scim, ann, displayName=name, externalId=name)

    for filter_ in (
        f'displayName eq "{name}"',
        f'externalId eq "{name}"',
        f'id eq "{group["id"]}"',
        f'members eq "{ann["id"]}"',
        f'id eq "{group["id"]}" and members eq "{ann["id"]}"',
        "displayName pr",
    ):
        assert await find(stranger, filter_) == []


async def test_member_id_of_another_organization_stays_unresolved(scim: Client, stranger: Client):
    ann, inner = await new_user(scim), await new_group(scim)

    group = await new_group(stranger, ann, inner)
    projected = await stranger("GET", f"{path_of(group)}?attributes=members.value,members.display")

    unresolved = [{"value": ann["id"]}, {"value": inner["id"]}]
    assert sorted(group["members"], key=str) == sorted(unresolved, key=str)
    assert projected.document["members"] == group["members"]
    assert (await scim("GET", f"/Users/{ann['id']}")).document == ann


async def test_filter_by_member_value_and_type_needs_both(scim: Client):
    user = await new_user(scim)
    group = await new_group(scim, user)
    filters = [f'members[value eq "{user["id"]}" and type eq "{t}"]' for t in ("User", "Group")]

    assert [await find(scim, filter_) for filter_ in filters] == [[group], []]
