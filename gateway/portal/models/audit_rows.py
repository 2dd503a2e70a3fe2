"""The audit trail, in sentences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cloudacademy.keys.v1.audit_pb2 import AuditEvent

from gateway.portal.models.key_rows import key_name
from gateway.portal.models.times import to_datetime

_DID: Final[Mapping[int, str]] = {
    AuditEvent.ACTION_INTEGRATION_ACTIVATED: "activated the integration",
    AuditEvent.ACTION_INTEGRATION_DEACTIVATED: "deactivated the integration",
    AuditEvent.ACTION_KEY_GENERATED: "generated the API key",
    AuditEvent.ACTION_KEY_REVOKED: "revoked the API key",
    AuditEvent.ACTION_SSO_UPDATED: "changed the set-up of single sign-on",
    AuditEvent.ACTION_SSO_TESTED: "tested single sign-on",
    AuditEvent.ACTION_SSO_ACTIVATED: "activated single sign-on",
    AuditEvent.ACTION_SSO_DEACTIVATED: "deactivated single sign-on",
}
_FIELDS: Final[Mapping[str, str]] = {
    "sso_url": "Login URL",
    "idp_entity_id": "Microsoft Entra Identifier",
    "certificates": "certificates",
    "create_missing_users": "just-in-time creation",
    "domains": "e-mail domains",
}


@dataclass(frozen=True, slots=True)
class AuditRow:
    """Who did what, when, from where."""

    time: datetime
    who: str
    user_id: str
    did: str
    address: str


def audit_rows(events: Sequence[AuditEvent]) -> list[AuditRow]:
    """The events, newest first as they come."""
    return [
        AuditRow(
            time=to_datetime(event.create_time),
            who=event.actor.display_name or event.actor.id or "Somebody",
            user_id=event.actor.id,
            did=_did(event),
            address=event.actor.address,
        )
        for event in events
    ]


def _did(event: AuditEvent) -> str:
    text = _DID.get(event.action, "did something that this page does not know yet")
    if event.key_id:
        text = f"{text} {key_name(event.key_id)}"
    fields = [_FIELDS.get(name, name) for name in event.fields]
    return f"{text}: {', '.join(fields)}" if fields else text
