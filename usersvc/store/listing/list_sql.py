"""The statements of lists. Only this module, keys and filter_sql compose SQL text at run time."""

from uuid import UUID

from chassis.errors import Refusal
from usersvc.domain.errors import UNKNOWN_FIELD
from usersvc.domain.filters import Filter, Order, Position, Query, merge_equal
from usersvc.store.listing.fields import Field, Kind, Resource
from usersvc.store.listing.filter_sql import Where
from usersvc.store.listing.keys import source


def page_statement(where: Where, query: Query, resource: Resource, end: UUID | None = None) -> str:
    """The statement for a page. It reads one extra row, which shows that there is another page.

    The page of an order by id ends before the id `end`, if given.
    """
    filter_ = merge_equal(query.filter) if query.filter else None
    rows = source(where, filter_, resource)
    conditions = _conditions(where, filter_, resource)
    if query.after is not None:
        conditions += f" AND {_after(where, query.order, query.after, resource)}"
    if end is not None:
        side = ">" if query.order.descending else "<"
        conditions += f" AND {resource.id} {side} {where.argument(end)}"
    return f"""
        SELECT {resource.columns}, {order_field(query.order, resource).compared} AS order_key
          FROM {rows}
         WHERE {conditions}
         ORDER BY {_order_by(query.order, resource)}
         LIMIT {where.argument(query.size + 1)} OFFSET {where.argument(query.skip)}
    """  # noqa: S608


def count_statement(where: Where, filter_: Filter | None, resource: Resource) -> str:
    """The statement that counts the resources that satisfy a filter."""
    filter_ = merge_equal(filter_) if filter_ else None
    rows = source(where, filter_, resource)
    return f"SELECT count(*) FROM {rows} WHERE {_conditions(where, filter_, resource)}"  # noqa: S608


def order_field(order: Order, resource: Resource) -> Field:
    """The field that an order sorts by. Refuses UNKNOWN_FIELD."""
    field = resource.order_field(order.field)
    if field is None:
        raise Refusal(UNKNOWN_FIELD, order.field, "an order", "order_by")
    return field


def _conditions(where: Where, filter_: Filter | None, resource: Resource) -> str:
    if filter_ is None:
        return "organization_id = $1"
    return f"organization_id = $1 AND {where.condition(filter_, resource.scope)}"


def _after(where: Where, order: Order, position: Position, resource: Resource) -> str:
    """The condition for the resources after a position in an order.

    Resources without the field come last; in descending order, they come first.
    """
    field = order_field(order, resource)
    side = "<" if order.descending else ">"
    last = where.argument(position.id)
    if order.field == "id":
        return f"{resource.id} {side} {last}"
    if position.key is None:
        condition = f"{field.compared} IS NULL AND {resource.id} {side} {last}"
        return (
            f"({condition} OR {field.compared} IS NOT NULL)"
            if order.descending
            else f"({condition})"
        )
    key = where.argument(position.key) + ('::text COLLATE "C"' if _is_text(field) else "")
    condition = f"({field.compared}, {resource.id}) {side} ({key}, {last})"
    if order.descending or not field.nullable:
        return condition
    return f"({condition} OR {field.compared} IS NULL)"


def _order_by(order: Order, resource: Resource) -> str:
    """The list after ORDER BY.

    Resources without the field come last; in descending order, they come first. This is the
    default of PostgreSQL and of its indexes.
    """
    direction = " DESC" if order.descending else ""
    if order.field == "id":
        return f"{resource.id}{direction}"
    field = order_field(order, resource)
    collation = ' COLLATE "C"' if _is_text(field) else ""
    return f"{field.compared}{collation}{direction}, {resource.id}{direction}"


def _is_text(field: Field) -> bool:
    return field.kind in (Kind.TEXT, Kind.EXACT_TEXT)
