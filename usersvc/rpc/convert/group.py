"""Conversion between messages and domain values of groups."""

import asyncio
from collections.abc import Sequence
from typing import Final

from cloudacademy.users.v1 import groups_pb2

from chassis.errors import Refusal
from chassis.rpc.timestamps import to_timestamp
from chassis.rpc.uuids import is_uuid
from usersvc.domain import groups
from usersvc.domain.errors import MEMBER_NOT_FOUND
from usersvc.domain.groups import Group, GroupProfile, Member, MemberChange, MemberKind, MemberView
from usersvc.rpc.convert.listing import not_negative

MAX_RETURNED_MEMBERS: Final = 100
"""The maximum number of members that a write returns."""
CHUNK_SIZE: Final = 2_000
"""The number of ids that are parsed before other tasks may run. Parsing takes about 2 ms."""

_KINDS: Final = {
    MemberKind.USER: groups_pb2.Member.KIND_USER,
    MemberKind.GROUP: groups_pb2.Member.KIND_GROUP,
    MemberKind.UNKNOWN: groups_pb2.Member.KIND_UNKNOWN,
}


def to_profile(group: groups_pb2.Group) -> GroupProfile:
    """The profile in a message, without the output-only fields."""
    return GroupProfile(group.display_name, group.external_id)


def from_group(group: Group) -> groups_pb2.Group:
    """A group as a message."""
    return groups_pb2.Group(
        id=str(group.group_id),
        organization_id=str(group.organization_id),
        etag=group.etag,
        create_time=to_timestamp(group.create_time),
        update_time=to_timestamp(group.update_time),
        display_name=group.profile.display_name,
        external_id=group.profile.external_id,
    )


def from_member(member: Member) -> groups_pb2.Member:
    """A member as a message."""
    return groups_pb2.Member(
        id=member.member_id, kind=_KINDS[member.kind], display_name=member.display_name
    )


def to_view(
    request: groups_pb2.CreateGroupRequest | groups_pb2.UpdateGroupRequest,
) -> MemberView | None:
    """The members that a write returns. Refuses InvalidField."""
    if not request.HasField("member_view"):
        return None
    size = not_negative("member_view.max_members", request.member_view.max_members)
    return MemberView(
        min(size, MAX_RETURNED_MEMBERS), named=not request.member_view.omit_display_names
    )


def from_members(members: Sequence[Member] | None) -> groups_pb2.MemberList | None:
    """The members that a write returns as a message."""
    if members is None:
        return None
    return groups_pb2.MemberList(members=[from_member(member) for member in members])


async def to_change(change: groups_pb2.MemberChange) -> MemberChange:
    """A change of members. Refuses InvalidField and MEMBER_NOT_FOUND."""
    groups.check_count("members.remove_member_ids", len(change.remove_member_ids))
    remove, remove_texts = await _split_uuids(change.remove_member_ids)
    add, add_texts = await _to_add(
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


async def to_first_members(request: groups_pb2.CreateGroupRequest) -> MemberChange:
    """The members of a new group. Refuses InvalidField and MEMBER_NOT_FOUND."""
    keep_unknown = request.keep_unknown_members
    add, add_texts = await _to_add("member_ids", request.member_ids, keep_unknown=keep_unknown)
    return MemberChange(add=add, keep_unknown=keep_unknown, add_texts=add_texts)


async def _to_add(
    field: str, ids: Sequence[str], *, keep_unknown: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    groups.check_count(field, len(ids))
    add, add_texts = await _split_uuids(ids)
    if add_texts and not keep_unknown:
        raise Refusal(MEMBER_NOT_FOUND, add_texts[0])
    return add, add_texts


async def _split_uuids(ids: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split ids into UUIDs, in lower case, and other texts, which cannot be ids of resources.

    A request may contain 100,000 ids, so other tasks may run after each CHUNK_SIZE.
    """
    uuids: list[str] = []
    texts: list[str] = []
    for start in range(0, len(ids), CHUNK_SIZE):
        if start:
            await asyncio.sleep(0)
        for text in ids[start : start + CHUNK_SIZE]:
            if is_uuid(text):
                uuids.append(text.lower())
            else:
                texts.append(text)
    return tuple(uuids), tuple(texts)
