"""Converts SCIM groups to protobuf messages and back.

Members are not part of the message of a group: they are written as sets of ids, read in pages.
"""

from collections.abc import Iterable
from typing import Any, Final

from cloudacademy.users.v1 import groups_pb2 as pb

from gateway.convert.user import Resource, etag_header, timestamp_text
from gateway.scim.schema import GROUP

GROUP_FIELDS: Final = ("display_name", "external_id")
"""Every field of a group that a client may write, except the members."""

_KINDS: Final = {pb.Member.KIND_USER: ("User", "Users"), pb.Member.KIND_GROUP: ("Group", "Groups")}


def to_group(resource: Resource) -> pb.Group:
    """Convert a canonical SCIM Group to a message without its members."""
    return pb.Group(
        display_name=resource.get("displayName", ""), external_id=resource.get("externalId", "")
    )


def member_ids(resource: Resource) -> list[str]:
    """The ids of a canonical SCIM Group's members."""
    return [member["value"] for member in resource.get("members", ()) if "value" in member]


def from_group(group: pb.Group, members: Iterable[pb.Member], base_url: str) -> Resource:
    """Convert a message to a canonical SCIM Group; without members it has no `members`."""
    resource: dict[str, Any] = {
        "schemas": [GROUP.schema.urn],
        "id": group.id,
        "displayName": group.display_name,
    }
    if group.external_id:
        resource["externalId"] = group.external_id
    listed = from_members(members, base_url)
    if listed:
        resource["members"] = listed
    resource["meta"] = {
        "resourceType": "Group",
        "created": timestamp_text(group.create_time),
        "lastModified": timestamp_text(group.update_time),
        "version": etag_header(group.etag),
        "location": f"{base_url}/Groups/{group.id}",
    }
    return resource


def from_members(members: Iterable[pb.Member], base_url: str) -> list[Resource]:
    """Convert messages to canonical members of a SCIM Group."""
    return [_member(member, base_url) for member in members]


def _member(member: pb.Member, base_url: str) -> Resource:
    if member.kind == pb.Member.KIND_UNKNOWN:
        return {"value": member.id}
    kind, endpoint = _KINDS[member.kind]
    return {
        "value": member.id,
        "$ref": f"{base_url}/{endpoint}/{member.id}",
        "type": kind,
        "display": member.display_name,
    }
