"""The fields that a filter or an order may name, and their SQL expressions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto


class Kind(Enum):
    """The type of a field, which decides how it is compared."""

    TEXT = auto()
    """Without regard to case."""
    EXACT_TEXT = auto()
    BOOLEAN = auto()
    INTEGER = auto()
    DECIMAL = auto()
    TIME = auto()
    ID = auto()
    REFERENCE = auto()
    """The id of another resource. It has equality, but no order."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field with one value: an SQL expression that is NULL when it is not assigned.

    The expression is a column, or what `element` holds inside a repeated field.
    """

    sql: str
    kind: Kind
    nullable: bool = True
    prefix_index: bool = False
    """Whether an index finds the texts that begin with a prefix."""
    is_key: bool = False
    """Whether few resources have one value, and an index finds them."""
    has_hash_index: bool = False
    """Whether that index is one of `text_hash`, since a text may be too long for any other."""
    in_order: bool = False
    """Whether an index leads through all resources in its order."""

    @property
    def compared(self) -> str:
        """The expression as it is compared and sorted."""
        return f"fold({self.sql})" if self.kind is Kind.TEXT else self.sql


def split(name: str) -> tuple[str, str]:
    """The field and the part of its elements that a name means; a URN may hold dots itself."""
    urn, colon, path = name.rpartition(":")
    outer, _, inner = path.partition(".")
    return urn + colon + outer, inner


def columns(prefix: str, kind: Kind, *names: str) -> dict[str, Field]:
    """Fields whose columns have their own names."""
    return {prefix + name: Field(name, kind) for name in names}


@dataclass(frozen=True, slots=True)
class Repeated:
    """A field with elements, which SQL goes through as rows named `element`."""

    fields: Mapping[str, Field]
    rows: str
    """The FROM item that yields the elements."""
    present: str
    """The condition that there is an element."""
    condition: str = ""
    """The join condition to the resource's own elements, if `rows` does not limit to them."""
    key: str = ""
    """A condition that an index serves, for a `value` that equals `{}`."""
    first: str = ""
    """The element to sort by; empty when there is no sorting by elements."""

    def exists(self, condition: str) -> str:
        """The condition that an element satisfies another."""
        conditions = f"{self.condition} AND {condition}" if self.condition else condition
        return f"EXISTS (SELECT FROM {self.rows} WHERE {conditions})"


def json_elements(column: str, fields: Mapping[str, Field], key: str = "") -> Repeated:
    """A repeated field whose elements are objects in a column."""
    primary = f"jsonb_path_query_first({column}, '$[*] ? (@.primary == true)')"
    return Repeated(
        fields,
        rows=f"jsonb_array_elements({column}) AS element",
        present=f"{column} IS NOT NULL",
        key=key,
        first=f"coalesce({primary}, {column} -> 0)",
    )


@dataclass(frozen=True, slots=True)
class Scope:
    """The names that a condition may use: those of a resource, or of an element."""

    fields: Mapping[str, Field]
    repeated: Mapping[str, Repeated] = field(default_factory=dict)
    composite: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Fields that have a value when one of these columns has."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of resource that can be listed: its table, columns and fields."""

    table: str
    id: str
    columns: str
    scope: Scope

    def order_field(self, name: str) -> Field | None:
        """What a list is sorted by: of a repeated field the primary element, or else the first."""
        if name in self.scope.fields:
            return self.scope.fields[name]
        outer, inner = split(name)
        repeated = self.scope.repeated.get(outer)
        found = repeated.fields.get(inner or "value") if repeated else None
        if repeated is None or found is None or not repeated.first:
            return None
        return Field(found.sql.replace("element", repeated.first), found.kind)
