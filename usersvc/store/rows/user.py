"""Conversion between users and their rows."""

from typing import Any, Final, NamedTuple

import orjson

from usersvc.domain.users import Address, EnterpriseUser, Name, Profile, TypedValue, User
from usersvc.store.rows import extension as extension_rows

Row = Any  # asyncpg is untyped


class ProfileRow(NamedTuple):
    """The columns of a profile, in the order in which statements name them.

    Statements are built from this order. An empty value is NULL. Repeated fields and extensions
    are JSON.
    """

    user_name: str
    external_id: str | None
    active: bool | None
    name_formatted: str | None
    family_name: str | None
    given_name: str | None
    middle_name: str | None
    honorific_prefix: str | None
    honorific_suffix: str | None
    display_name: str | None
    nick_name: str | None
    profile_url: str | None
    title: str | None
    user_type: str | None
    preferred_language: str | None
    locale: str | None
    timezone: str | None
    emails: str | None
    phone_numbers: str | None
    ims: str | None
    photos: str | None
    addresses: str | None
    entitlements: str | None
    roles: str | None
    x509_certificates: str | None
    employee_number: str | None
    cost_center: str | None
    enterprise_organization: str | None
    division: str | None
    department: str | None
    manager_value: str | None
    extensions: str | None


PROFILE_COLUMNS: Final = ", ".join(ProfileRow._fields)
COLUMNS: Final = f"organization_id, user_id, version, create_time, update_time, {PROFILE_COLUMNS}"


def columns(profile: Profile) -> ProfileRow:
    """A profile as the values of its columns."""
    name, enterprise = profile.name, profile.enterprise
    return ProfileRow(
        user_name=profile.user_name,
        external_id=profile.external_id or None,
        active=profile.active,
        name_formatted=name.formatted or None,
        family_name=name.family_name or None,
        given_name=name.given_name or None,
        middle_name=name.middle_name or None,
        honorific_prefix=name.honorific_prefix or None,
        honorific_suffix=name.honorific_suffix or None,
        display_name=profile.display_name or None,
        nick_name=profile.nick_name or None,
        profile_url=profile.profile_url or None,
        title=profile.title or None,
        user_type=profile.user_type or None,
        preferred_language=profile.preferred_language or None,
        locale=profile.locale or None,
        timezone=profile.timezone or None,
        emails=_values(profile.emails),
        phone_numbers=_values(profile.phone_numbers),
        ims=_values(profile.ims),
        photos=_values(profile.photos),
        addresses=_addresses(profile.addresses),
        entitlements=_values(profile.entitlements),
        roles=_values(profile.roles),
        x509_certificates=_values(profile.x509_certificates),
        employee_number=enterprise.employee_number or None,
        cost_center=enterprise.cost_center or None,
        enterprise_organization=enterprise.organization or None,
        division=enterprise.division or None,
        department=enterprise.department or None,
        manager_value=enterprise.manager or None,
        extensions=extension_rows.column(profile.extensions),
    )


def _values(values: tuple[TypedValue, ...]) -> str | None:
    return _json(values, ("value", "display", "type")) if values else None


def _addresses(addresses: tuple[Address, ...]) -> str | None:
    return _json(addresses, _ADDRESS_FIELDS) if addresses else None


_ADDRESS_FIELDS: Final = (
    "formatted", "street_address", "locality", "region", "postal_code", "country", "type",
)  # fmt: skip


def _json(elements: tuple[TypedValue, ...] | tuple[Address, ...], fields: tuple[str, ...]) -> str:
    """A JSON array of objects, which contain only the assigned values."""
    objects: list[dict[str, object]] = []
    for element in elements:
        item: dict[str, object] = {
            field: value for field in fields if (value := getattr(element, field))
        }
        if element.primary is not None:
            item["primary"] = element.primary
        objects.append(item)
    return orjson.dumps(objects).decode()


def user(row: Row) -> User:
    """The user in a row that begins with COLUMNS.

    The names repeat those of ProfileRow. A page has up to 1,000 rows, and unpacking a row takes
    half the time of creating a ProfileRow. A test compares the order.
    """
    (
        organization_id, user_id, version, create_time, update_time,
        user_name, external_id, active,
        name_formatted, family_name, given_name, middle_name, honorific_prefix, honorific_suffix,
        display_name, nick_name, profile_url, title, user_type, preferred_language, locale,
        timezone,
        emails, phone_numbers, ims, photos, addresses, entitlements, roles, x509_certificates,
        employee_number, cost_center, enterprise_organization, division, department, manager_value,
        extensions, *_,
    ) = row  # fmt: skip
    return User(
        organization_id, user_id, version, create_time, update_time,
        Profile(
            user_name=user_name,
            external_id=external_id or "",
            active=active,
            name=Name(
                name_formatted or "", family_name or "", given_name or "",
                middle_name or "", honorific_prefix or "", honorific_suffix or "",
            ),
            display_name=display_name or "",
            nick_name=nick_name or "",
            profile_url=profile_url or "",
            title=title or "",
            user_type=user_type or "",
            preferred_language=preferred_language or "",
            locale=locale or "",
            timezone=timezone or "",
            emails=_typed_values(emails),
            phone_numbers=_typed_values(phone_numbers),
            ims=_typed_values(ims),
            photos=_typed_values(photos),
            addresses=_postal_addresses(addresses),
            entitlements=_typed_values(entitlements),
            roles=_typed_values(roles),
            x509_certificates=_typed_values(x509_certificates),
            enterprise=EnterpriseUser(
                employee_number or "", cost_center or "", enterprise_organization or "",
                division or "", department or "", manager_value or "",
            ),
            extensions=extension_rows.extensions(extensions),
        ),
    )  # fmt: skip


def _typed_values(text: str | None) -> tuple[TypedValue, ...]:
    return tuple([TypedValue(**element) for element in orjson.loads(text)]) if text else ()


def _postal_addresses(text: str | None) -> tuple[Address, ...]:
    return tuple([Address(**element) for element in orjson.loads(text)]) if text else ()
