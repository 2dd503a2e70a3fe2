"""The entry of a refused request in the provisioning log."""

import json

import pytest
from cloudacademy.users.v1.activity_pb2 import Activity

from gateway.auth.authenticator import Caller
from gateway.provisioning_log.entry import RefusedRequest, refused_write_entry
from gateway.scim.errors import ScimError

USER = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e11"
CALLER = Caller("0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e12", "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e13")
KEY = "cak_us_" + "A1b2" * 17 + "abc"


def refused(
    method: str, endpoint: str, document: object = None, **fields: object
) -> RefusedRequest:
    body = b"" if document is None else json.dumps(document).encode()
    defaults = {
        "caller": CALLER,
        "request_id": "1",
        "method": method,
        "target": f"/{endpoint}",
        "endpoint": endpoint,
        "resource_id": "",
        "body": body,
        "client_address": "192.0.2.1",
        "client": "Okta",
        "error": ScimError(400, "invalidValue", "No."),
    }
    return RefusedRequest(**(defaults | fields))


def patch(*operations: dict[str, object]) -> dict[str, object]:
    return {"Operations": list(operations)}


@pytest.mark.parametrize(
    ("method", "endpoint", "document", "action"),
    [
        ("POST", "Users", {"userName": "a"}, "CREATE_USER"),
        ("PUT", "Users", {"userName": "a", "active": True}, "UPDATE_USER"),
        ("PUT", "Users", {"userName": "a", "active": False}, "DISABLE_USER"),
        ("PATCH", "Users", patch({"op": "Replace", "path": "title", "value": "a"}), "UPDATE_USER"),
        (
            "PATCH",
            "Users",
            patch({"op": "Replace", "path": "active", "value": "False"}),
            "DISABLE_USER",
        ),
        ("PATCH", "Users", patch({"op": "replace", "value": {"active": False}}), "DISABLE_USER"),
        ("PATCH", "Users", patch({"op": "replace", "value": {"active": True}}), "RESTORE_USER"),
        (
            "PATCH",
            "Users",
            patch({"op": "replace", "value": {"active": True, "title": "a"}}),
            "UPDATE_USER",
        ),
        ("DELETE", "Users", None, "DELETE_USER"),
        ("POST", "Groups", {"displayName": "a"}, "CREATE_GROUP"),
        ("PATCH", "Groups", patch({"op": "add", "path": "members", "value": []}), "ADD_MEMBERS"),
        (
            "PATCH",
            "Groups",
            patch({"op": "Remove", "path": 'members[value eq "a"]'}),
            "REMOVE_MEMBERS",
        ),
        (
            "PATCH",
            "Groups",
            patch({"op": "add", "path": "members"}, {"op": "remove", "path": "members"}),
            "UPDATE_GROUP",
        ),
        ("POST", "Bulk", {"Operations": []}, "OTHER"),
        ("PATCH", "Users", patch({"op": "replace"}), "UPDATE_USER"),
        ("PATCH", "Users", {"Operations": ["x", 3]}, "UPDATE_USER"),
        ("PATCH", "Users", ["x"], "UPDATE_USER"),
    ],
)
def test_entry_has_the_action_of_the_request(
    method: str, endpoint: str, document: object, action: str
):
    entry = refused_write_entry(refused(method, endpoint, document))
    assert entry.action == Activity.Action.Value(f"ACTION_{action}")


def test_entry_has_the_caller_the_resource_and_the_error():
    entry = refused_write_entry(refused("POST", "Users", {"USERNAME": "ann"}, resource_id=USER))
    assert (entry.resource_name, entry.resource_id) == ("ann", USER)
    assert (entry.organization_id, entry.key_id) == (CALLER.organization_id, CALLER.key_id)
    assert (entry.refusal.status, entry.refusal.error_type) == (400, "invalidValue")
    assert (entry.refusal.detail, entry.refusal.client_address) == ("No.", "192.0.2.1")
    assert entry.client == "Okta"


def test_search_by_post_is_not_a_write():
    assert not refused("POST", "Users", target="/Users/.search").is_write
    assert not refused("POST", "", target="/.search/?x=1").is_write
    assert not refused("GET", "Users").is_write
    assert refused("POST", "Users").is_write


@pytest.mark.parametrize(
    "document",
    [
        {"userName": "a", "password": "hunter2"},
        {"userName": "a", "PassWord": {"value": "hunter2"}},
        patch({"op": "replace", "path": "password", "value": "hunter2"}),
        patch({"op": "replace", "value": {"password": "hunter2"}}),
    ],
)
def test_entry_contains_no_password(document: object):
    entry = refused_write_entry(refused("POST", "Users", document))
    assert "hunter2" not in str(entry)
    assert "not kept" in entry.refusal.body


def test_invalid_json_with_a_password_is_not_kept():
    entry = refused_write_entry(refused("POST", "Users", body=b'{"password": "hunter2"'))
    assert entry.refusal.body == "not kept"


def test_body_without_a_password_is_kept_as_sent():
    body = b'{ "userName" :"a" , "a":1e3 }'
    assert refused_write_entry(refused("POST", "Users", body=body)).refusal.body == body.decode()


def test_entry_contains_no_api_key_from_body_target_or_error():
    error = ScimError(404, None, f'There is nothing at "/{KEY}".')
    document = {"userName": KEY}
    entry = refused_write_entry(
        refused("POST", "Users", document, target=f"/Users?access_token={KEY}", error=error)
    )
    assert KEY[10:30] not in str(entry)
    assert entry.refusal.target == "/Users?access_token=cak_us_…"


def test_body_is_made_storable_in_postgresql_and_truncated():
    entry = refused_write_entry(refused("POST", "Users", body=b"\xff\x00" + b"x" * 10_000))
    assert "\0" not in entry.refusal.body
    assert len(entry.refusal.body) == 4_096
