"""Audit events as rows."""

from datetime import UTC, datetime

from cloudacademy.keys.v1.audit_pb2 import Actor, AuditEvent

from chassis.rpc.timestamps import to_timestamp
from gateway.portal.models.audit_rows import audit_rows

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
USER = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e11"
KEY = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e12"


def test_audit_rows_say_who_did_what():
    events = [
        AuditEvent(
            actor=Actor(id=USER, display_name="ada", address="192.0.2.1"),
            action=AuditEvent.ACTION_KEY_GENERATED,
            key_id=KEY,
            create_time=to_timestamp(NOW),
        ),
        AuditEvent(actor=Actor(id="ops"), action=AuditEvent.ACTION_SSO_UPDATED, fields=["sso_url"]),
    ]
    rows = [(row.who, row.action, row.address) for row in audit_rows(events)]
    assert rows == [
        ("ada", "generated the API key …0b8e12", "192.0.2.1"),
        ("ops", "changed the single sign-on settings: Login URL", ""),
    ]
