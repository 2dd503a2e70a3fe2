"""The audit trail: who did what, and what is kept of it."""

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
    """What is done."""

    INTEGRATION_ACTIVATED = "integration_activated"
    INTEGRATION_DEACTIVATED = "integration_deactivated"
    KEY_GENERATED = "key_generated"
    KEY_REVOKED = "key_revoked"
    SSO_UPDATED = "sso_updated"
    SSO_TESTED = "sso_tested"
    SSO_ACTIVATED = "sso_activated"
    SSO_DEACTIVATED = "sso_deactivated"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, as the caller has verified it; the address is empty when it told none.

    Refuses (InvalidField) what cannot be kept or shown.
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
    """One action."""

    organization_id: UUID
    event_id: UUID
    create_time: datetime
    actor: Actor
    action: Action
    key_id: UUID | None = None
    fields: Sequence[str] = ()


def operator(name: str) -> Actor:
    """Whoever runs a command at the database itself, by the name that they tell."""
    return Actor(OPERATOR, OPERATOR if name in ("", OPERATOR) else f"{OPERATOR} {name}")


def name_of(operator_name: str) -> str:
    """The name that an operator told, of the one that the trail shows; any other name as it is."""
    first, _, told = operator_name.partition(" ")
    return told if told and first.lower() == OPERATOR else operator_name


def check_author(field_name: str, author: str) -> None:
    """Refuse (InvalidField) what cannot be kept as the one who did something."""
    if len(author) > ID_MAXIMUM:
        raise InvalidField(field_name, TOO_LONG)
    refuse_control_characters(field_name, author)
