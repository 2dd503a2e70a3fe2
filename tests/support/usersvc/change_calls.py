"""Short forms of the calls of the ChangeService, and a model of the state of a consumer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from cloudacademy.users.v1 import changes_pb2
from cloudacademy.users.v1.changes_pb2_grpc import ChangeServiceStub

from tests.support.usersvc.user_calls import ACME

Change = changes_pb2.Change
TIMEOUT_SECONDS = 20.0


def kind(change: Change) -> str:
    """The type of a change without its prefix, such as `USER_CREATED`."""
    return Change.Type.Name(change.type).removeprefix("TYPE_")


@dataclass
class Reader:
    """A stream of changes; `seen` has all changes received so far."""

    call: object
    token: str = ""
    seen: list[Change] = field(default_factory=list)

    async def more(self) -> list[Change]:
        """Read the next message and return its changes."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            message = await self.call.read()
        assert message, "the stream ended"
        self.token = message.token
        self.seen += message.changes
        return list(message.changes)

    async def until(self, count: int) -> list[Change]:
        """Read until at least `count` changes were received, and return all of them."""
        while len(self.seen) < count:
            await self.more()
        return self.seen


@asynccontextmanager
async def watch_changes(
    stub: ChangeServiceStub, token: str = "", organization_id: str | None = ACME
) -> AsyncIterator[Reader]:
    """Follow an organization, or all of them for None: from a token, or from now without one."""
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
class SnapshotState:
    """The content of a snapshot: etags of users and groups, and members of groups, all by id."""

    token: str = ""
    users: dict[str, str] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    members: dict[str, set[str]] = field(default_factory=dict)


async def read_snapshot(
    stub: ChangeServiceStub, organization_id: str | None = ACME
) -> SnapshotState:
    """Read a snapshot of an organization, or of all of them for None; the token comes last."""
    if organization_id is None:
        call = stub.ReadFullSnapshot(changes_pb2.ReadFullSnapshotRequest())
    else:
        call = stub.ReadSnapshot(changes_pb2.ReadSnapshotRequest(organization_id=organization_id))
    found = SnapshotState()
    async for message in call:
        assert not found.token, "a message followed the token"
        found.token = message.token
        found.users |= {user.id: user.etag for user in message.users}
        found.groups |= {group.id: group.etag for group in message.groups}
        for each in message.memberships:
            found.members.setdefault(each.group_id, set()).update(each.user_ids, each.group_ids)
    assert found.token
    return found


def apply(change: Change, state: SnapshotState) -> None:
    """Apply a change to a state, as a consumer of the feed does."""
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
                assert not members & ids, "a member was added twice"
                members |= ids
            elif name == "MEMBERS_REMOVED":
                assert ids <= members, "a removed member was not in the group"
                members -= ids
    state.members = {group: ids for group, ids in state.members.items() if ids}
