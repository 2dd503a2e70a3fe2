"""Searches for a part of a name, by an index over the trigrams of all names of a resource.

The index finds every resource with such a name, and perhaps others. It only selects candidates: the
statement of the list then applies the whole filter to them.
"""

from collections.abc import Iterable
from typing import Final

from usersvc.domain.case_folding import fold
from usersvc.domain.filters import AllOf, AnyOf, Comparison, Filter, Operator, Query
from usersvc.store.listing.fields import Resource, Scope
from usersvc.store.listing.filter_sql import Where
from usersvc.store.listing.trigrams import has_trigram

WINDOW_ROWS: Final = 2_000
"""A search by id reads this many resources first. A frequent text fills the page from them."""
MAX_CANDIDATES: Final = 1_000
"""If the index finds more resources, a scan in the order of the list fills the page sooner."""
_MAX_TEXTS: Final = 4
_NAME_START: Final = "\n"
"""Precedes each name in the indexed text."""
_NONE: Final[frozenset[str]] = frozenset()


def texts_of(filter_: Filter | None, scope: Scope) -> frozenset[str]:
    """The texts to search for: each resource that satisfies the filter has one in its names.

    Empty if the index does not find all of these resources, or if another index serves a search for
    the beginning of a name.
    """
    if filter_ is None or _has_indexed_prefix(filter_, scope):
        return _NONE
    found = _texts(filter_, scope)
    return found if len(found) <= _MAX_TEXTS else _NONE


def window_end_statement(where: Where, query: Query, resource: Resource) -> str:
    """The id after the first WINDOW_ROWS resources of a page; no row if there are fewer."""
    after = query.after
    side, direction = ("<", " DESC") if query.order.descending else (">", "")
    later = f" AND {resource.id} {side} {where.argument(after.id)}" if after is not None else ""
    return f"""
        SELECT {resource.id} AS id
          FROM {resource.table}
         WHERE organization_id = $1{later}
         ORDER BY {resource.id}{direction}
        OFFSET {WINDOW_ROWS} LIMIT 1
    """  # noqa: S608


def candidates_statement(where: Where, texts: Iterable[str], resource: Resource) -> str:
    """The ids of the resources that the index finds, at most MAX_CANDIDATES + 1."""
    patterns = [
        f"{resource.names} LIKE part_pattern({where.argument(text)}::text)"
        for text in sorted(texts)
    ]
    return f"""
        SELECT {resource.id} AS id
          FROM {resource.table}
         WHERE ARRAY[organization_id] @> ARRAY[$1::uuid] AND ({" OR ".join(patterns)})
         LIMIT {MAX_CANDIDATES + 1}
    """  # noqa: S608


def _has_indexed_prefix(filter_: Filter, scope: Scope) -> bool:
    match filter_:
        case AllOf(filters):
            return any(_has_indexed_prefix(each, scope) for each in filters)
        case Comparison(name, Operator.STARTS_WITH):
            return name in scope.fields and scope.fields[name].prefix_index
        case _:
            return False


def _texts(filter_: Filter, scope: Scope) -> frozenset[str]:
    match filter_:
        case AllOf(filters):
            return max([_texts(each, scope) for each in filters], key=_shortest, default=_NONE)
        case AnyOf(filters):
            parts = [_texts(each, scope) for each in filters]
            return frozenset().union(*parts) if all(parts) else _NONE
        case Comparison(name, operator, str(value)) if _is_indexed(name, scope):
            text = _indexed_text(operator, value)
            return frozenset((text,)) if has_trigram(fold(text)) else _NONE
        case _:
            return _NONE


def _is_indexed(name: str, scope: Scope) -> bool:
    field = scope.fields.get(name)
    return field is not None and field.in_names


def _indexed_text(operator: Operator, value: str) -> str:
    """The text that the names of a matching resource contain; empty if that is not known."""
    match operator:
        case Operator.CONTAINS | Operator.ENDS_WITH:
            return value
        case Operator.STARTS_WITH:
            return _NAME_START + value
        case _:
            return ""


def _shortest(texts: frozenset[str]) -> int:
    """The length of the shortest text. Fewer names contain a longer text."""
    return min(map(len, texts), default=0)
