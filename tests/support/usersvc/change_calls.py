"""Short forms for tests of the feed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from cloudacademy.users.v1 import changes_pb2
from cloudacademy.users.v1.changes_pb2_grpc import ChangeServiceStub

from tests.support.usersvc.user_calls import ACME

Change = changes_pb2.Change
PATIENCE_SECONDS = 20.0


def kind(change: Change) -> str:
    """`USER_CREATED`, …"""
    return Change.Type.Name(change.type).removeprefix("TYPE_")


@dataclass
class Reader:
    """A stream of changes, and what it told so far."""

    call: object
    token: str = ""
    seen: list[Change] = field(default_factory=list)

    async def more(self) -> list[Change]:
        """The changes of the next message."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            message = await self.call.read()
        assert message, "the stream ended"
        self.token = message.token
        self.seen += message.changes
        return list(message.changes)

    async def until(self, count: int) -> list[Change]:
        """All changes so far, once there are so many."""
        while len(self.seen) < count:
            await self.more()
        return self.seen


@asynccontextmanager
async def watching(
    stub: ChangeServiceStub, token: str = "", organization_id: str | None = ACME
) -> AsyncIterator[Reader]:
    """Follow an organization, or all of them, from a token or from now on."""
    if organization_id is None:
        call = stub.WatchAllChanges(changes_pb2.WatchAllChangesRequest(token=token))
    else:
        call = stub.WatchChanges(
            changes_pb2.WatchChangesRequest(organization_id=organization_id, token=token)
        )
    reader = Reader(call)
    await reader.more()
    try:
        yield reader
    finally:
        call.cancel()


@dataclass
class Everything:
    """What a snapshot holds."""

    token: str = ""
    users: dict[str, str] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    members: dict[str, set[str]] = field(default_factory=dict)


async def snapshot(stub: ChangeServiceStub, organization_id: str | None = ACME) -> Everything:
    """The etags of all users and groups and the members of groups, by id, and the token."""
    if organization_id is None:
        call = stub.ReadFullSnapshot(changes_pb2.ReadFullSnapshotRequest())
    else:
        call = stub.ReadSnapshot(changes_pb2.ReadSnapshotRequest(organization_id=organization_id))
    found = Everything()
    async for message in call:
        assert not found.token, "something came behind the token"
        found.token = message.token
        found.users |= {user.id: user.etag for user in message.users}
        found.groups |= {group.id: group.etag for group in message.groups}
        for each in message.memberships:
            found.members.setdefault(each.group_id, set()).update(each.user_ids, each.group_ids)
    assert found.token
    return found


def apply(change: Change, state: Everything) -> None:
    """Let a state follow a change."""
    match kind(change):
        case "USER_DELETED":
            del state.users[change.resource_id]
        case "GROUP_DELETED":
            del state.groups[change.resource_id]
            state.members.pop(change.resource_id, None)
        case name if name.startswith("USER_"):
            state.users[change.resource_id] = change.etag
        case name:
            state.groups[change.resource_id] = change.etag
            members = state.members.setdefault(change.resource_id, set())
            ids = {*change.user_ids, *change.group_ids}
            if name == "MEMBERS_ADDED":
                assert not members & ids, "somebody became a member who was one"
                members |= ids
            elif name == "MEMBERS_REMOVED":
                assert ids <= members, "somebody left who was no member"
                members -= ids
    state.members = {group: ids for group, ids in state.members.items() if ids}
