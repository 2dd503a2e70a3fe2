"""Entries of the provisioning log as rows of a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cloudacademy.users.v1.activity_pb2 import Activity

from gateway.portal.models.key_rows import key_name
from gateway.portal.models.log.sentences import (
    Sentence,
    action_key,
    action_label,
    is_about_group,
    sentence,
)
from gateway.portal.models.providers import ENTRA, Provider, of_client
from gateway.portal.models.times import to_datetime

_FIELDS: Final[Mapping[str, str]] = {
    "user_name": "userName",
    "external_id": "externalId",
    "active": "active",
    "display_name": "displayName",
    "nick_name": "nickName",
    "profile_url": "profileUrl",
    "user_type": "userType",
    "preferred_language": "preferredLanguage",
    "phone_numbers": "phoneNumbers",
    "x509_certificates": "x509Certificates",
    "enterprise.manager": "manager",
    "enterprise.manager.value": "manager",
}


@dataclass(frozen=True, slots=True)
class Change:
    """A changed attribute, under its SCIM name, with its old and new value."""

    field: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class LogRow:
    """One entry, with its texts."""

    id: str
    time: datetime
    sentence: Sentence
    action: str
    action_key: str
    refused: bool
    name: str
    link: str
    changes: Sequence[Change]
    error: str
    status: int
    key: str
    client: str
    """The name of the client application; empty for a change that did not come through SCIM."""
    provider: Provider
    """The identity provider that the client belongs to, or else the one of the page."""
    href: str
    """The page of the entry."""
    last_administrator_lost: bool

    @property
    def client_title(self) -> str:
        """The client at the beginning of a line: Okta, or Another client."""
        return self.client[:1].upper() + self.client[1:]

    @property
    def result(self) -> str:
        """Success or Failure, as in Entra's provisioning logs."""
        return "Failure" if self.refused else "Success"


def log_rows(
    activities: Sequence[Activity], names: Mapping[str, str], page: Provider | None = None
) -> list[LogRow]:
    """Rows with the current names of people, by id. Their links stay below the page's provider."""
    return [log_row(activity, names, page) for activity in activities]


def log_row(activity: Activity, names: Mapping[str, str], page: Provider | None = None) -> LogRow:
    """A row with the person's current name, if `names` contains it."""
    current_name = names.get(activity.resource_id, "")
    provider = of_client(activity.client) or page or ENTRA
    return LogRow(
        id=activity.id,
        time=to_datetime(activity.time),
        sentence=sentence(activity, current_name),
        action=action_label(activity),
        action_key=action_key(activity),
        refused=activity.refused,
        name=activity.resource_name,
        link=_link(activity, names),
        changes=[
            Change(attribute(change.field), change.old_value, change.new_value)
            for change in activity.fields
        ],
        error=activity.refusal.detail,
        status=activity.refusal.status,
        key=key_name(activity.key_id) if activity.key_id else "",
        client=activity.client,
        provider=provider,
        href=f"{(page or provider).path}log/entries/{activity.id}",
        last_administrator_lost=activity.last_administrator_lost,
    )


def attribute(field: str) -> str:
    """The SCIM name of a proto field: `name.given_name` is name.givenName."""
    if field.startswith("urn:"):
        return field
    if field in _FIELDS:
        return _FIELDS[field]
    # The enterprise extension and the core schema share no names, so the URN can be omitted.
    field = field.removeprefix("enterprise.")
    return ".".join(_FIELDS.get(part) or _camel(part) for part in field.split("."))


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _link(activity: Activity, names: Mapping[str, str]) -> str:
    if not activity.resource_id:
        return ""
    if is_about_group(activity):
        return f"/groups/{activity.resource_id}"
    return f"/people/{activity.resource_id}" if activity.resource_id in names else ""
