"""User rows: statements, arguments and results have the same order of columns."""

from datetime import UTC, datetime
from uuid import UUID

import orjson

from usersvc.store.rows import user as user_rows
from usersvc.store.rows.user import COLUMNS, ProfileRow

METADATA = (
    UUID(int=1),
    UUID(int=2),
    3,
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2026, 2, 1, tzinfo=UTC),
)
MULTI_VALUED = (
    "emails",
    "phone_numbers",
    "ims",
    "photos",
    "entitlements",
    "roles",
    "x509_certificates",
)


def distinct(column: str) -> object:
    """A value that no other column has."""
    if column == "active":
        return True
    if column in MULTI_VALUED:
        return orjson.dumps([{"value": column}]).decode()
    if column == "addresses":
        return orjson.dumps([{"formatted": column}]).decode()
    return None if column == "extensions" else column


def test_every_column_of_a_row_is_read_at_its_position():
    row = ProfileRow(**{column: distinct(column) for column in ProfileRow._fields})

    assert user_rows.columns(user_rows.user((*METADATA, *row)).profile) == row


def test_columns_after_those_of_the_user_are_ignored():
    row = (*METADATA, "ann", *(None for _ in ProfileRow._fields[1:]))

    assert user_rows.user((*row, True, "more")) == user_rows.user(row)


def test_column_names_are_those_of_the_statements():
    assert COLUMNS.split(", ")[-len(ProfileRow._fields) :] == [*ProfileRow._fields]
