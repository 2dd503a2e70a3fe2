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
    MemberKind.UNKNOWN: groups_pb2.Member.KIND_UNKNOWN,
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
        id=member.member_id, kind=_KINDS[member.kind], display_name=member.display_name
    )


def to_change(change: groups_pb2.MemberChange) -> MemberChange:
    """A change of members. Refuses InvalidField and MemberNotFound."""
    groups.check_count("members.remove_member_ids", len(change.remove_member_ids))
    remove, remove_texts = _told_apart(change.remove_member_ids)
    add, add_texts = _to_add(
        "members.add_member_ids", change.add_member_ids, keep_unknown=change.keep_unknown
    )
    return MemberChange(
        clear=change.clear,
        remove=remove,
        add=add,
        keep_unknown=change.keep_unknown,
        remove_texts=remove_texts,
        add_texts=add_texts,
    )


def to_first_members(request: groups_pb2.CreateGroupRequest) -> MemberChange:
    """The members of a new group. Refuses InvalidField and MemberNotFound."""
    keep_unknown = request.keep_unknown_members
    add, add_texts = _to_add("member_ids", request.member_ids, keep_unknown=keep_unknown)
    return MemberChange(add=add, keep_unknown=keep_unknown, add_texts=add_texts)


def _to_add(
    field: str, ids: Sequence[str], *, keep_unknown: bool
) -> tuple[tuple[UUID, ...], tuple[str, ...]]:
    groups.check_count(field, len(ids))
    add, add_texts = _told_apart(ids)
    if add_texts and not keep_unknown:
        raise MemberNotFound(add_texts[0])
    return add, add_texts


def _told_apart(ids: Sequence[str]) -> tuple[tuple[UUID, ...], tuple[str, ...]]:
    """Ids that somebody may have, and texts that are nobody's id."""
    uuids = tuple(UUID(text) for text in ids if _is_uuid(text))
    return uuids, tuple(text for text in ids if not _is_uuid(text))


def _is_uuid(text: str) -> bool:
    try:
        wire.to_uuid("", text)
    except InvalidField:
        return False
    return True
