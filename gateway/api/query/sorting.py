"""sortBy and sortOrder (RFC 7644 section 3.4.2.3) as `order_by` of the protos."""

from typing import Final

from gateway.convert.extension import is_custom
from gateway.convert.user import field_name
from gateway.scim.errors import describe, invalid_value
from gateway.scim.filter import And, Compare, Filter, Operator
from gateway.scim.schema import AttributePath, ResourceType, Type, value_path

NEWEST_FIRST: Final = "id desc"
"""The default order: the first page has the resources that were provisioned last."""
LATEST_FIRST: Final = "update_time desc"
"""The default order of a list filtered by lastModified."""

_RANGE_OPERATORS: Final = {Operator.GT, Operator.GE, Operator.LT, Operator.LE}
_UNSORTABLE: Final = {"groups", "members", "schemas"}


def order_by(resource_type: ResourceType, sort_by: str | None, sort_order: str | None) -> str:
    """The order of a list.

    Refuses (invalidValue) an attribute that does not exist or cannot be sorted by, and a sort order
    other than ascending and descending.
    """
    direction = (sort_order or "ascending").lower()
    if direction not in ("ascending", "descending"):
        raise invalid_value("sortOrder must be ascending or descending.")
    if not sort_by:
        return NEWEST_FIRST
    path = resource_type.find(sort_by)
    # "If the attribute is complex, the attribute name must be a path to a sub-attribute".
    # A multi-valued attribute is sorted by its primary value, or else by its first.
    path = value_path(path) if path is not None else None
    field = None
    if path is not None and path.target.type is not Type.COMPLEX and _is_sortable(path):
        field = field_name(path)
    if field is None:
        raise invalid_value(
            f"Lists cannot be sorted by {describe(sort_by)}. Choose another attribute for sortBy."
        )
    return field if direction == "ascending" else f"{field} desc"


def default_order(meaning: Filter | bool) -> str:
    """The order of a list without sortBy; it depends on the filter."""
    return LATEST_FIRST if _is_time_range(meaning) else NEWEST_FIRST


def _is_time_range(meaning: Filter | bool) -> bool:
    match meaning:
        case And(operands):
            return any(_is_time_range(operand) for operand in operands)
        case Compare(path, operator, _):
            return path.text == "meta.lastModified" and operator in _RANGE_OPERATORS
        case _:
            return False


def _is_sortable(path: AttributePath) -> bool:
    """Whether an attribute has an order; multi-valued custom attributes have no primary value."""
    if path.attribute.name in _UNSORTABLE:
        return False
    return not (is_custom(path) and path.attribute.multi_valued)
