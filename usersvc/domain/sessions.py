"""Sessions, and the rules by which an identity provider's assertion signs a user in."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from chassis.errors import InvalidField, Refusal
from usersvc.domain import limits, users
from usersvc.domain.errors import (
    SIGN_IN_AMBIGUOUS,
    SIGN_IN_CONFLICT,
    SIGN_IN_DOMAIN_UNPROVEN,
    SIGN_IN_UNKNOWN,
    USER_DELETED,
    USER_INACTIVE,
)
from usersvc.domain.users import Name, Profile, TypedValue, User

LINK_LIFETIME: Final = timedelta(minutes=15)
IDLE_TIMEOUT: Final = timedelta(minutes=30)
SESSION_LIFETIME: Final = timedelta(hours=8)
MIN_EXTENSION: Final = timedelta(minutes=1)
"""A request extends a session only by at least this much, so that few requests write."""

MAX_SESSIONS: Final = 5
"""How many sessions a user has at a time; a further one ends the oldest."""

ASSERTION_LIFETIME: Final = timedelta(hours=1)
ASSERTION_SKEW: Final = timedelta(minutes=5)
"""How long after its expiry an assertion is still accepted, because clocks differ."""
ASSERTION_RETENTION: Final = timedelta(minutes=10)
"""How long after its expiry an assertion's id is stored against replays: longer than
ASSERTION_SKEW, after which the assertion is refused anyway."""

DELETED_IDENTITY_RETENTION: Final = timedelta(days=90)
"""How long a sign-in cannot create a deleted user again."""

_SESSION_ID: Final = re.compile(r"[0-9a-f]{64}")
_OBJECT_IDENTIFIER: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in user. The session ends at `expire_time` unless a request extends it before."""

    organization_id: UUID
    user_id: UUID
    user_name: str
    display_name: str
    administrator: bool
    create_time: datetime
    expire_time: datetime
    session_id: "SessionId"


@dataclass(frozen=True, slots=True)
class SessionId:
    """Names a session within its organization: the digest of its secret, which grants nothing."""

    digest: bytes

    @classmethod
    def parse(cls, text: str) -> "SessionId | None":
        """Parse the text form; None for any text that `str` cannot produce."""
        return cls(bytes.fromhex(text)) if _SESSION_ID.fullmatch(text) else None

    def __str__(self) -> str:
        """64 hexadecimal digits."""
        return self.digest.hex()


@dataclass(frozen=True, slots=True)
class ReplacedSession:
    """The session that a browser had before a sign-in, and that the sign-in ends."""

    organization_id: UUID
    session_id: SessionId


@dataclass(frozen=True, slots=True)
class Identity:
    """The person that an identity provider's assertion names."""

    object_identifier: str
    email: str
    given_name: str = ""
    family_name: str = ""
    email_is_proven: bool = True
    """Whether the organization has proven the domain of the address."""

    @property
    def profile(self) -> Profile:
        """The profile of a user that is created for this identity."""
        return Profile(
            user_name=self.email,
            external_id=self.object_identifier,
            active=True,
            name=Name(given_name=self.given_name, family_name=self.family_name),
            emails=(TypedValue(value=self.email, type="work", primary=True),),
        )


@dataclass(frozen=True, slots=True)
class Assertion:
    """An identity provider's assertion. The caller has verified its signature."""

    organization_id: UUID
    assertion_id: str = field(repr=False)
    expire_time: datetime
    identity: Identity

    @property
    def digest(self) -> bytes:
        """The digest of the id, stored to detect replays."""
        return hashlib.sha256(self.assertion_id.encode()).digest()


def check(assertion: Assertion, now: datetime) -> None:
    """Refuse (InvalidField) an assertion with missing or invalid fields, or expired."""
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
            raise InvalidField(name, "has invisible characters or surrounding spaces")
        limits.check(name, text, limits.MAX_KEY_BYTES)
    if assertion.expire_time > now + ASSERTION_LIFETIME:
        raise InvalidField("assertion_expire_time", "is more than an hour ahead")
    if assertion.expire_time < now - ASSERTION_SKEW:
        raise InvalidField("assertion_expire_time", "has passed")
    users.check(identity.profile)


# --- the linking rule -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Candidate:
    """A user who may match an identity, and the object identifier that the user is linked to."""

    user: User
    linked_to: str = ""


def match_user(
    identity: Identity, holders: Sequence[Candidate], same_name: Candidate | None
) -> Candidate | None:
    """The user that an identity matches, or None.

    `holders` are linked to the object identifier or have it as `external_id`. `same_name` has the
    e-mail address as its `user_name`; it does not match if it has a different object identifier. An
    address of an unproven domain matches only a user whom provisioning created, which is one with
    an `external_id`.

    Refuses SIGN_IN_AMBIGUOUS, SIGN_IN_CONFLICT, SIGN_IN_DOMAIN_UNPROVEN and USER_INACTIVE.
    """
    if len(holders) > 1:
        raise Refusal(SIGN_IN_AMBIGUOUS)
    candidate = holders[0] if holders else same_name
    if candidate is None:
        return None
    if _is_another_person(candidate, identity.object_identifier):
        raise Refusal(SIGN_IN_CONFLICT)
    if not (holders or identity.email_is_proven or candidate.user.profile.external_id):
        raise Refusal(SIGN_IN_DOMAIN_UNPROVEN)
    check_active(candidate.user)
    return candidate


def _is_another_person(candidate: Candidate, object_identifier: str) -> bool:
    """Whether the candidate has a different object identifier.

    The identifier from provisioning (`external_id`) outranks the one from an earlier sign-in.
    """
    external_id = candidate.user.profile.external_id
    if is_object_identifier(external_id):
        return not _same_identifier(external_id, object_identifier)
    return bool(candidate.linked_to) and not _same_identifier(
        candidate.linked_to, object_identifier
    )


def is_object_identifier(text: str) -> bool:
    """Whether a text is a UUID, like Entra's object identifiers and unlike its `mailNickname`."""
    return _OBJECT_IDENTIFIER.fullmatch(text) is not None


def _same_identifier(one: str, other: str) -> bool:
    """Whether two object identifiers are equal. UUIDs are compared without regard to case."""
    if is_object_identifier(one):
        return one.lower() == other.lower()
    return one == other


def profile_to_create(identity: Identity, *, create_missing: bool, deleted: bool) -> Profile:
    """The profile of the user to create for an identity that matches no user.

    Refuses SIGN_IN_UNKNOWN unless `create_missing`. Refuses SIGN_IN_DOMAIN_UNPROVEN if the domain
    of the address is not proven. Refuses USER_DELETED if provisioning deleted
    the user: only provisioning may create that user again.
    """
    if not create_missing:
        raise Refusal(SIGN_IN_UNKNOWN)
    if not identity.email_is_proven:
        raise Refusal(SIGN_IN_DOMAIN_UNPROVEN)
    if deleted:
        raise Refusal(USER_DELETED)
    return identity.profile


def identifiers_of_deleted(user_name: str, external_id: str) -> Sequence[str]:
    """The identifiers by which a later sign-in would match a deleted user, besides the link."""
    return (user_name, external_id) if is_object_identifier(external_id) else (user_name,)


def check_active(user: User) -> None:
    """Refuse (USER_INACTIVE) a user whose `active` is not true."""
    if user.profile.active is not True:
        raise Refusal(USER_INACTIVE)


# --- administrators and names ---------------------------------------------------------------


def with_administrator(profile: Profile) -> Profile:
    """The profile with the administrator role added."""
    return replace(profile, roles=(*profile.roles, TypedValue(value=users.ADMINISTRATOR)))


def display_name_of(display_name: str, given_name: str, family_name: str, user_name: str) -> str:
    """The name to display: the display name, else the full name, else the user name."""
    return display_name or " ".join(filter(None, (given_name, family_name))) or user_name
