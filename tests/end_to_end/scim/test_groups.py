"""The life of a group over HTTP: its members, its nesting, and who may see it."""

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
    """Another organization."""
    key = await operate.key(await operate.organization())
    async with client(replace(tenant, token=key.token)) as sender:
        yield sender


async def new_user(scim: Client) -> Document:
    return (await scim("POST", "/Users", person())).document


async def new_group(scim: Client, *members: Document, **attributes: object) -> Document:
    sent = team(*members, **attributes)
    reply = await scim("POST", "/Groups", sent)
    assert reply.status == 201
    return reply.document


def team(*members: Document, **attributes: object) -> Document:
    listed = {"members": [{"value": each["id"]} for each in members]} if members else {}
    return {"schemas": [GROUP], "displayName": "Team", **listed, **attributes}


def as_member(resource: Document) -> Document:
    """How a resource is shown among the members of a group."""
    meta = resource["meta"]
    return {"value": resource["id"], "$ref": meta["location"], "type": meta["resourceType"]}


def membership(group: Document, kind: str) -> Document:
    """How a group is shown among the groups of a user."""
    return {
        "value": group["id"],
        "$ref": group["meta"]["location"],
        "display": group["displayName"],
        "type": kind,
    }


def path_of(group: Document) -> str:
    return f"/Groups/{group['id']}"


async def read(scim: Client, group: Document) -> Document:
    return (await scim("GET", path_of(group))).document


async def change(scim: Client, group: Document, *operation: Any) -> Document:
    """The group after a PATCH of one operation."""
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


async def test_a_group_is_created_with_its_members_and_read_back(scim: Client):
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


async def test_a_group_without_members_has_no_such_attribute(scim: Client):
    group = await new_group(scim)

    assert group == {
        "schemas": [GROUP],
        "id": group["id"],
        "displayName": "Team",
        "meta": group["meta"],
    }


async def test_a_group_needs_a_display_name(scim: Client):
    reply = await scim("POST", "/Groups", {"schemas": [GROUP], "externalId": "team"})

    assert refusal(reply) == (400, "invalidValue")


async def test_two_groups_may_have_the_same_names(scim: Client):
    first = await new_group(scim, externalId="team")
    second = await new_group(scim, externalId="team")

    assert first["id"] != second["id"]


async def test_members_show_their_display_when_it_is_asked_for(scim: Client):
    ann = (await scim("POST", "/Users", person(displayName="Ann Li"))).document
    inner = await new_group(scim, displayName="Inner")
    group = await new_group(scim, ann, inner)

    asked = await scim("GET", f"{path_of(group)}?attributes=members.value,members.display")

    assert asked.document == {
        "schemas": [GROUP],
        "id": group["id"],
        "members": [
            {"value": ann["id"], "display": "Ann Li"},
            {"value": inner["id"], "display": "Inner"},
        ],
    }


async def test_members_are_left_out_where_they_are_excluded(scim: Client):
    group = await new_group(scim, await new_user(scim))
    without = {name: group[name] for name in group if name != "members"}

    read_one = await scim("GET", f"{path_of(group)}?excludedAttributes=members")
    filter_ = quote(f'id eq "{group["id"]}"')
    listed = await scim("GET", f"/Groups?filter={filter_}&excludedAttributes=members")

    assert read_one.document == without
    assert listed.document["Resources"] == [without]


async def test_an_unknown_member_is_kept_as_it_was_given(scim: Client):
    ann, nobody = await new_user(scim), str(uuid4())

    group = await new_group(scim, ann, {"id": nobody}, {"id": "nobody at all"})

    assert group["members"][0] == as_member(ann)
    unknown = sorted(group["members"][1:], key=lambda member: member["value"])
    assert unknown == [{"value": nobody}, {"value": "nobody at all"}]
    assert await read(scim, group) == group


# --- PUT --------------------------------------------------------------------------------


async def test_a_put_replaces_the_members_and_clears_what_it_leaves_out(scim: Client):
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


async def test_a_put_without_members_empties_the_group(scim: Client):
    group = await new_group(scim, await new_user(scim))

    replaced = await scim("PUT", path_of(group), team())

    assert replaced.status == 200
    assert "members" not in replaced.document


# --- PATCH ------------------------------------------------------------------------------


async def test_an_add_adds_to_the_members(scim: Client):
    ann, bob = await new_user(scim), await new_user(scim)
    group = await new_group(scim, ann)

    changed = await change(scim, group, "Add", "members", [{"value": bob["id"]}])

    assert changed["members"] == [as_member(ann), as_member(bob)]


async def test_a_replace_of_members_replaces_them_all(scim: Client):
    ann, bob = await new_user(scim), await new_user(scim)
    group = await new_group(scim, ann)

    changed = await change(scim, group, "Replace", "members", [{"value": bob["id"]}])

    assert changed["members"] == [as_member(bob)]


async def test_a_remove_with_a_value_removes_just_those(scim: Client):
    ann, bob, cid = [await new_user(scim) for _ in range(3)]
    group = await new_group(scim, ann, bob, cid)
    leaving = [{"value": ann["id"]}, {"value": cid["id"]}]

    changed = await change(scim, group, "Remove", "members", leaving)

    assert changed["members"] == [as_member(bob)]


async def test_a_remove_with_a_filter_removes_whom_it_matches(scim: Client):
    ann, bob = await new_user(scim), await new_user(scim)
    group = await new_group(scim, ann, bob)

    changed = await change(scim, group, "Remove", f'members[value eq "{ann["id"]}"]')

    assert changed["members"] == [as_member(bob)]


async def test_a_remove_by_a_filter_on_the_type_removes_all_of_it(scim: Client):
    ann, inner = await new_user(scim), await new_group(scim)
    group = await new_group(scim, ann, inner)

    changed = await change(scim, group, "Remove", 'members[type eq "Group"]')

    assert changed["members"] == [as_member(ann)]


async def test_a_remove_of_members_alone_removes_them_all(scim: Client):
    group = await new_group(scim, await new_user(scim), await new_group(scim), {"id": "nobody"})

    changed = await change(scim, group, "Remove", "members")

    assert "members" not in changed


@pytest.mark.parametrize("many", [False, True])
async def test_a_plain_id_stands_for_a_member(scim: Client, many: bool):
    ann, group = await new_user(scim), await new_group(scim)
    value = [ann["id"]] if many else ann["id"]

    added = await change(scim, group, "Add", "members", value)
    removed = await change(scim, group, "Remove", "members", value)

    assert added["members"] == [as_member(ann)]
    assert "members" not in removed


async def test_a_patch_of_up_to_20_members_answers_with_the_group_and_above_with_204(scim: Client):
    users = await bulk(scim, *[post(str(number)) for number in range(21)])
    *first, last = [{"value": created_id(each)} for each in users]
    path = path_of(await new_group(scim, members=first))

    small = await scim("PATCH", path, patch("add", "externalId", "small"))
    small_read = await scim("GET", path)
    large = await scim("PATCH", path, patch("add", "members", [last]))
    large_read = await scim("GET", path)

    assert (small.status, small.document) == (200, small_read.document)
    assert (large.status, large.document) == (204, None)
    assert large.headers["ETag"] == large_read.document["meta"]["version"]
    sizes = [len(each.document["members"]) for each in (small_read, large_read)]
    assert sizes == [20, 21]


async def test_a_write_of_a_small_group_makes_one_call_of_usersvc(scim: Client, tenant: Stack):
    ann, bob = await new_user(scim), await new_user(scim)
    created = await scim("POST", "/Groups", team(ann))
    path = path_of(created.document)
    patched = await scim("PATCH", path, patch("add", "members", [{"value": bob["id"]}]))
    filtered = await scim("PATCH", f"{path}?attributes=members", patch("add", "externalId", "a"))
    replaced = await scim("PUT", path, team(ann, bob))
    emptied = await scim("PUT", path, team())

    replies = [created, patched, filtered, replaced, emptied]
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


async def test_of_a_patch_that_is_refused_nothing_is_carried_out(scim: Client):
    group = await new_group(scim, await new_user(scim))
    operations = [
        *patch("replace", "displayName", "Crew")["Operations"],
        *patch("remove", "members")["Operations"],
        *patch("replace", "bogus", "x")["Operations"],
    ]

    reply = await scim("PATCH", path_of(group), {"Operations": operations})

    assert refusal(reply) == (400, "invalidPath")
    assert await read(scim, group) == group


async def test_changes_that_change_nothing_keep_the_version_and_the_time(scim: Client):
    ann, bob = await new_user(scim), await new_user(scim)
    group = await new_group(scim, ann, externalId="team")
    there, absent = [{"value": ann["id"]}], [{"value": bob["id"]}]

    patched = [
        await change(scim, group, *each)
        for each in (
            ("replace", "displayName", "Team"),
            ("add", "members", there),
            ("replace", "members", there),
            ("remove", "members", absent),
        )
    ]
    put = await scim("PUT", path_of(group), team(ann, externalId="team"))

    assert [*patched, put.document] == [group] * 5


# --- versions ---------------------------------------------------------------------------


async def test_a_version_that_is_no_longer_current_is_412_and_changes_nothing(scim: Client):
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


@pytest.mark.parametrize("listed", ['"never", {}', '{}, "never"', "*"])
async def test_the_current_version_among_others_lets_changes_through(scim: Client, listed: str):
    group = await new_group(scim)
    path = path_of(group)

    replies = []
    for method, body in (("PUT", team()), ("PATCH", patch("add", "externalId", "x"))):
        current = (await read(scim, group))["meta"]["version"]
        replies.append(await scim(method, path, body, If_Match=listed.format(current)))
    current = (await read(scim, group))["meta"]["version"]
    replies.append(await scim("DELETE", path, If_Match=listed.format(current)))

    assert [reply.status for reply in replies] == [200, 200, 204]


async def test_a_client_that_has_the_version_gets_304(scim: Client):
    group = await new_group(scim, await new_user(scim))
    version = group["meta"]["version"]

    known = await scim("GET", path_of(group), If_None_Match=f'"never", {version}')
    unknown = await scim("GET", path_of(group), If_None_Match='"never"')

    assert (known.status, known.document, known.headers["ETag"]) == (304, None, version)
    assert (unknown.status, unknown.document) == (200, group)


# --- groups in groups -------------------------------------------------------------------


async def test_a_user_tells_its_groups_direct_and_indirect(scim: Client):
    ann = await new_user(scim)
    inner = await new_group(scim, ann, displayName="Inner")
    middle = await new_group(scim, inner, displayName="Middle")
    outer = await new_group(scim, middle, displayName="Outer")
    await new_group(scim, displayName="Other")

    told = await scim("GET", f"/Users/{ann['id']}")

    assert told.document == {
        **ann,
        "groups": [
            membership(inner, "direct"),
            membership(middle, "indirect"),
            membership(outer, "indirect"),
        ],
    }


async def test_a_direct_membership_counts_for_more_than_an_indirect_one(scim: Client):
    ann = await new_user(scim)
    inner = await new_group(scim, ann, displayName="Inner")
    outer = await new_group(scim, inner, ann, displayName="Outer")

    told = await scim("GET", f"/Users/{ann['id']}")

    assert told.document["groups"] == [membership(inner, "direct"), membership(outer, "direct")]


async def test_a_user_who_is_removed_from_a_group_no_longer_tells_it(scim: Client):
    ann = await new_user(scim)
    group = await new_group(scim, ann)

    await change(scim, group, "remove", "members", [{"value": ann["id"]}])

    assert (await scim("GET", f"/Users/{ann['id']}")).document == ann


async def test_a_group_does_not_end_up_inside_itself(scim: Client):
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


async def test_a_deleted_group_is_gone(scim: Client):
    path = path_of(await new_group(scim))

    deleted = await scim("DELETE", path)
    afterwards = [await scim("GET", path), await scim("PUT", path, team())]
    afterwards += [await scim("PATCH", path, patch("remove", "members"))]
    afterwards += [await scim("DELETE", path)]

    assert (deleted.status, deleted.document) == (204, None)
    assert [reply.status for reply in afterwards] == [404] * 4


@pytest.mark.parametrize("kind", ["Users", "Groups"])
async def test_what_is_deleted_leaves_its_groups_and_changes_their_version(scim: Client, kind: str):
    ann = await new_user(scim)
    leaver = await (new_user(scim) if kind == "Users" else new_group(scim))
    group = await new_group(scim, ann, leaver)

    await scim("DELETE", f"/{kind}/{leaver['id']}")

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


async def test_groups_are_found_by_their_name_without_regard_to_case(scim: Client):
    name = f"Team {uuid4()}"
    first = await new_group(scim, displayName=name)
    second = await new_group(scim, await new_user(scim), displayName=name.upper())
    await new_group(scim, displayName=f"{name} 2")

    assert await find(scim, f'displayName eq "{name.lower()}"') == [second, first]


async def test_groups_are_found_by_their_external_id_with_regard_to_case(scim: Client):
    external_id = f"Team {uuid4()}"
    group = await new_group(scim, externalId=external_id)

    assert await find(scim, f'externalId eq "{external_id}"') == [group]
    assert await find(scim, f'externalId eq "{external_id.upper()}"') == []


@pytest.mark.parametrize("attribute", ["members", "members.value"])
async def test_groups_are_found_by_a_direct_member(scim: Client, attribute: str):
    ann = await new_user(scim)
    inner = await new_group(scim, ann)
    outer = await new_group(scim, inner)

    assert await find(scim, f'{attribute} eq "{ann["id"]}"') == [inner]
    assert await find(scim, f'{attribute} eq "{inner["id"]}"') == [outer]


async def test_a_group_is_found_by_its_id_if_it_has_the_member(scim: Client):
    ann, bob = await new_user(scim), await new_user(scim)
    group = await new_group(scim, ann)
    await new_group(scim, ann)
    wanted = f'id eq "{group["id"]}" and members eq'

    assert await find(scim, f'{wanted} "{ann["id"]}"') == [group]
    assert await find(scim, f'{wanted} "{bob["id"]}"') == []


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


async def test_a_user_of_another_organization_is_a_member_in_name_alone(
    scim: Client, stranger: Client
):
    ann, inner = await new_user(scim), await new_group(scim)

    group = await new_group(stranger, ann, inner)
    asked = await stranger("GET", f"{path_of(group)}?attributes=members.value,members.display")

    in_name_alone = [{"value": ann["id"]}, {"value": inner["id"]}]
    assert sorted(group["members"], key=str) == sorted(in_name_alone, key=str)
    assert asked.document["members"] == group["members"]
    assert (await scim("GET", f"/Users/{ann['id']}")).document == ann


async def test_a_group_is_found_by_a_member_and_what_it_is(scim: Client):
    user = (await scim("POST", "/Users", {"userName": f"{uuid4().hex}@corp.test"})).document
    members = [{"value": user["id"]}]
    group = (await scim("POST", "/Groups", {"displayName": "T", "members": members})).document

    found = [
        await scim(
            "GET", "/Groups?filter=" + quote(f'members[value eq "{id_}" and type eq "{kind}"]')
        )
        for id_, kind in ((user["id"], "User"), (user["id"], "Group"))
    ]

    assert [[each["id"] for each in reply.document["Resources"]] for reply in found] == [
        [group["id"]],
        [],
    ]
