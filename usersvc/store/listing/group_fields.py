"""The fields of groups that a filter or an order may name."""

from types import MappingProxyType
from typing import Final

from usersvc.store.listing.fields import Field, Kind, Repeated, Resource, Scope

COLUMNS: Final = (
    "organization_id, group_id, version, create_time, update_time, display_name, external_id,"
    " unknown_members"
)

_FIELDS: Final = MappingProxyType(
    {
        "id": Field("group_id", Kind.ID, nullable=False, is_key=True, in_order=True),
        "create_time": Field("create_time", Kind.TIME, nullable=False),
        "update_time": Field("update_time", Kind.TIME, nullable=False),
        "display_name": Field(
            "display_name",
            Kind.TEXT,
            nullable=False,
            prefix_index=True,
            is_key=True,
            in_order=True,
        ),
        "external_id": Field("external_id", Kind.EXACT_TEXT, is_key=True),
    }
)

_OF_THIS_GROUP: Final = "element.organization_id = $1 AND element.group_id = groups.group_id"

_MEMBERS: Final = Repeated(
    MappingProxyType(
        {
            "value": Field("element.member_id", Kind.REFERENCE, nullable=False),
            "kind": Field("element.kind", Kind.TEXT, nullable=False),
        }
    ),
    rows="group_members AS element",
    present=f"EXISTS (SELECT FROM group_members AS element WHERE {_OF_THIS_GROUP})",
    condition=_OF_THIS_GROUP,
    # Few groups contain the same member, even if the groups are large.
    key="SELECT group_id FROM group_members WHERE organization_id = $1 AND member_id = {}",
)

GROUPS: Final = Resource(
    "groups", "group_id", COLUMNS, Scope(_FIELDS, MappingProxyType({"members": _MEMBERS}))
)
