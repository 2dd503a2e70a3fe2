"""The fields that a filter or an order may name, and where the database has them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType
from typing import Final


class Kind(Enum):
    """What a field holds and how it is compared."""

    TEXT = auto()
    """Without regard to case."""
    EXACT_TEXT = auto()
    BOOLEAN = auto()
    TIME = auto()
    ID = auto()


@dataclass(frozen=True, slots=True)
class Field:
    """A field with one value: an SQL expression that is NULL when it is not assigned.

    The expression is a column, or what `element` holds inside a repeated field.
    """

    sql: str
    kind: Kind
    nullable: bool = True

    @property
    def compared(self) -> str:
        """The expression as it is compared and sorted."""
        return f"fold({self.sql})" if self.kind is Kind.TEXT else self.sql


def _columns(prefix: str, kind: Kind, *names: str) -> dict[str, Field]:
    return {prefix + name: Field(name, kind) for name in names}


FIELDS: Final[Mapping[str, Field]] = MappingProxyType(
    {
        "id": Field("user_id", Kind.ID, nullable=False),
        "create_time": Field("create_time", Kind.TIME, nullable=False),
        "update_time": Field("update_time", Kind.TIME, nullable=False),
        "user_name": Field("user_name", Kind.TEXT, nullable=False),
        "active": Field("active", Kind.BOOLEAN, nullable=False),
        **_columns("", Kind.EXACT_TEXT, "external_id", "profile_url"),
        **_columns("", Kind.TEXT, "display_name", "nick_name", "title", "user_type"),
        **_columns("", Kind.TEXT, "preferred_language", "locale", "timezone"),
        "name.formatted": Field("name_formatted", Kind.TEXT),
        **_columns("name.", Kind.TEXT, "family_name", "given_name", "middle_name"),
        **_columns("name.", Kind.TEXT, "honorific_prefix", "honorific_suffix"),
        **_columns("enterprise.", Kind.TEXT, "employee_number", "cost_center"),
        **_columns("enterprise.", Kind.TEXT, "division", "department"),
        "enterprise.organization": Field("enterprise_organization", Kind.TEXT),
        "enterprise.manager.value": Field("manager_value", Kind.EXACT_TEXT),
    }
)
"""The fields with one value."""


def _element(kinds: Mapping[str, Kind]) -> Mapping[str, Field]:
    fields = {name: Field(f"(element ->> '{name}')", kind) for name, kind in kinds.items()}
    fields["primary"] = Field("(element ->> 'primary')::boolean", Kind.BOOLEAN)
    return MappingProxyType(fields)


_TYPED_VALUE: Final = _element({"value": Kind.TEXT, "display": Kind.TEXT, "type": Kind.TEXT})
_EXACT_VALUE: Final = _element({"value": Kind.EXACT_TEXT, "display": Kind.TEXT, "type": Kind.TEXT})
_ADDRESS: Final = _element(
    dict.fromkeys(
        ("formatted", "street_address", "locality", "region", "postal_code", "country", "type"),
        Kind.TEXT,
    )
)

REPEATED: Final[Mapping[str, Mapping[str, Field]]] = MappingProxyType(
    {
        "emails": _TYPED_VALUE,
        "phone_numbers": _TYPED_VALUE,
        "ims": _TYPED_VALUE,
        "photos": _EXACT_VALUE,
        "addresses": _ADDRESS,
        "entitlements": _TYPED_VALUE,
        "roles": _TYPED_VALUE,
        "x509_certificates": _EXACT_VALUE,
    }
)
"""The fields of the elements of each repeated field, whose column has the field's own name."""

COMPOSITE: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "name": tuple(field.sql for name, field in FIELDS.items() if name.startswith("name.")),
        "enterprise": tuple(
            field.sql for name, field in FIELDS.items() if name.startswith("enterprise.")
        ),
        "enterprise.manager": ("manager_value",),
    }
)
"""Fields that have a value when one of these columns has."""


def order_field(name: str) -> Field | None:
    """What users are sorted by: of a repeated field the primary element, or else the first."""
    if name in FIELDS:
        return FIELDS[name]
    repeated, _, inner = name.partition(".")
    found = REPEATED.get(repeated, {}).get(inner or "value")
    if found is None:
        return None
    leading = (
        f"coalesce(jsonb_path_query_first({repeated}, '$[*] ? (@.primary == true)'),"
        f" {repeated} -> 0)"
    )
    return Field(found.sql.replace("element", leading), found.kind)
