"""The `path` of a PATCH operation (RFC 7644 section 3.5.2, figure 7).

path = attribute ["." sub-attribute]  /  attribute "[" filter "]" ["." sub-attribute]
"""

from dataclasses import dataclass
from typing import Final

from gateway.scim import filter as filters
from gateway.scim.errors import describe, invalid_path
from gateway.scim.filter import Filter
from gateway.scim.schema import AttributePath, ResourceType

MAX_LENGTH: Final = filters.MAX_LENGTH


@dataclass(frozen=True, slots=True)
class Path:
    """The target of an operation; with a filter, only the elements that satisfy it."""

    target: AttributePath
    filter: Filter | None = None


def parse(resource_type: ResourceType, text: str) -> Path:
    """Parse the path of a PATCH operation.

    Refuses an unknown attribute and a malformed path, before or after the brackets (invalidPath),
    and an error within the brackets (invalidFilter; RFC 7644 table 9 lists it for PATCH).
    """
    target = resource_type.find(text)
    if target is not None:
        return Path(target)
    name, bracket, _ = text.partition("[")
    if not bracket or resource_type.find(name.strip()) is None:
        raise invalid_path(
            f"The path {describe(text)} names no attribute of {resource_type.name};"
            " see /Schemas for the names, or remove this attribute from the mapping."
        )
    value_path = filters.parse_value_path(resource_type, text)
    return Path(value_path.target, value_path.filter)
