"""Organizations and their integrations: values and rules."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from chassis.errors import InvalidField
from keysvc.domain.errors import NAME_LENGTH

NAME_MAXIMUM: Final = 200


class Region(StrEnum):
    """A deployment that shares nothing with the others."""

    US = "us"
    EU = "eu"

    @property
    def site(self) -> str:
        """The host name that customers of the region know."""
        return {Region.US: "cloudacademy.com", Region.EU: "app.qa.com"}[self]


@dataclass(frozen=True, slots=True)
class Organization:
    """A customer."""

    organization_id: UUID
    display_name: str
    region: Region
    create_time: datetime


@dataclass(frozen=True, slots=True)
class Integration:
    """The link between an organization and its identity provider."""

    organization_id: UUID
    active: bool
    update_time: datetime


@dataclass(frozen=True, slots=True)
class NewOrganization:
    """An organization to be; without an id the database makes one."""

    organization_id: UUID | None
    display_name: str
    region: Region

    def __post_init__(self) -> None:
        field = "organization.display_name"
        if not 1 <= len(self.display_name) <= NAME_MAXIMUM:
            raise InvalidField(field, NAME_LENGTH)
        refuse_control_characters(field, self.display_name)


def refuse_control_characters(field: str, text: str) -> None:
    """Refuse text that would break a log line, a page or a terminal (Unicode category Cc)."""
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise InvalidField(field, "must not have control characters")
