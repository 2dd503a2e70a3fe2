"""A user in more groups than a response has by default (RFC 7643 section 7, `returned`)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from gateway.api.users import MAX_DEFAULT_GROUPS
from tests.support.operators import Operator
from tests.support.scim import Client, Reply, client
from tests.support.scim_documents import USER, patch, person
from tests.support.stack import ROOT, Stack

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Organization:
    """An organization with a user in MAX_DEFAULT_GROUPS groups, of which one is indirect."""

    scim: Client
    user: Document
    outer_id: str
    """The group that contains the user indirectly."""
    database_url: str
    id: str

    async def add_group(self) -> None:
        """Nest the outer group in another one, so that the user is in one group too many."""
        await self._execute(
            "WITH added AS (INSERT INTO groups"
            " (organization_id, create_time, update_time, display_name)"
            " VALUES ($1, now(), now(), 'Outermost') RETURNING organization_id, group_id)"
            " INSERT INTO group_groups SELECT organization_id, group_id, $2 FROM added",
            UUID(self.outer_id),
        )

    async def fill(self) -> None:
        """Add the user to MAX_DEFAULT_GROUPS - 1 groups, and nest one of these in the outer one."""
        await self._execute(
            "WITH added AS (INSERT INTO groups"
            " (organization_id, create_time, update_time, display_name)"
            " SELECT $1, now(), now(), 'Team ' || n FROM generate_series(1, $3) AS n"
            " RETURNING organization_id, group_id)"
            " INSERT INTO group_users SELECT organization_id, group_id, $2 FROM added",
            UUID(self.user["id"]), MAX_DEFAULT_GROUPS - 1,
        )  # fmt: skip
        await self._execute(
            "WITH outer_group AS (INSERT INTO groups"
            " (organization_id, group_id, create_time, update_time, display_name)"
            " VALUES ($1, $2, now(), now(), 'Outer') RETURNING organization_id, group_id),"
            " inner_group AS (SELECT group_id FROM group_users WHERE organization_id = $1 LIMIT 1)"
            " INSERT INTO group_groups"
            " SELECT organization_id, outer_group.group_id, inner_group.group_id"
            " FROM outer_group, inner_group",
            UUID(self.outer_id),
        )

    async def _execute(self, statement: str, *arguments: object) -> None:
        database = await asyncpg.connect(self.database_url)
        try:
            await database.execute(statement, UUID(self.id), *arguments)
        finally:
            await database.close()


@pytest.fixture
async def org(tenant: Stack, operate: Operator) -> AsyncIterator[Organization]:
    organization_id = await operate.create_organization()
    key = await operate.generate_key(organization_id)
    async with client(replace(tenant, token=key.token)) as scim:
        user = (await scim("POST", "/Users", person())).document
        url = tenant.database_url("users")
        org = Organization(scim, user, str(uuid4()), url, organization_id)
        await org.fill()
        yield org


async def responses(org: Organization, parameters: str = "") -> dict[str, Document]:
    """The user in the response to each kind of request."""
    path, scim = f"/Users/{org.user['id']}", org.scim
    question, ampersand = (f"?{parameters}", f"&{parameters}") if parameters else ("", "")
    fast = patch("replace", "title", "Dr.")
    slow = patch("add", "emails", [{"value": "ann@corp.test", "type": "home"}])
    put = {"schemas": [USER], "userName": org.user["userName"]}
    user_filter = f"filter=userName%20eq%20%22{org.user['userName']}%22"
    replies: dict[str, Reply] = {
        "GET": await scim("GET", f"{path}{question}"),
        "PATCH by assignment": await scim("PATCH", f"{path}{question}", fast),
        "PATCH after reading": await scim("PATCH", f"{path}{question}", slow),
        "PATCH without effect": await scim("PATCH", f"{path}{question}", slow),
        "PUT": await scim("PUT", f"{path}{question}", put),
        "match": await scim("GET", f"/Users?{user_filter}{ampersand}"),
        "list": await scim("GET", f"/Users?count=10{ampersand}"),
    }
    assert {reply.status for reply in replies.values()} == {200}
    return {
        kind: reply.document.get("Resources", [reply.document])[0]
        for kind, reply in replies.items()
    }


def numbers_of_groups(found: dict[str, Document]) -> set[int | None]:
    return {len(user["groups"]) if "groups" in user else None for user in found.values()}


async def test_user_in_200_groups_is_returned_with_them(org: Organization):
    found = await responses(org)

    assert numbers_of_groups(found) == {MAX_DEFAULT_GROUPS}
    types = [group["type"] for group in found["GET"]["groups"]]
    assert types.count("indirect") == 1


@pytest.mark.parametrize("parameters", ["", "excludedAttributes=title"])
async def test_user_in_more_groups_is_returned_without_them(org: Organization, parameters: str):
    await org.add_group()

    found = await responses(org, parameters)

    assert numbers_of_groups(found) == {None}
    assert {user["userName"] for user in found.values()} == {org.user["userName"]}


@pytest.mark.parametrize("attributes", ["groups", "userName,groups.value"])
async def test_groups_named_by_the_request_are_all_returned(org: Organization, attributes: str):
    await org.add_group()

    found = await responses(org, f"attributes={attributes}")

    assert numbers_of_groups(found) == {MAX_DEFAULT_GROUPS + 1}


async def test_schema_and_document_say_when_groups_are_returned(scim: Client):
    """/Schemas has the description of RFC 7643, so only the document can name the limit."""
    schema = (await scim("GET", f"/Schemas/{USER}")).document

    groups = next(each for each in schema["attributes"] if each["name"] == "groups")
    assert groups["returned"] == "default"
    assert f"in up to {MAX_DEFAULT_GROUPS} groups" in (ROOT / "docs/scim.md").read_text()


async def test_deletion_of_user_changes_version_of_each_direct_group(org: Organization):
    before = await versions(org)
    deleted = await org.scim("DELETE", f"/Users/{org.user['id']}")
    after = await versions(org)

    assert deleted.status == 204
    assert before.keys() == after.keys()
    unchanged = [group_id for group_id in before if before[group_id] == after[group_id]]
    assert unchanged == [org.outer_id]


async def versions(org: Organization) -> dict[str, str]:
    """The version of each group."""
    listed = await org.scim("GET", "/Groups?count=1000&excludedAttributes=members")
    return {each["id"]: each["meta"]["version"] for each in listed.document["Resources"]}
