"""Messages of groups ↔ domain values."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from cloudacademy.users.v1 import groups_pb2

from usersvc import groups, wire
from usersvc.errors import InvalidField, MemberNotFound
from usersvc.groups import Group, GroupProfile, Member, MemberChange, MemberKind

_KINDS: Final = {
    MemberKind.USER: groups_pb2.Member.KIND_USER,
    MemberKind.GROUP: groups_pb2.Member.KIND_GROUP,
}


def to_profile(group: groups_pb2.Group) -> GroupProfile:
    """What a message says of a group, but for what callers cannot decide."""
    return GroupProfile(group.display_name, group.external_id)


def from_group(group: Group) -> groups_pb2.Group:
    """A group as a message."""
    return groups_pb2.Group(
        id=str(group.group_id),
        organization_id=str(group.organization_id),
        etag=group.etag,
        create_time=wire.from_time(group.create_time),
        update_time=wire.from_time(group.update_time),
        display_name=group.profile.display_name,
        external_id=group.profile.external_id,
    )


def from_member(member: Member) -> groups_pb2.Member:
    """A member as a message."""
    return groups_pb2.Member(
        id=str(member.member_id), kind=_KINDS[member.kind], display_name=member.display_name
    )


def to_change(change: groups_pb2.MemberChange) -> MemberChange:
    """A change of members. Refuses InvalidField and MemberNotFound."""
    groups.check_count("members.remove_member_ids", len(change.remove_member_ids))
    return MemberChange(
        clear=change.clear,
        remove=tuple(map(UUID, filter(_is_uuid, change.remove_member_ids))),
        add=to_members("members.add_member_ids", change.add_member_ids),
    )


def to_members(field: str, ids: Sequence[str]) -> tuple[UUID, ...]:
    """Ids of users and groups that shall become members.

    Refuses too many (InvalidField), and what can be nobody's id (MemberNotFound).
    """
    groups.check_count(field, len(ids))
    for member_id in ids:
        if not _is_uuid(member_id):
            raise MemberNotFound(member_id)
    return tuple(map(UUID, ids))


def _is_uuid(text: str) -> bool:
    try:
        wire.to_uuid("", text)
    except InvalidField:
        return False
    return True
