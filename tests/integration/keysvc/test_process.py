"""The process: commands, log and shutdown."""

import json
import signal
from collections.abc import Iterator
from uuid import UUID

import asyncpg
import grpc
import pytest
from cloudacademy.keys.v1 import keys_pb2 as pb
from cloudacademy.keys.v1 import keys_pb2_grpc

from tests.support.keysvc.process import Keysvc

ID = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e11"
KEY = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e12"


@pytest.fixture
def keysvc(keys_url: str) -> Iterator[Keysvc]:
    return Keysvc(keys_url)


def test_operator_creates_an_organization_and_a_key_and_revokes_it(keysvc: Keysvc):
    created = keysvc.run_json("create-organization", "--display-name", "Acme", "--id", ID)
    active = keysvc.run_json("activate-integration", ID)
    generated = keysvc.run_json("generate-key", ID, "--created-by", "ops")
    revoked = keysvc.run_json("revoke-key", ID, generated["key"]["id"])
    listed = keysvc.run_json("list-keys", ID)
    inactive = keysvc.run_json("deactivate-integration", ID)

    assert created["organization"] == {
        "id": ID,
        "display_name": "Acme",
        "region": "REGION_US",
        "create_time": created["organization"]["create_time"],
    }
    assert active["integration"]["state"] == "STATE_ACTIVE"
    assert generated["key"] == {
        "id": generated["key"]["id"],
        "organization_id": ID,
        "create_time": generated["key"]["create_time"],
        "created_by": "ops",
        "created_by_name": "operator ops",
    }
    assert revoked["key"] == generated["key"] | {
        "revoke_time": revoked["key"]["revoke_time"],
        "revoked_by": "operator",
        "revoked_by_name": "operator",
    }
    assert listed == {"keys": [revoked["key"]]}
    assert inactive["integration"]["state"] == "STATE_INACTIVE"


def test_audit_trail_contains_commands_of_operators(keysvc: Keysvc):
    keysvc.run_json("create-organization", "--display-name", "Acme", "--id", ID)
    keysvc.run_json("activate-integration", ID, "--by", "Ann of support")
    keysvc.run_json("activate-integration", ID)
    key = keysvc.run_json("generate-key", ID, "--created-by", "ops")["key"]["id"]
    keysvc.run_json("revoke-key", ID, key)

    events = keysvc.run_json("list-audit-events", ID)["events"]

    assert [
        (event["action"], event["actor"], event.get("key_id")) for event in reversed(events)
    ] == [
        (
            "ACTION_INTEGRATION_ACTIVATED",
            {"id": "operator", "display_name": "operator Ann of support"},
            None,
        ),
        ("ACTION_KEY_GENERATED", {"id": "operator", "display_name": "operator ops"}, key),
        ("ACTION_KEY_REVOKED", {"id": "operator", "display_name": "operator"}, key),
    ]


async def test_operator_verifies_and_releases_a_domain(keysvc: Keysvc, keys_url: str):
    keysvc.run_json("create-organization", "--display-name", "Acme", "--id", ID)
    database = await asyncpg.connect(keys_url)
    await database.execute(
        "INSERT INTO sso_connections VALUES"
        " ($1, 1, true, now(), now(), 'https://login.example/', 'urn:idp', '{PEM}', false)",
        UUID(ID),
    )
    await database.execute(
        "INSERT INTO sso_domains (organization_id, domain) VALUES ($1, 'acme.test')", UUID(ID)
    )
    await database.close()

    before = keysvc.run_json("get-sso-connection", ID)["connection"]
    claimed = keysvc.run("release-sso-domain", "acme.test")
    refused = keysvc.run("verify-domain", ID, "other.test", "--reason", "The customer called.")
    verified = keysvc.run_json(
        "verify-domain", ID, "Acme.test", "--reason", "The customer called.", "--by", "bob"
    )["domain"]
    released = keysvc.run_json("release-sso-domain", "ACME.test", "--by", "ann")["connection"]
    repeated = keysvc.run("release-sso-domain", "acme.test")
    inactive = keysvc.run_json("deactivate-sso-connection", ID)["connection"]
    events = keysvc.run_json("list-audit-events", ID)["events"]

    assert (before["active"], before["domains"]) == (True, ["acme.test"])
    assert (released["active"], "domains" in released, released["etag"]) == (True, False, "2")
    assert claimed == (1, "", "keysvc: No single sign-on connection was found.\n")
    assert refused == (1, "", "keysvc: domain: is not a domain of the organization\n")
    assert (verified["state"], verified["verified_by_operator"]) == ("STATE_PROVEN", True)
    assert repeated == (1, "", "keysvc: No single sign-on connection was found.\n")
    assert "active" not in inactive
    assert [
        (event["action"], event["actor"]["display_name"], event.get("reason", ""))
        for event in events
    ] == [
        ("ACTION_SSO_DEACTIVATED", "operator", ""),
        ("ACTION_SSO_UPDATED", "operator ann", ""),
        ("ACTION_DOMAIN_VERIFIED", "operator bob", "The customer called."),
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (
            ("generate-key", ID, "--created-by", "ops"),
            1,
            f"keysvc: This region has no organization {ID}.\n",
        ),
        (
            ("revoke-key", ID, KEY),
            1,
            f"keysvc: The organization {ID} has no API key {KEY}.\n",
        ),
        (
            ("list-keys", "acme"),
            1,
            "keysvc: ORGANIZATION: must be a UUID such as 0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e11\n",
        ),
        (
            ("create-organization", "--display-name", ""),
            1,
            "keysvc: organization.display_name: must have 1 to 200 characters\n",
        ),
    ],
)
def test_refused_command_prints_one_line(
    keysvc: Keysvc, arguments: tuple[str, ...], code: int, error: str
):
    assert keysvc.run(*arguments) == (code, "", error)


@pytest.mark.parametrize("arguments", [(), ("serve", "now"), ("generate-key", ID), ("list-keys",)])
def test_command_with_invalid_arguments_prints_its_usage(
    keysvc: Keysvc, arguments: tuple[str, ...]
):
    code, output, errors = keysvc.run(*arguments)
    assert (code, output) == (2, "")
    assert errors.startswith("usage: python -m keysvc")


@pytest.mark.parametrize("command", ["serve", "migrate", "list-keys"])
def test_missing_setting_is_reported_by_name(keysvc: Keysvc, command: str):
    del keysvc.environment["KEYSVC_REGION"]
    arguments = [command, ID] if command == "list-keys" else [command]
    assert keysvc.run(*arguments) == (2, "", "keysvc: KEYSVC_REGION is not set\n")


@pytest.mark.parametrize("command", ["migrate", "list-keys"])
def test_command_without_a_database_prints_one_line(keysvc: Keysvc, command: str):
    keysvc.environment["KEYSVC_DATABASE_URL"] = "postgresql://nobody@127.0.0.1:1/nothing"
    arguments = [command, ID] if command == "list-keys" else [command]
    code, output, errors = keysvc.run(*arguments)
    assert (code, output, errors.count("\n")) == (1, "", 1)


def test_process_on_a_public_address_does_not_start_without_tls(keysvc: Keysvc):
    keysvc.environment["KEYSVC_LISTEN"] = "0.0.0.0:0"
    code, _, errors = keysvc.run("serve")
    assert code == 1
    assert errors == (
        "other machines can reach '0.0.0.0:0': set TLS_CERTIFICATE, TLS_KEY and TLS_AUTHORITY "
        "(docs/operations.md), or listen on 127.0.0.1\n"
    )


def test_migrating_twice_changes_nothing(keysvc: Keysvc):
    assert keysvc.run_json("migrate") == {"applied": []}


def test_process_serves_without_logging_tokens_and_stops_on_sigterm(keysvc: Keysvc):
    keysvc.run_json("create-organization", "--display-name", "Acme", "--id", ID)
    keysvc.run_json("activate-integration", ID)
    token = keysvc.run_json("generate-key", ID, "--created-by", "ops")["token"]
    process = keysvc.serve()
    assert process.stdout is not None
    lines = map(json.loads, process.stdout)
    address = next(line["address"] for line in lines if line["event"] == "listening")
    with grpc.insecure_channel(address) as channel:
        keys = keys_pb2_grpc.KeyServiceStub(channel)
        request = pb.AuthenticateRequest(token=token, client_address="192.0.2.1")
        response = keys.Authenticate(request, timeout=10)
        with pytest.raises(grpc.RpcError):
            keys.Authenticate(pb.AuthenticateRequest(token=token[:-1]), timeout=10)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)

    outcomes = [
        entry["outcome"]
        for entry in map(json.loads, output.splitlines())
        if entry["event"] == "call"
    ]
    assert response.organization_id == ID
    assert outcomes == ["OK", "KEY_MALFORMED"]
    assert process.returncode == 0
    assert token[7:77] not in output
    assert keysvc.run_json("list-keys", ID)["keys"][0]["last_used_address"] == "192.0.2.1"
