"""The fields of users that a filter or an order may name."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from usersvc.store.listing.fields import (
    Field,
    Kind,
    Repeated,
    Resource,
    Scope,
    columns,
    json_elements,
)
from usersvc.store.rows import user as user_rows

_FIELDS: Final[Mapping[str, Field]] = MappingProxyType(
    {
        "id": Field("user_id", Kind.ID, nullable=False, is_key=True, in_order=True),
        "create_time": Field("create_time", Kind.TIME, nullable=False),
        "update_time": Field("update_time", Kind.TIME, nullable=False),
        "user_name": Field(
            "user_name",
            Kind.TEXT,
            nullable=False,
            prefix_index=True,
            is_key=True,
            in_order=True,
            in_names=True,
        ),
        "active": Field("active", Kind.BOOLEAN, false_if_unassigned=True),
        "external_id": Field("external_id", Kind.EXACT_TEXT, is_key=True),
        "display_name": Field("display_name", Kind.TEXT, is_key=True, in_names=True),
        **columns("", Kind.EXACT_TEXT, "profile_url"),
        **columns("", Kind.TEXT, "nick_name", "title", "user_type"),
        **columns("", Kind.TEXT, "preferred_language", "locale", "timezone"),
        "name.formatted": Field("name_formatted", Kind.TEXT),
        "name.family_name": Field("family_name", Kind.TEXT, in_names=True),
        "name.given_name": Field("given_name", Kind.TEXT, in_names=True),
        **columns("name.", Kind.TEXT, "middle_name"),
        **columns("name.", Kind.TEXT, "honorific_prefix", "honorific_suffix"),
        "enterprise.employee_number": Field(
            "employee_number", Kind.TEXT, is_key=True, has_hash_index=True
        ),
        **columns("enterprise.", Kind.TEXT, "cost_center", "division", "department"),
        "enterprise.organization": Field("enterprise_organization", Kind.TEXT),
        "enterprise.manager.value": Field("manager_value", Kind.EXACT_TEXT),
    }
)


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

# The index contains hashes of addresses. Two addresses may have the same hash, so the address is
# compared as well.
_WITH_ADDRESS: Final = (
    "SELECT user_id FROM user_email WHERE organization_id = $1 AND address_hash = address_hash({})"
)

# `groups` has no `key` condition. The members of a group are indexed in the order of users, so the
# index finds the start of a page of a large group.
_OF_THIS_USER: Final = "element.organization_id = $1 AND element.user_id = users.user_id"
_GROUPS: Final = Repeated(
    MappingProxyType({"value": Field("element.group_id", Kind.REFERENCE, nullable=False)}),
    rows="group_users AS element",
    present=f"EXISTS (SELECT FROM group_users AS element WHERE {_OF_THIS_USER})",
    condition=_OF_THIS_USER,
)

_REPEATED: Final[Mapping[str, Repeated]] = MappingProxyType(
    {
        "emails": json_elements("emails", _TYPED_VALUE, key=_WITH_ADDRESS),
        "phone_numbers": json_elements("phone_numbers", _TYPED_VALUE),
        "ims": json_elements("ims", _TYPED_VALUE),
        "photos": json_elements("photos", _EXACT_VALUE),
        "addresses": json_elements("addresses", _ADDRESS),
        "entitlements": json_elements("entitlements", _TYPED_VALUE),
        "roles": json_elements("roles", _TYPED_VALUE),
        "x509_certificates": json_elements("x509_certificates", _EXACT_VALUE),
        "groups": _GROUPS,
    }
)


def _columns_below(prefix: str) -> tuple[str, ...]:
    return tuple(field.sql for name, field in _FIELDS.items() if name.startswith(prefix))


_COMPOSITE: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "name": _columns_below("name."),
        "enterprise": _columns_below("enterprise."),
        "enterprise.manager": ("manager_value",),
    }
)

USERS: Final = Resource(
    "users",
    "user_id",
    user_rows.COLUMNS,
    Scope(_FIELDS, _REPEATED, _COMPOSITE),
    names="user_names(user_name, display_name, given_name, family_name)",
)
