"""Audit events as rows of the audit trail page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cloudacademy.keys.v1.audit_pb2 import AuditEvent

from gateway.portal.models.csv_rows import BYTE_ORDER_MARK, csv_row
from gateway.portal.models.key_rows import key_name
from gateway.portal.models.times import iso, to_datetime

_ACTIONS: Final[Mapping[int, str]] = {
    AuditEvent.ACTION_INTEGRATION_ACTIVATED: "activated the integration",
    AuditEvent.ACTION_INTEGRATION_DEACTIVATED: "deactivated the integration",
    AuditEvent.ACTION_KEY_GENERATED: "generated the API key",
    AuditEvent.ACTION_KEY_REVOKED: "revoked the API key",
    AuditEvent.ACTION_SSO_UPDATED: "changed the single sign-on settings",
    AuditEvent.ACTION_SSO_TESTED: "tested single sign-on",
    AuditEvent.ACTION_SSO_ACTIVATED: "activated single sign-on",
    AuditEvent.ACTION_SSO_DEACTIVATED: "deactivated single sign-on",
    AuditEvent.ACTION_SIGNED_IN: "signed in",
    AuditEvent.ACTION_SIGNED_IN_WITH_LINK: "signed in with an operator's link",
    AuditEvent.ACTION_SIGNED_OUT: "signed out",
    AuditEvent.ACTION_SESSIONS_ENDED: "ended sessions",
    AuditEvent.ACTION_LOG_EXPORTED: "downloaded the provisioning log",
    AuditEvent.ACTION_DOMAIN_PROVEN: "verified the email domain",
    AuditEvent.ACTION_DOMAIN_PROOF_MISSING: "did not find the TXT record of the email domain",
    AuditEvent.ACTION_DOMAIN_LOST: "ended the verification of the email domain",
    AuditEvent.ACTION_DOMAIN_VERIFIED: "verified without a TXT record the email domain",
}
KINDS: Final[Mapping[str, tuple[str, Sequence["AuditEvent.Action"]]]] = {
    "keys": (
        "API keys and the integration",
        (
            AuditEvent.ACTION_INTEGRATION_ACTIVATED,
            AuditEvent.ACTION_INTEGRATION_DEACTIVATED,
            AuditEvent.ACTION_KEY_GENERATED,
            AuditEvent.ACTION_KEY_REVOKED,
        ),
    ),
    "sso": (
        "Single sign-on settings",
        (
            AuditEvent.ACTION_SSO_UPDATED,
            AuditEvent.ACTION_SSO_TESTED,
            AuditEvent.ACTION_SSO_ACTIVATED,
            AuditEvent.ACTION_SSO_DEACTIVATED,
            AuditEvent.ACTION_DOMAIN_PROVEN,
            AuditEvent.ACTION_DOMAIN_PROOF_MISSING,
            AuditEvent.ACTION_DOMAIN_LOST,
            AuditEvent.ACTION_DOMAIN_VERIFIED,
        ),
    ),
    "sessions": (
        "Sign-ins and sessions",
        (
            AuditEvent.ACTION_SIGNED_IN,
            AuditEvent.ACTION_SIGNED_IN_WITH_LINK,
            AuditEvent.ACTION_SIGNED_OUT,
            AuditEvent.ACTION_SESSIONS_ENDED,
        ),
    ),
    "exports": ("Downloads of the log", (AuditEvent.ACTION_LOG_EXPORTED,)),
}
"""The kinds of events by which the page filters: their labels and actions."""

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
    target_user_id: str
    """The person whose sessions were ended, or an empty string."""


def audit_rows(events: Sequence[AuditEvent]) -> list[AuditRow]:
    """The rows of these events, in the same order."""
    return [
        AuditRow(
            time=to_datetime(event.create_time),
            who=event.actor.display_name or event.actor.id or "Unknown user",
            user_id=event.actor.id,
            action=_action(event),
            address=event.actor.address,
            target_user_id=event.user_id,
        )
        for event in events
    ]


def _action(event: AuditEvent) -> str:
    text = _ACTIONS.get(event.action, "performed an unknown action")
    if event.key_id:
        text = f"{text} {key_name(event.key_id)}"
    if event.domain:
        text = f"{text} {event.domain}"
    if event.reason:
        text = f"{text}: {event.reason}"
    fields = [_FIELDS.get(name, name) for name in event.fields]
    return f"{text}: {', '.join(fields)}" if fields else text


CSV_COLUMNS: Final = ("time", "who", "user id", "action", "of user id", "from")


def csv_head() -> str:
    """The header line of a download."""
    return BYTE_ORDER_MARK + csv_row(CSV_COLUMNS)


def csv_line(row: AuditRow) -> str:
    """One event as a line of CSV."""
    return csv_row(
        (iso(row.time), row.who, row.user_id, row.action, row.target_user_id, row.address)
    )


def csv_end(text: str) -> str:
    """The last line of an incomplete file."""
    return csv_row(("INCOMPLETE", text, *[""] * (len(CSV_COLUMNS) - 2)))
