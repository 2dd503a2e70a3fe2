"""sortBy and sortOrder (RFC 7644 section 3.4.2.3) as the contract's `order_by`."""

from typing import Final

from gateway.convert.extension import is_own
from gateway.convert.user import field_name
from gateway.scim.errors import invalid_value, shown
from gateway.scim.filter import And, Compare, Filter, Operator
from gateway.scim.schema import AttributePath, ResourceType, Type, value_path

NEWEST_FIRST: Final = "id desc"
"""The order of a list that nobody asked to sort: what was just provisioned is on its first page."""
LATEST_FIRST: Final = "update_time desc"
"""The order of a list of what changed in a time: an index holds both, the order and the time."""

_RANGES: Final = {Operator.GT, Operator.GE, Operator.LT, Operator.LE}
_NO_ORDER: Final = {"groups", "members", "schemas"}


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
    # "If the attribute is complex, the attribute name must be a path to a
    # sub-attribute"; of several values it is the primary's or else the first's.
    path = value_path(path) if path is not None else None
    field = None
    if path is not None and path.target.type is not Type.COMPLEX and _has_order(path):
        field = field_name(path)
    if field is None:
        raise invalid_value(f"sortBy names no attribute that has an order: {shown(sort_by)}.")
    return field if direction == "ascending" else f"{field} desc"


def usual_order(meaning: Filter | bool) -> str:
    """The order of a list that nobody asked to sort, by what it is filtered for."""
    return LATEST_FIRST if _asks_for_a_time(meaning) else NEWEST_FIRST


def _asks_for_a_time(meaning: Filter | bool) -> bool:
    match meaning:
        case And(operands):
            return any(_asks_for_a_time(operand) for operand in operands)
        case Compare(path, operator, _):
            return path.text == "meta.lastModified" and operator in _RANGES
        case _:
            return False


def _has_order(path: AttributePath) -> bool:
    """Of several values that an organization added none is the one to sort by."""
    if path.attribute.name in _NO_ORDER:
        return False
    return not (is_own(path) and path.attribute.multi_valued)
