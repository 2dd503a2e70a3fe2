"""Values and rules of organizations and their integrations."""

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
    """A deployment. Regions share no data."""

    US = "us"
    EU = "eu"

    @property
    def site(self) -> str:
        """The host name of the region's website."""
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
    """An organization that is to be created. Without an id the database generates one."""

    organization_id: UUID | None
    display_name: str
    region: Region

    def __post_init__(self) -> None:
        field = "organization.display_name"
        if not 1 <= len(self.display_name) <= NAME_MAXIMUM:
            raise InvalidField(field, NAME_LENGTH)
        refuse_control_characters(field, self.display_name)


def refuse_control_characters(field: str, text: str) -> None:
    """Refuse (InvalidField) text with characters of the Unicode category Cc.

    They would break log lines, pages and terminals.
    """
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise InvalidField(field, "must not have control characters")
