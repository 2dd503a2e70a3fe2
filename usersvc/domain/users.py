"""Users: their values and their rules."""

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from chassis.errors import InvalidField, Refusal
from usersvc.domain import limits as texts
from usersvc.domain.case_folding import fold
from usersvc.domain.errors import UNKNOWN_FIELD
from usersvc.domain.extensions import ALL, EVERYTHING, Extensions, is_urn

MAX_ELEMENTS: Final = 1_000
MAX_ELEMENTS_SIZE: Final = 1024 * 1024
"""How many characters all elements of a user may hold: a user fits into one message."""


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
    """One of several values of the same kind."""

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
    """What an employer knows of a person; `manager` is the manager's id as it was given."""

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
    """All of a user that its organization decides. Empty is what is not assigned."""

    user_name: str = ""
    external_id: str = ""
    active: bool | None = None
    """Whether the user may sign in; who has no value may not."""
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
    """A group that has a user as a member, itself (`direct`) or through other groups."""

    group_id: UUID
    display_name: str
    direct: bool


@dataclass(frozen=True, slots=True)
class User:
    """A person of an organization; `version` grows with every change."""

    organization_id: UUID
    user_id: UUID
    version: int
    create_time: datetime
    update_time: datetime
    profile: Profile
    groups: tuple[GroupMembership, ...] = ()
    """Empty, too, when nobody asked for them."""

    @property
    def etag(self) -> str:
        """The version as callers know it."""
        return str(self.version)


ADMINISTRATOR: Final = "Administrator"
"""The role, by its value or its name, that opens an organization's settings."""


def administers(profile: Profile) -> bool:
    """Whether a user may look after the organization's settings."""
    return profile.active is True and any(
        fold(ADMINISTRATOR) in (fold(role.value), fold(role.display)) for role in profile.roles
    )


def version_of(etag: str) -> int:
    """The version that an etag names; one that no user has if it is none of ours."""
    return int(etag) if etag.isascii() and etag.isdigit() and len(etag) <= 18 else -1


def as_created(profile: Profile) -> Profile:
    """The profile of a new user, who may sign in unless it says otherwise."""
    return replace(profile, active=True) if profile.active is None else profile


# What a mask may name.

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
    """The profile with the fields that the mask names as they are in `new`.

    Extensions stay, as they have rules of their own. Refuses (UNKNOWN_FIELD) a
    path that names nothing that may be changed.
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


# What a profile may hold.


def check(profile: Profile) -> None:
    """Refuse (InvalidField) a profile that lacks a user name or passes a limit."""
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


_KEYS: Final = frozenset(
    {"user_name", "external_id", "display_name", "emails.value", "enterprise.manager"}
)


def _check_text(field: str, text: str) -> None:
    texts.check(field, text, texts.MAX_KEY_BYTES if field in _KEYS else texts.MAX_TEXT_BYTES)


def _check_elements(
    field: str, elements: tuple[TypedValue, ...] | tuple[Address, ...], names: tuple[str, ...]
) -> int:
    """Refuse what no repeated field may hold; tell how many characters this one holds."""
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
