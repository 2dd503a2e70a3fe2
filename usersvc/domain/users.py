"""Users: values and rules."""

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from chassis.errors import InvalidField, Refusal
from usersvc.domain import limits
from usersvc.domain.case_folding import fold
from usersvc.domain.errors import UNKNOWN_FIELD
from usersvc.domain.extensions import ALL, EVERYTHING, Extensions, is_urn

MAX_ELEMENTS: Final = 1_000
MAX_ELEMENTS_SIZE: Final = 1024 * 1024
"""The limit of all list elements of a user, in characters, so that a user fits into a message."""


@dataclass(frozen=True, slots=True)
class Name:
    """The parts of a person's name."""

    formatted: str = ""
    family_name: str = ""
    given_name: str = ""
    middle_name: str = ""
    honorific_prefix: str = ""
    honorific_suffix: str = ""


@dataclass(frozen=True, slots=True)
class TypedValue:
    """An element of a multi-valued attribute (RFC 7643 section 2.4)."""

    value: str = ""
    display: str = ""
    type: str = ""
    primary: bool | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """A postal address."""

    formatted: str = ""
    street_address: str = ""
    locality: str = ""
    region: str = ""
    postal_code: str = ""
    country: str = ""
    type: str = ""
    primary: bool | None = None


@dataclass(frozen=True, slots=True)
class EnterpriseUser:
    """The enterprise extension (RFC 7643 section 4.3). `manager` holds the id as received."""

    employee_number: str = ""
    cost_center: str = ""
    organization: str = ""
    division: str = ""
    department: str = ""
    manager: str = ""


NO_NAME: Final = Name()
NO_ENTERPRISE: Final = EnterpriseUser()


@dataclass(frozen=True, slots=True)
class Profile:
    """The fields of a user that its organization sets. An empty field is unassigned."""

    user_name: str = ""
    external_id: str = ""
    active: bool | None = None
    """Whether the user may sign in. A user without a value may not."""
    name: Name = NO_NAME
    display_name: str = ""
    nick_name: str = ""
    profile_url: str = ""
    title: str = ""
    user_type: str = ""
    preferred_language: str = ""
    locale: str = ""
    timezone: str = ""
    emails: tuple[TypedValue, ...] = ()
    phone_numbers: tuple[TypedValue, ...] = ()
    ims: tuple[TypedValue, ...] = ()
    photos: tuple[TypedValue, ...] = ()
    addresses: tuple[Address, ...] = ()
    entitlements: tuple[TypedValue, ...] = ()
    roles: tuple[TypedValue, ...] = ()
    x509_certificates: tuple[TypedValue, ...] = ()
    enterprise: EnterpriseUser = NO_ENTERPRISE
    extensions: Extensions = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GroupMembership:
    """A group that contains a user, directly (`direct`) or through other groups."""

    group_id: UUID
    display_name: str
    direct: bool


@dataclass(frozen=True, slots=True)
class GroupView:
    """The groups to read with a user."""

    max_groups: int | None = None
    """A user in more groups is read without them. None means no limit."""
    truncated: bool = False
    """Whether a user in more groups is read with `max_groups` of them instead."""


@dataclass(frozen=True, slots=True)
class GroupList:
    """The groups of a user, as far as they were read."""

    groups: tuple[GroupMembership, ...] = ()
    more: bool = False
    """Whether the user is in more groups."""


@dataclass(frozen=True, slots=True)
class User:
    """A user of an organization. `version` grows with every change."""

    organization_id: UUID
    user_id: UUID
    version: int
    create_time: datetime
    update_time: datetime
    profile: Profile
    groups: GroupList = GroupList()
    """The user's groups. Empty unless the caller asked for groups."""

    @property
    def etag(self) -> str:
        """The version as an opaque text for callers."""
        return str(self.version)


ADMINISTRATOR: Final = "Administrator"
"""The role that may change an organization's settings, by its `value` or `display`."""


def administers(profile: Profile) -> bool:
    """Whether a user is an active administrator."""
    return profile.active is True and any(
        fold(ADMINISTRATOR) in (fold(role.value), fold(role.display)) for role in profile.roles
    )


def parse_etag(etag: str) -> int:
    """The version in an etag, or -1, which matches no user, for an invalid etag."""
    return int(etag) if etag.isascii() and etag.isdigit() and len(etag) <= 18 else -1


def with_creation_defaults(profile: Profile) -> Profile:
    """The profile of a new user. `active` defaults to true."""
    return replace(profile, active=True) if profile.active is None else profile


# --- update masks -----------------------------------------------------------------------

_TEXTS: Final = (
    *("user_name", "external_id", "display_name", "nick_name", "profile_url", "title"),
    *("user_type", "preferred_language", "locale", "timezone"),
)
_TYPED_VALUES: Final = (
    *("emails", "phone_numbers", "ims", "photos", "entitlements", "roles", "x509_certificates"),
)
_NAME_TEXTS: Final = tuple(each.name for each in fields(Name))
_ENTERPRISE_TEXTS: Final = tuple(each.name for each in fields(EnterpriseUser))
_ADDRESS_TEXTS: Final = tuple(each.name for each in fields(Address) if each.name != "primary")

MASK_PATHS: Final = frozenset(
    {
        *(each.name for each in fields(Profile)),
        *(f"name.{text}" for text in _NAME_TEXTS),
        *(f"enterprise.{text}" for text in _ENTERPRISE_TEXTS),
        "enterprise.manager.value",
        EVERYTHING,
    }
)


def apply(profile: Profile, new: Profile, mask: Iterable[str]) -> Profile:
    """Replace the fields that the mask names by those in `new`, except extensions.

    `extensions.apply` handles extensions, which have their own rules. Refuses (UNKNOWN_FIELD) a
    path that names no writable field.
    """
    paths = tuple(mask)
    for path in paths:
        if path not in MASK_PATHS and not is_urn(path):
            raise Refusal(UNKNOWN_FIELD, path, "an update mask", "update_mask")
    if EVERYTHING in paths:
        return replace(new, extensions=profile.extensions)
    for path in paths:
        if path != ALL and not is_urn(path):
            profile = _with_field(profile, new, path)
    return profile


def _with_field(profile: Profile, new: Profile, path: str) -> Profile:
    field, _, inner = path.removesuffix(".value").partition(".")
    value = getattr(new, field)
    if inner:
        value = replace(getattr(profile, field), **{inner: getattr(value, inner)})
    return replace(profile, **{field: value})


# --- rules for profiles -----------------------------------------------------------------


def check(profile: Profile) -> None:
    """Refuse (InvalidField) a profile that lacks a user name or exceeds a limit."""
    if not profile.user_name:
        raise InvalidField("user_name", "is required")
    for field in _TEXTS:
        _check_text(field, getattr(profile, field))
    if profile.name != NO_NAME:
        for text in _NAME_TEXTS:
            _check_text(f"name.{text}", getattr(profile.name, text))
    if profile.enterprise != NO_ENTERPRISE:
        for text in _ENTERPRISE_TEXTS:
            _check_text(f"enterprise.{text}", getattr(profile.enterprise, text))
    size = _check_elements("addresses", profile.addresses, _ADDRESS_TEXTS)
    for field in _TYPED_VALUES:
        size += _check_elements(field, getattr(profile, field), ("value", "display", "type"))
    if size > MAX_ELEMENTS_SIZE:
        raise InvalidField("user", f"has more than {MAX_ELEMENTS_SIZE:,} characters in its lists")


_INDEXED_FIELDS: Final = frozenset(
    {"user_name", "external_id", "display_name", "emails.value", "enterprise.manager"}
)


def _check_text(field: str, text: str) -> None:
    limits.check(
        field, text, limits.MAX_KEY_BYTES if field in _INDEXED_FIELDS else limits.MAX_TEXT_BYTES
    )


def _check_elements(
    field: str, elements: tuple[TypedValue, ...] | tuple[Address, ...], names: tuple[str, ...]
) -> int:
    """Check the elements of a repeated field and return their size in characters.

    Refuses (InvalidField) too many elements, a second primary element, and texts that are too long.
    """
    if not elements:
        return 0
    if len(elements) > MAX_ELEMENTS:
        raise InvalidField(field, f"has more than {MAX_ELEMENTS:,} elements")
    if sum(1 for _ in _primaries(elements)) > 1:
        raise InvalidField(field, "has more than one primary element")
    size = 0
    for element in elements:
        for name in names:
            text = getattr(element, name)
            _check_text(f"{field}.{name}", text)
            size += len(text)
    return size


def _primaries(
    elements: tuple[TypedValue, ...] | tuple[Address, ...],
) -> Iterator[TypedValue | Address]:
    return (element for element in elements if element.primary)
