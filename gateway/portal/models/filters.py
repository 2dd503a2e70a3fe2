"""Filters for the search fields of the people and groups pages."""

from collections.abc import Iterable
from typing import Final

from cloudacademy.users.v1 import filter_pb2 as pb

USER_SEARCH_FIELDS: Final = ("user_name", "display_name", "name.given_name", "name.family_name")
GROUP_SEARCH_FIELDS: Final = ("display_name",)


MIN_SUBSTRING: Final = 3
"""A shorter text is searched for at the beginning of each field only."""


def matches_text(fields: Iterable[str], text: str) -> pb.Filter:
    """A filter that matches if any of the fields contains the text, or begins with a short text."""
    operator = pb.OPERATOR_CONTAINS if len(text) >= MIN_SUBSTRING else pb.OPERATOR_STARTS_WITH
    return pb.Filter(
        any_of=pb.AnyOf(filters=[_comparison(field, operator, text) for field in fields])
    )


def id_in(ids: Iterable[str]) -> pb.Filter:
    """A filter that matches these ids."""
    return pb.Filter(
        any_of=pb.AnyOf(filters=[_comparison("id", pb.OPERATOR_EQUAL, each) for each in ids])
    )


def is_active(active: bool) -> pb.Filter:
    """A filter that matches active people, or all others."""
    operator = pb.OPERATOR_EQUAL if active else pb.OPERATOR_NOT_EQUAL
    return pb.Filter(comparison=pb.Comparison(field="active", operator=operator, boolean=True))


def all_of(filters: list[pb.Filter]) -> pb.Filter | None:
    """A filter that matches if all of these match; None if there are none."""
    if len(filters) < 2:
        return filters[0] if filters else None
    return pb.Filter(all_of=pb.AllOf(filters=filters))


def _comparison(field: str, operator: pb.Operator, text: str) -> pb.Filter:
    return pb.Filter(comparison=pb.Comparison(field=field, operator=operator, text=text))
