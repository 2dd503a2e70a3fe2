"""Conversion of changes and snapshots to messages."""

from collections.abc import Iterator
from typing import Any, Final

from cloudacademy.users.v1 import changes_pb2

from chassis.rpc.timestamps import to_timestamp
from usersvc.background.feed import Batch
from usersvc.domain.changes import Change, ChangeType, position
from usersvc.rpc.convert.listing import fitting
from usersvc.store.changes import Membership

_TYPES: Final[dict[ChangeType, Any]] = {
    each: changes_pb2.Change.Type.Value(f"TYPE_{each.name}") for each in ChangeType
}


def from_batch(batch: Batch) -> Iterator[tuple[list[changes_pb2.Change], str]]:
    """The changes of a batch in groups that fit into one message, each with its token."""
    messages, sent = [from_change(change) for change in batch.changes], 0
    while (count := fitting(messages)) < len(messages):
        sent += count
        yield messages[:count], batch.start.after(*position(batch.changes[sent - 1])).token()
        messages = messages[count:]
    yield messages, batch.end.token()


def from_change(change: Change) -> changes_pb2.Change:
    """A change as a message."""
    return changes_pb2.Change(
        number=change.number,
        organization_id=str(change.organization_id),
        type=_TYPES[change.type],
        resource_id=str(change.resource_id),
        etag="" if change.version is None else str(change.version),
        fields=change.fields,
        active=change.active,
        user_ids=map(str, change.user_ids),
        group_ids=map(str, change.group_ids),
        change_time=to_timestamp(change.create_time),
        request_id=change.request_id,
    )


def from_membership(membership: Membership) -> changes_pb2.Memberships:
    """Members of a group as a message."""
    return changes_pb2.Memberships(
        organization_id=str(membership.organization_id),
        group_id=str(membership.group_id),
        user_ids=map(str, membership.user_ids),
        group_ids=map(str, membership.group_ids),
    )
