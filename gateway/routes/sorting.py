"""sortBy and sortOrder (RFC 7644 section 3.4.2.3) as the contract's `order_by`."""

from typing import Final

from gateway.scim.errors import invalid_value, shown
from gateway.scim.schema import AttributePath, ResourceType, Type
from gateway.wire import field_name
from gateway.wire_extension import is_own

NEWEST_FIRST: Final = "id desc"
"""The order of a list that nobody asked to sort: what was just provisioned is on its first page."""


def order_by(resource_type: ResourceType, sort_by: str | None, sort_order: str | None) -> str:
    """The order of a list.

    Refuses (invalidValue) an attribute that does not exist or has no order,
    and an order that is neither ascending nor descending.
    """
    direction = (sort_order or "ascending").lower()
    if direction not in ("ascending", "descending"):
        raise invalid_value("sortOrder is ascending or descending.")
    if not sort_by:
        return NEWEST_FIRST
    path = resource_type.find(sort_by)
    field = None
    if path is not None and path.target.type is not Type.COMPLEX and _has_order(path):
        field = field_name(path)
    if field is None:
        raise invalid_value(f"sortBy names no attribute that has an order: {shown(sort_by)}.")
    return field if direction == "ascending" else f"{field} desc"


def _has_order(path: AttributePath) -> bool:
    """Of several values that an organization added none is the one to sort by."""
    return not (is_own(path) and path.attribute.multi_valued)
