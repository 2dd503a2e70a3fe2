"""Sessions: who is signed in, and whom an identity provider's word lets in."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from chassis.errors import InvalidField, Refusal
from usersvc.domain import limits as texts
from usersvc.domain import users
from usersvc.domain.errors import (
    SIGN_IN_AMBIGUOUS,
    SIGN_IN_CONFLICT,
    SIGN_IN_UNKNOWN,
    USER_DELETED,
    USER_INACTIVE,
)
from usersvc.domain.users import Name, Profile, TypedValue, User

"""The role whose holders may see and change their organization's settings."""

LINK_LIFETIME: Final = timedelta(minutes=15)
IDLE: Final = timedelta(minutes=30)
LIFETIME: Final = timedelta(hours=8)
STEP: Final = timedelta(minutes=1)
"""A use moves a session's end only when it moves it this far: not every request writes."""

ASSERTION_LIFETIME: Final = timedelta(hours=1)
ASSERTION_SKEW: Final = timedelta(minutes=5)
"""How long after its end a caller whose clock is behind may still take an assertion for good."""
ASSERTION_KEPT: Final = timedelta(minutes=10)
"""How long after its end an assertion's id stays taken: longer than anybody takes it for good."""

DELETED_KEPT: Final = timedelta(days=90)
"""How long no sign-in creates a person again who was deleted."""

_OBJECT_IDENTIFIER: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in person; `expire_time` is when the session ends if it is not used before."""

    organization_id: UUID
    user_id: UUID
    user_name: str
    display_name: str
    administrator: bool
    create_time: datetime
    expire_time: datetime


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom an identity provider vouches for."""

    object_identifier: str
    email: str
    given_name: str = ""
    family_name: str = ""

    @property
    def profile(self) -> Profile:
        """The profile of a user that is created for it."""
        return Profile(
            user_name=self.email,
            external_id=self.object_identifier,
            active=True,
            name=Name(given_name=self.given_name, family_name=self.family_name),
            emails=(TypedValue(value=self.email, type="work", primary=True),),
        )


@dataclass(frozen=True, slots=True)
class Assertion:
    """An identity provider's word, which its receiver has verified."""

    organization_id: UUID
    assertion_id: str = field(repr=False)
    expire_time: datetime
    identity: Identity

    @property
    def digest(self) -> bytes:
        """What is remembered of its id."""
        return hashlib.sha256(self.assertion_id.encode()).digest()


def check(assertion: Assertion, now: datetime) -> None:
    """Refuse (InvalidField) an assertion that says too little, too much, or not for now."""
    identity = assertion.identity
    required = (
        ("assertion_id", assertion.assertion_id),
        ("object_identifier", identity.object_identifier),
        ("email", identity.email),
    )
    for name, text in required:
        if not text.strip():
            raise InvalidField(name, "is required")
        if text != text.strip() or not text.isprintable():
            raise InvalidField(name, "has characters that nobody sees")
        texts.check(name, text, texts.MAX_KEY_BYTES)
    if assertion.expire_time > now + ASSERTION_LIFETIME:
        raise InvalidField("assertion_expire_time", "is more than an hour ahead")
    if assertion.expire_time < now - ASSERTION_SKEW:
        raise InvalidField("assertion_expire_time", "is over")
    users.check(identity.profile)


# --- the linking rule -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Candidate:
    """A user who may be whom an identity stands for, and the object identifier it is linked to."""

    user: User
    linked_to: str = ""


def matched(
    identity: Identity, holders: Sequence[Candidate], namesake: Candidate | None
) -> Candidate | None:
    """Whom an identity stands for, if there is somebody.

    `holders` are linked to the object identifier or have it as `external_id`; `namesake` has the
    e-mail address as `user_name`. A namesake who is somebody else to the identity provider is never
    taken over. Refuses SIGN_IN_AMBIGUOUS, SIGN_IN_CONFLICT and USER_INACTIVE.
    """
    if len(holders) > 1:
        raise Refusal(SIGN_IN_AMBIGUOUS)
    candidate = holders[0] if holders else namesake
    if candidate is None:
        return None
    if _is_somebody_else(candidate, identity.object_identifier):
        raise Refusal(SIGN_IN_CONFLICT)
    check_active(candidate.user)
    return candidate


def _is_somebody_else(candidate: Candidate, object_identifier: str) -> bool:
    """An object identifier that provisioning has given counts, and then one that signed in."""
    external_id = candidate.user.profile.external_id
    if is_object_identifier(external_id):
        return not _same(external_id, object_identifier)
    return bool(candidate.linked_to) and not _same(candidate.linked_to, object_identifier)


def is_object_identifier(text: str) -> bool:
    """Whether a text has the form of Entra's object identifiers, a UUID; not so `mailNickname`."""
    return _OBJECT_IDENTIFIER.fullmatch(text) is not None


def _same(one: str, other: str) -> bool:
    """Whether two object identifiers are one: in UUIDs case makes no difference."""
    if is_object_identifier(one):
        return one.lower() == other.lower()
    return one == other


def created(identity: Identity, *, create_missing: bool, deleted: bool) -> Profile:
    """The profile for whom nobody matches.

    Refuses SIGN_IN_UNKNOWN unless one may be created, and USER_DELETED whom provisioning deleted:
    only provisioning brings such a person back.
    """
    if not create_missing:
        raise Refusal(SIGN_IN_UNKNOWN)
    if deleted:
        raise Refusal(USER_DELETED)
    return identity.profile


def names_of_deleted(user_name: str, external_id: str) -> Sequence[str]:
    """By what a sign-in would recognize a deleted user, beside the link."""
    return (user_name, external_id) if is_object_identifier(external_id) else (user_name,)


def check_active(user: User) -> None:
    """Refuse (USER_INACTIVE) whom `active` does not let in."""
    if user.profile.active is not True:
        raise Refusal(USER_INACTIVE)


# --- administrators and names ---------------------------------------------------------------


def with_administrator(profile: Profile) -> Profile:
    """The profile with the role of an administrator, beside its other roles."""
    return replace(profile, roles=(*profile.roles, TypedValue(value=users.ADMINISTRATOR)))


def shown_name(display_name: str, given_name: str, family_name: str, user_name: str) -> str:
    """The name to show of a person."""
    return display_name or " ".join(filter(None, (given_name, family_name))) or user_name
