"""Log entries as rows of a table."""

from datetime import UTC, datetime

from cloudacademy.users.v1.activity_pb2 import Activity, FieldChange

from chassis.rpc.timestamps import to_timestamp
from gateway.portal.models.log.rows import Change, attribute, log_row
from gateway.portal.models.providers import ENTRA, OKTA

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
USER = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e11"


def activity(action: str, name: str = "ann", **fields: object) -> Activity:
    values = {"resource_name": name, "resource_id": USER, "time": to_timestamp(NOW)} | fields
    return Activity(action=Activity.Action.Value(f"ACTION_{action}"), **values)


def test_deleted_person_is_not_linked():
    entry = activity("UPDATE_USER")
    assert log_row(entry, {}).link == ""
    assert log_row(entry, {USER: "Ann Li"}).link == f"/people/{USER}"


def test_entry_leads_to_its_clients_pages_unless_shown_on_anothers():
    entry = activity("UPDATE_USER", client="Okta", id="7")
    assert log_row(entry, {}).href == f"{OKTA.path}log/entries/7"
    assert log_row(entry, {}, ENTRA).href == f"{ENTRA.path}log/entries/7"
    assert log_row(entry, {}, ENTRA).provider is OKTA
    assert log_row(activity("UPDATE_USER", id="7"), {}).href == f"{ENTRA.path}log/entries/7"


def test_client_begins_with_a_capital_letter():
    titles = [
        log_row(activity("UPDATE_USER", client=client), {}).client_title
        for client in ("OneLogin", "another client", "")
    ]
    assert titles == ["OneLogin", "Another client", ""]


def test_changed_fields_have_their_scim_names():
    change = FieldChange(field="name.family_name", old_value="Li", new_value="Bauer")
    row = log_row(activity("UPDATE_USER", fields=[change]), {})
    assert row.changes == [Change("name.familyName", "Li", "Bauer")]
    names = ("user_name", "emails", "enterprise.cost_center", "enterprise.manager", "urn:a:b_c")
    assert [attribute(name) for name in names] == [
        "userName",
        "emails",
        "costCenter",
        "manager",
        "urn:a:b_c",
    ]
