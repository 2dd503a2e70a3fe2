"""The audit trail: actions and their actors."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from chassis.errors import InvalidField
from keysvc.domain.errors import TOO_LONG
from keysvc.domain.organizations import refuse_control_characters

ID_MAXIMUM: Final = 200
NAME_MAXIMUM_BYTES: Final = 1_024
OPERATOR: Final = "operator"


class Action(StrEnum):
    """An action that the audit trail records."""

    INTEGRATION_ACTIVATED = "integration_activated"
    INTEGRATION_DEACTIVATED = "integration_deactivated"
    KEY_GENERATED = "key_generated"
    KEY_REVOKED = "key_revoked"
    SSO_UPDATED = "sso_updated"
    SSO_TESTED = "sso_tested"
    SSO_ACTIVATED = "sso_activated"
    SSO_DEACTIVATED = "sso_deactivated"
    SIGNED_IN = "signed_in"
    SIGNED_IN_WITH_LINK = "signed_in_with_link"
    SIGNED_OUT = "signed_out"
    SESSIONS_ENDED = "sessions_ended"
    LOG_EXPORTED = "log_exported"
    DOMAIN_PROVEN = "domain_proven"
    DOMAIN_PROOF_MISSING = "domain_proof_missing"
    DOMAIN_LOST = "domain_lost"
    DOMAIN_VERIFIED = "domain_verified"


REPORTED_ACTIONS: Final = frozenset(
    {
        Action.SIGNED_IN,
        Action.SIGNED_IN_WITH_LINK,
        Action.SIGNED_OUT,
        Action.SESSIONS_ENDED,
        Action.LOG_EXPORTED,
    }
)
"""The actions that others perform and report. This service records its own by itself."""


@dataclass(frozen=True, slots=True)
class Actor:
    """The person who acts, verified by the caller. The address is empty if the caller sent none.

    Refuses (InvalidField) texts that are too long or have control characters.
    """

    actor_id: str
    display_name: str
    address: str = ""

    def __post_init__(self) -> None:
        check_author("actor.id", self.actor_id)
        if len(self.display_name.encode()) > NAME_MAXIMUM_BYTES:
            raise InvalidField("actor.display_name", "must have at most 1,024 bytes")
        refuse_control_characters("actor.display_name", self.display_name)


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One recorded action."""

    organization_id: UUID
    event_id: UUID
    create_time: datetime
    actor: Actor
    action: Action
    key_id: UUID | None = None
    fields: Sequence[str] = ()
    user_id: UUID | None = None
    domain: str = ""
    reason: str = ""


def operator(name: str) -> Actor:
    """The actor of a command, with the name that the operator gave."""
    return Actor(OPERATOR, OPERATOR if name in ("", OPERATOR) else f"{OPERATOR} {name}")


def without_operator_prefix(display_name: str) -> str:
    """The name that an operator gave, from a display name of the trail; other names unchanged."""
    first, _, given = display_name.partition(" ")
    return given if given and first.lower() == OPERATOR else display_name


def check_author(field_name: str, author: str) -> None:
    """Refuse (InvalidField) an author that is too long or has control characters."""
    if len(author) > ID_MAXIMUM:
        raise InvalidField(field_name, TOO_LONG)
    refuse_control_characters(field_name, author)
