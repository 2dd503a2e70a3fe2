"""Conversion between groups and their rows."""

from typing import Any

from usersvc.domain.groups import Group, GroupProfile

Row = Any  # asyncpg is untyped


def group(row: Row) -> Group:
    """The group in a row of `COLUMNS`."""
    return Group(
        organization_id=row["organization_id"],
        group_id=row["group_id"],
        version=row["version"],
        create_time=row["create_time"],
        update_time=row["update_time"],
        profile=GroupProfile(row["display_name"], row["external_id"] or ""),
        unknown=tuple(row["unknown_members"]),
    )
