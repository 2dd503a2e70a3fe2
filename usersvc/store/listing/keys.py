"""The keys in a filter: values for which an index finds the few resources that can match."""

from dataclasses import dataclass

from usersvc.domain.filters import AllOf, AnyOf, Comparison, ElementMatch, Filter, OneOf, Operator
from usersvc.store.id_lookups import look_up
from usersvc.store.listing.fields import Field, Kind, Repeated, Resource, Scope, split
from usersvc.store.listing.filter_sql import Where, canonical_ids, equals


@dataclass(frozen=True, slots=True)
class Key:
    """An indexed field, and values of which a matching resource has at least one."""

    field: Field | Repeated
    values: tuple[str, ...]


def keys_of(filter_: Filter, scope: Scope) -> list[Key] | None:
    """Keys such that every resource that satisfies the filter matches at least one of them.

    None if no index finds all of these resources.
    """
    match filter_:
        case AllOf(filters):
            found = [keys for each in filters if (keys := keys_of(each, scope)) is not None]
            return min(found, key=_cost, default=None)
        case AnyOf(filters):
            parts = [keys_of(each, scope) for each in filters]
            return None if None in parts else [key for keys in parts for key in keys or ()]
        case ElementMatch(name, inner):
            conditions = inner.filters if isinstance(inner, AllOf) else (inner,)
            values = (each.values for each in map(_equality, conditions) if each.field == "value")
            return _key(scope.repeated.get(name), next(values, ()))
        case _:
            equality = _equality(filter_)
            outer, inner_name = split(equality.field)
            repeated = scope.repeated.get(outer) if inner_name == "value" else None
            return _key(scope.fields.get(equality.field) or repeated, equality.values)


def source(where: Where, filter_: Filter | None, resource: Resource) -> str:
    """The FROM item of a list: the table, or the resources with the keys in the filter.

    The table suffices for one value of a column, because one index serves the condition. From
    several conditions PostgreSQL would read all resources of a large organization.
    """
    keys = keys_of(filter_, resource.scope) if filter_ else None
    if keys is None or _is_one_value(keys):
        return resource.table
    ids = " UNION ALL ".join([_ids(where, key, resource) for key in keys])
    return f"({look_up('*', resource.table, resource.id, f'({ids})')}) AS {resource.table}"


def _equality(filter_: Filter) -> OneOf:
    """A condition as a field and the texts that it may equal; any other condition has no texts."""
    match filter_:
        case OneOf():
            return filter_
        case Comparison(field, Operator.EQUAL, str(value)):
            return OneOf(field, (value,))
        case _:
            return OneOf("", ())


def _key(field: Field | Repeated | None, values: tuple[str, ...]) -> list[Key] | None:
    if not values:
        return None
    match field:
        case Field(is_key=True):
            return [Key(field, values)]
        case Repeated() if field.key:
            return [Key(field, values)]
        case _:
            return None


def _cost(keys: list[Key]) -> tuple[bool, int]:
    """A column needs one lookup, an element two."""
    return (
        any(isinstance(key.field, Repeated) for key in keys),
        sum(len(key.values) for key in keys),
    )


def _is_one_value(keys: list[Key]) -> bool:
    return _cost(keys) == (False, 1)


def _ids(where: Where, key: Key, resource: Resource) -> str:
    """A SELECT of the ids of the resources with a key."""
    field = key.field
    kind = field.kind if isinstance(field, Field) else field.fields["value"].kind
    is_id = kind in (Kind.ID, Kind.REFERENCE)
    values = where.argument(canonical_ids(key.values) if is_id else list(key.values))
    wanted = f"unnest({values}::{'uuid' if is_id else 'text'}[])"
    if isinstance(field, Repeated):
        matches = field.key.format("wanted.value")
    elif is_id:
        return f"SELECT {wanted}"
    else:
        matches = f"""
            SELECT {resource.id}
              FROM {resource.table}
             WHERE organization_id = $1 AND {equals(field, "wanted.value")}
        """  # noqa: S608
    return f"""
        SELECT {resource.id}
          FROM {wanted} AS wanted (value) CROSS JOIN LATERAL ({matches} OFFSET 0) AS matches
    """  # noqa: S608
