"""The fields that a filter or an order may name, and their SQL expressions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto


class Kind(Enum):
    """The type of a field, which decides how it is compared."""

    TEXT = auto()
    """Text that is compared without regard to case."""
    EXACT_TEXT = auto()
    """Text that is compared with regard to case."""
    BOOLEAN = auto()
    INTEGER = auto()
    DECIMAL = auto()
    TIME = auto()
    ID = auto()
    REFERENCE = auto()
    """The id of another resource. It can be compared for equality only."""


@dataclass(frozen=True, slots=True)
class Field:
    """A single-valued field: an SQL expression that is NULL if the field is unassigned.

    The expression is a column or, inside a repeated field, a part of `element`.
    """

    sql: str
    kind: Kind
    nullable: bool = True
    prefix_index: bool = False
    """Whether an index supports a search by prefix."""
    is_key: bool = False
    """Whether few resources share a value, and an index finds them."""
    has_hash_index: bool = False
    """Whether that index is on `text_hash`, because the text may be too long for a plain index."""
    in_order: bool = False
    """Whether an index returns all resources in the order of the field."""
    in_names: bool = False
    """Whether the text is among the names that `Resource.names` indexes."""
    false_if_unassigned: bool = False
    """Whether comparisons treat an unassigned boolean as false."""

    @property
    def compared(self) -> str:
        """The expression for comparing and sorting."""
        return f"fold({self.sql})" if self.kind is Kind.TEXT else self.sql


def split(name: str) -> tuple[str, str]:
    """Split a name into field and sub-attribute. Dots inside a URN do not separate them."""
    urn, colon, path = name.rpartition(":")
    outer, _, inner = path.partition(".")
    return urn + colon + outer, inner


def columns(prefix: str, kind: Kind, *names: str) -> dict[str, Field]:
    """Fields that have the same names as their columns, with a prefix."""
    return {prefix + name: Field(name, kind) for name in names}


@dataclass(frozen=True, slots=True)
class Repeated:
    """A repeated field, whose elements SQL reads as rows named `element`."""

    fields: Mapping[str, Field]
    rows: str
    """The FROM item that yields the elements."""
    present: str
    """The condition that the field has an element."""
    condition: str = ""
    """The join condition that selects the resource's own elements, if `rows` does not."""
    key: str = ""
    """A SELECT of the ids of the resources with the `value` `{}`, which an index serves."""
    first: str = ""
    """The element to sort by; empty if the field cannot be sorted by."""

    def exists(self, condition: str) -> str:
        """The condition that at least one element satisfies `condition`."""
        conditions = f"{self.condition} AND {condition}" if self.condition else condition
        return f"EXISTS (SELECT FROM {self.rows} WHERE {conditions})"


def json_elements(column: str, fields: Mapping[str, Field], key: str = "") -> Repeated:
    """A repeated field whose elements are objects in a JSON column."""
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
    """The columns of each complex field. It has a value if one of its columns has."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of resource that can be listed: its table, columns and fields."""

    table: str
    id: str
    columns: str
    scope: Scope
    names: str = ""
    """The expression of all names as one text, which a trigram index serves; empty if none does."""

    def order_field(self, name: str) -> Field | None:
        """The field to sort by; None if the name is unknown.

        A repeated field is sorted by its primary element, or else by the first one.
        """
        if name in self.scope.fields:
            return self.scope.fields[name]
        outer, inner = split(name)
        repeated = self.scope.repeated.get(outer)
        found = repeated.fields.get(inner or "value") if repeated else None
        if repeated is None or found is None or not repeated.first:
            return None
        return Field(found.sql.replace("element", repeated.first), found.kind)
