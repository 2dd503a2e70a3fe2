"""The neighbour: an organization with data of every kind, whose data another one tries to reach.

Every text of the neighbour contains a random marker, so a response that contains the marker leaks
its data. The attacker knows the neighbour's ids, the name of its schema and one of its user names.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import uuid4

import asyncpg
import grpc
from cloudacademy.keys.v1 import audit_pb2, audit_pb2_grpc, keys_pb2
from cloudacademy.users.v1 import (
    activity_pb2,
    activity_pb2_grpc,
    changes_pb2,
    changes_pb2_grpc,
    groups_pb2,
    groups_pb2_grpc,
    schemas_pb2,
    sessions_pb2,
    users_pb2,
)

from tests.support.operators import Operator
from tests.support.portal_organization import PortalOrganization, create_portal_organization
from tests.support.scim import Client
from tests.support.single_sign_on import SsoOrganization
from tests.support.stack import Stack

DATABASES = ("users", "keys")
NAME_PREFIX = "zebra"
"""The prefix of the neighbour's names. A filter with the prefix matches them without the marker."""


@dataclass(frozen=True)
class Neighbour:
    """The organization, the marker in its texts, and each value that an attacker knows, by name."""

    portal_org: PortalOrganization
    marker: str
    key: keys_pb2.GenerateKeyResponse
    known: Mapping[str, str] = field(default_factory=dict)

    @property
    def organization_id(self) -> str:
        return self.portal_org.organization_id

    @property
    def ids(self) -> list[str]:
        """The ids of the organization and of its user, group and key."""
        return [self.known[name] for name in ("organization", "user", "group", "key")]


async def create_neighbour(operate: Operator, stack: Stack, scim: Client) -> Neighbour:
    """Create an organization with data of every kind."""
    marker = secrets.token_hex(12)
    name, urn = f"{NAME_PREFIX}-{marker}", f"urn:{NAME_PREFIX}:{uuid4().hex}"
    portal_org = await create_portal_organization(operate, stack, name)
    key = await operate.generate_key(portal_org.organization_id)
    await operate.register(
        portal_org.organization_id,
        schemas_pb2.Schema(
            urn=urn,
            name=name,
            attributes=[
                schemas_pb2.Attribute(name="stripe", type=schemas_pb2.Attribute.TYPE_STRING)
            ],
        ),
    )
    users = [
        await portal_org.create_person(
            user_name=f"{NAME_PREFIX}-{uuid4().hex}@corp.test",
            display_name=name,
            external_id=name,
            title=name,
            emails=[users_pb2.TypedValue(value=f"{name}@corp.test", type="work")],
            roles=[users_pb2.TypedValue(value="Administrator")],
            enterprise=users_pb2.EnterpriseUser(department=name),
            extensions={
                urn: schemas_pb2.Extension(values={"stripe": schemas_pb2.Value(text=name)})
            },
        )
        for _ in range(3)
    ]
    known = {"user": users[0].id, "user_etag": users[0].etag, "user_name": users[0].user_name}
    neighbour_scim = Client(scim._session, scim.url, key.token)
    known |= await _groups(stack, portal_org.organization_id, name, [each.id for each in users])
    connection = await SsoOrganization(operate, portal_org.organization_id, f"{name}.test").set_up()
    known |= {"sso_etag": connection.etag}
    known |= await _tokens(stack, portal_org, neighbour_scim)
    known |= {"key": key.key.id, "organization": portal_org.organization_id}
    known |= {"session": await _session(operate, await portal_org.create_link_token(users[0]))}
    known |= {"schema": urn, "link": await portal_org.create_link_token(users[0])}
    await _wait_until_use_is_written(operate, key.key)
    assert not any(marker in value for value in known.values())
    return Neighbour(portal_org, marker, key, known)


async def _session(operate: Operator, link: str) -> str:
    """The id of a new session."""
    signed_in = await operate.sessions.SignInWithLink(
        sessions_pb2.SignInWithLinkRequest(token=link)
    )
    return signed_in.session.session_id


async def _wait_until_use_is_written(operate: Operator, key: keys_pb2.Key) -> None:
    """Wait until keysvc has written the use of a key, which it does in the background."""
    request = keys_pb2.ListKeysRequest(organization_id=key.organization_id)
    listed = [key]
    while not listed[0].HasField("last_used_time"):
        listed = (await operate.keys.ListKeys(request)).keys


async def _groups(stack: Stack, organization_id: str, name: str, ids: list[str]) -> dict[str, str]:
    async with _channel(stack, "usersvc") as channel:
        stub = groups_pb2_grpc.GroupServiceStub(channel)
        groups = [
            await stub.CreateGroup(
                groups_pb2.CreateGroupRequest(
                    organization_id=organization_id,
                    group=groups_pb2.Group(display_name=name, external_id=name),
                    member_ids=ids,
                )
            )
            for _ in range(2)
        ]
    group = groups[0].group
    return {"group": group.id, "group_etag": group.etag}


async def _tokens(stack: Stack, portal_org: PortalOrganization, scim: Client) -> dict[str, str]:
    """Page tokens, a SCIM cursor and a change token of the organization."""
    organization_id = portal_org.organization_id
    cursor = (await scim("GET", "/Users?cursor&count=1")).document["nextCursor"]
    known = {"cursor": cursor}
    async with _channel(stack, "usersvc") as users, _channel(stack, "keysvc") as keys:
        feed = changes_pb2_grpc.ChangeServiceStub(users).ReadSnapshot(
            changes_pb2.ReadSnapshotRequest(organization_id=organization_id)
        )
        async for message in feed:
            known["change_token"] = message.token or known.get("change_token", "")
        activities = await activity_pb2_grpc.ActivityServiceStub(users).ListActivities(
            activity_pb2.ListActivitiesRequest(organization_id=organization_id, page_size=1)
        )
        listed = await portal_org.operate.users.ListUsers(
            users_pb2.ListUsersRequest(organization_id=organization_id, page_size=1)
        )
        audit = await audit_pb2_grpc.AuditServiceStub(keys).ListAuditEvents(
            audit_pb2.ListAuditEventsRequest(organization_id=organization_id, page_size=1)
        )
    return known | {
        "activity": activities.activities[0].id,
        "request": activities.activities[0].request_id,
        "activities_page": activities.next_page_token,
        "users_page": listed.next_page_token,
        "audit_page": audit.next_page_token,
    }


def _channel(stack: Stack, service: str) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(f"127.0.0.1:{stack.service_port(service)}")


ROLLED_UP = ["activity_counts", "directory_counts", "logged_names"]
"""Tables that a background task fills from other tables at any time."""


async def stored_rows(stack: Stack, organization_id: str) -> dict[str, list[str]]:
    """All rows of an organization in both databases, as text, by table."""
    found: dict[str, list[str]] = {}
    for database in DATABASES:
        connection = await asyncpg.connect(stack.database_url(database))
        try:
            tables = await connection.fetch(
                """
                SELECT table_name FROM information_schema.columns
                 WHERE table_schema = 'public' AND column_name = 'organization_id'
                   AND table_name <> ALL ($1)
                """,
                ROLLED_UP,
            )
            for (table,) in tables:
                texts = await connection.fetch(
                    f"SELECT t::text FROM {table} AS t WHERE organization_id = $1 ORDER BY 1",
                    organization_id,
                )
                found[f"{database}.{table}"] = [text for (text,) in texts]
        finally:
            await connection.close()
    return found
