"""Users as the database has them: columns for a profile, a user for a row."""

from typing import Any, Final

import orjson

from usersvc.domain.users import Address, EnterpriseUser, Name, Profile, TypedValue, User
from usersvc.store.rows import extension as extension_rows

Row = Any  # asyncpg is untyped

PROFILE_COLUMNS: Final = """
    user_name, external_id, active,
    name_formatted, family_name, given_name, middle_name, honorific_prefix, honorific_suffix,
    display_name, nick_name, profile_url, title, user_type, preferred_language, locale, timezone,
    emails, phone_numbers, ims, photos, addresses, entitlements, roles, x509_certificates,
    employee_number, cost_center, enterprise_organization, division, department, manager_value,
    extensions
"""
COLUMNS: Final = f"organization_id, user_id, version, create_time, update_time, {PROFILE_COLUMNS}"


def columns(profile: Profile) -> tuple[object, ...]:
    """The arguments for the columns of a profile, in their order; NULL is what is empty."""
    name, enterprise = profile.name, profile.enterprise
    return (
        profile.user_name, profile.external_id or None, profile.active,
        name.formatted or None, name.family_name or None, name.given_name or None,
        name.middle_name or None, name.honorific_prefix or None, name.honorific_suffix or None,
        profile.display_name or None, profile.nick_name or None, profile.profile_url or None,
        profile.title or None, profile.user_type or None, profile.preferred_language or None,
        profile.locale or None, profile.timezone or None,
        _values(profile.emails), _values(profile.phone_numbers), _values(profile.ims),
        _values(profile.photos), _addresses(profile.addresses), _values(profile.entitlements),
        _values(profile.roles), _values(profile.x509_certificates),
        enterprise.employee_number or None, enterprise.cost_center or None,
        enterprise.organization or None, enterprise.division or None,
        enterprise.department or None, enterprise.manager or None,
        extension_rows.column(profile.extensions),
    )  # fmt: skip


def _values(values: tuple[TypedValue, ...]) -> str | None:
    return _json(values, ("value", "display", "type")) if values else None


def _addresses(addresses: tuple[Address, ...]) -> str | None:
    return _json(addresses, _ADDRESS_TEXTS) if addresses else None


_ADDRESS_TEXTS: Final = (
    "formatted", "street_address", "locality", "region", "postal_code", "country", "type",
)  # fmt: skip


def _json(elements: tuple[TypedValue, ...] | tuple[Address, ...], texts: tuple[str, ...]) -> str:
    """An array of objects that hold only what is assigned."""
    objects: list[dict[str, object]] = []
    for element in elements:
        item: dict[str, object] = {
            text: value for text in texts if (value := getattr(element, text))
        }
        if element.primary is not None:
            item["primary"] = element.primary
        objects.append(item)
    return orjson.dumps(objects).decode()


def user(row: Row) -> User:
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
