"""Audit events as rows of the audit trail page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cloudacademy.keys.v1.audit_pb2 import AuditEvent

from gateway.portal.models.key_rows import key_name
from gateway.portal.models.times import to_datetime

_ACTIONS: Final[Mapping[int, str]] = {
    AuditEvent.ACTION_INTEGRATION_ACTIVATED: "activated the integration",
    AuditEvent.ACTION_INTEGRATION_DEACTIVATED: "deactivated the integration",
    AuditEvent.ACTION_KEY_GENERATED: "generated the API key",
    AuditEvent.ACTION_KEY_REVOKED: "revoked the API key",
    AuditEvent.ACTION_SSO_UPDATED: "changed the single sign-on settings",
    AuditEvent.ACTION_SSO_TESTED: "tested single sign-on",
    AuditEvent.ACTION_SSO_ACTIVATED: "activated single sign-on",
    AuditEvent.ACTION_SSO_DEACTIVATED: "deactivated single sign-on",
}
_FIELDS: Final[Mapping[str, str]] = {
    "sso_url": "Login URL",
    "idp_entity_id": "Microsoft Entra Identifier",
    "certificates": "certificates",
    "create_missing_users": "just-in-time provisioning",
    "domains": "email domains",
}


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One row: who did what, when, and from which address."""

    time: datetime
    who: str
    user_id: str
    action: str
    address: str


def audit_rows(events: Sequence[AuditEvent]) -> list[AuditRow]:
    """The rows of these events, in the same order."""
    return [
        AuditRow(
            time=to_datetime(event.create_time),
            who=event.actor.display_name or event.actor.id or "Unknown user",
            user_id=event.actor.id,
            action=_action(event),
            address=event.actor.address,
        )
        for event in events
    ]


def _action(event: AuditEvent) -> str:
    text = _ACTIONS.get(event.action, "performed an unknown action")
    if event.key_id:
        text = f"{text} {key_name(event.key_id)}"
    fields = [_FIELDS.get(name, name) for name in event.fields]
    return f"{text}: {', '.join(fields)}" if fields else text
