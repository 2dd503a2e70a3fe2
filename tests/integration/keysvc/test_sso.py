"""Single sign-on connections: setup, test, activation, lookup and isolation."""

import asyncio

import pytest
from cloudacademy.keys.v1 import audit_pb2
from cloudacademy.keys.v1 import sso_pb2 as pb

from chassis.rpc.status import from_rpc_error
from tests.support.keysvc.replicas import MovableClock, Replica, refused
from tests.support.keysvc.sso_calls import (
    ANN,
    OTHER_PEM,
    PEM,
    activate,
    certificate,
    create_active,
    find,
    get,
    record_test,
    update,
    verify,
)

UNKNOWN_ID = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e11"


async def audit_events(keysvc: Replica, organization_id: str) -> list[tuple[str, list[str]]]:
    events = await keysvc.audit_events(organization_id)
    names = [
        (audit_pb2.AuditEvent.Action.Name(event.action).removeprefix("ACTION_"), list(event.fields))
        for event in reversed(events)
    ]
    return [(action, fields) for action, fields in names if action.startswith("SSO")]


async def test_new_connection_is_empty_and_inactive(keysvc: Replica):
    acme = await keysvc.create()
    found = await get(keysvc, acme)
    assert (found.etag, found.active, found.sso_url, list(found.certificates)) == (
        "0",
        False,
        "",
        [],
    )


async def test_setup_is_stored_and_recorded_in_the_audit_trail(keysvc: Replica):
    acme = await keysvc.create()

    connection = await update(keysvc, acme)

    assert connection == await get(keysvc, acme)
    assert (connection.sso_url, connection.idp_entity_id) == (
        "https://login.example/saml2", "https://sts.example/",
    )  # fmt: skip
    assert list(connection.certificates) == [PEM]
    assert list(connection.domains) == ["acme.test"]
    assert await audit_events(keysvc, acme) == [
        ("SSO_UPDATED", ["sso_url", "idp_entity_id", "certificates", "domains"])
    ]


async def test_connection_cannot_be_activated_before_a_test(keysvc: Replica):
    acme = await keysvc.create()
    connection = await update(keysvc, acme)
    with refused("SSO_NOT_TESTED"):
        await activate(keysvc, acme)

    tested = await record_test(keysvc, acme, connection.etag)
    assert tested.HasField("test_time")
    assert (await activate(keysvc, acme)).active


@pytest.mark.parametrize(
    "change",
    [
        {"sso_url": "https://login.example/other"},
        {"idp_entity_id": "urn:other"},
        {"certificates": [PEM, OTHER_PEM]},
    ],
)
async def test_change_of_the_identity_provider_invalidates_the_test(keysvc: Replica, change: dict):
    acme = await keysvc.create()
    await create_active(keysvc, acme)

    changed = await update(keysvc, acme, **change)

    assert not changed.active
    assert not changed.HasField("test_time")
    assert [action for action, _ in await audit_events(keysvc, acme)] == [
        "SSO_UPDATED", "SSO_TESTED", "SSO_ACTIVATED", "SSO_UPDATED", "SSO_DEACTIVATED",
    ]  # fmt: skip


async def test_other_changes_leave_a_connection_active(keysvc: Replica):
    acme = await keysvc.create()
    await create_active(keysvc, acme)
    changed = await update(keysvc, acme, create_missing_users=True, domains=["acme.example"])
    assert changed.active
    assert changed.HasField("test_time")
    assert list(changed.domains) == ["acme.example"]


async def test_update_with_an_equal_setup_changes_nothing(keysvc: Replica):
    acme = await keysvc.create()
    connection = await create_active(keysvc, acme)
    assert await update(keysvc, acme) == connection
    assert await activate(keysvc, acme) == connection
    assert len(await audit_events(keysvc, acme)) == 3


async def test_concurrent_update_with_the_same_etag_is_refused(keysvc: Replica):
    acme = await keysvc.create()
    connection = await update(keysvc, acme)
    outcomes = await asyncio.gather(
        *(
            update(keysvc, acme, connection.etag, idp_entity_id=f"urn:{number}")
            for number in range(5)
        ),
        return_exceptions=True,
    )  # fmt: skip
    assert sum(isinstance(outcome, pb.SsoConnection) for outcome in outcomes) == 1
    with refused("ETAG_MISMATCH"):
        await update(keysvc, acme, connection.etag, idp_entity_id="urn:late")


async def test_update_with_a_stale_etag_in_the_connection_is_refused(keysvc: Replica):
    acme = await keysvc.create()
    read = await update(keysvc, acme)
    current = await update(keysvc, acme, idp_entity_id="urn:other")
    read.idp_entity_id = "urn:late"
    for etag in ("", current.etag):
        with refused("ETAG_MISMATCH"):
            await keysvc.sso.UpdateSsoConnection(
                pb.UpdateSsoConnectionRequest(
                    organization_id=acme, connection=read, etag=etag, actor=ANN
                )
            )
    assert await get(keysvc, acme) == current


async def test_sign_in_test_of_an_outdated_setup_is_refused(keysvc: Replica):
    acme = await keysvc.create()
    connection = await update(keysvc, acme)
    await update(keysvc, acme, idp_entity_id="urn:other")
    with refused("ETAG_MISMATCH"):
        await record_test(keysvc, acme, connection.etag)
    initech = await keysvc.create("Initech")
    with refused("ETAG_MISMATCH"):
        await record_test(keysvc, initech, "0")


async def test_email_finds_the_active_connection_of_its_domain(keysvc: Replica):
    acme = await keysvc.create()
    connection = await create_active(keysvc, acme)
    for email in ("ann@acme.test", "Ann@ACME.test", "odd@name@acme.test"):
        assert await find(keysvc, email=email) == connection
    for email in ("ann@sub.acme.test", "acme.test", "@", "", "ann@initech.test"):
        with refused("SSO_CONNECTION_NOT_FOUND"):
            await find(keysvc, email=email)


async def test_inactive_connection_is_found_only_by_its_organization(keysvc: Replica):
    acme = await keysvc.create()
    connection = await create_active(keysvc, acme)
    request = pb.DeactivateSsoConnectionRequest(organization_id=acme, actor=ANN)
    await keysvc.sso.DeactivateSsoConnection(request)

    with refused("SSO_CONNECTION_NOT_FOUND"):
        await find(keysvc, email="ann@acme.test")
    assert (await find(keysvc, organization_id=acme)).sso_url == connection.sso_url
    initech = await keysvc.create("Initech")
    for organization_id in (initech, UNKNOWN_ID):
        with refused("SSO_CONNECTION_NOT_FOUND"):
            await find(keysvc, organization_id=organization_id)


async def test_several_organizations_claim_a_domain_and_one_proves_it(keysvc: Replica):
    acme, initech = await keysvc.create("Acme"), await keysvc.create("Initech")
    await create_active(keysvc, acme)
    claimed = await update(keysvc, initech, domains=["initech.test", "ACME.test"])
    assert list(claimed.domains) == ["acme.test", "initech.test"]
    with refused("SSO_DOMAIN_TAKEN"):
        await verify(keysvc, initech, "acme.test")
    assert (await find(keysvc, email="ann@acme.test")).organization_id == acme

    await update(keysvc, acme, domains=[])
    await verify(keysvc, initech, "acme.test")


async def test_organizations_that_swap_domains_do_not_deadlock(
    keysvc: Replica,
):
    acme, initech = await keysvc.create("Acme"), await keysvc.create("Initech")
    for _ in range(10):
        await asyncio.gather(
            update(keysvc, acme, domains=["initech.test", "a.test"]),
            update(keysvc, initech, domains=["acme.test", "a.test"]),
        )
        await asyncio.gather(
            update(keysvc, acme, domains=["acme.test", "a.test"]),
            update(keysvc, initech, domains=["initech.test", "a.test"]),
        )
    assert list((await get(keysvc, acme)).domains) == ["a.test", "acme.test"]
    assert list((await get(keysvc, initech)).domains) == ["a.test", "initech.test"]


async def test_one_of_concurrent_organizations_proves_a_domain(keysvc: Replica):
    organizations = [await keysvc.create(name) for name in ("Acme", "Initech", "Globex")]
    for organization_id in organizations:
        await update(keysvc, organization_id, domains=["a.test"])

    outcomes = await asyncio.gather(
        *(verify(keysvc, organization_id, "a.test") for organization_id in organizations),
        return_exceptions=True,
    )

    reasons = [from_rpc_error(outcome).reason for outcome in outcomes if outcome is not None]
    assert reasons == ["SSO_DOMAIN_TAKEN"] * 2


async def test_connection_is_invisible_to_other_organizations(keysvc: Replica):
    acme, initech = await keysvc.create("Acme"), await keysvc.create("Initech")
    await create_active(keysvc, acme)
    assert (await get(keysvc, initech)).sso_url == ""
    assert await audit_events(keysvc, initech) == []
    with refused("ORGANIZATION_NOT_FOUND"):
        await get(keysvc, UNKNOWN_ID)


@pytest.mark.parametrize(
    "changes",
    [
        {"sso_url": ""},
        {"sso_url": "http://login.example/"},
        {"sso_url": "javascript:alert(1)"},
        {"sso_url": "https://ann:secret@login.example/"},
        {"sso_url": "https://[login/"},
        {"sso_url": "https://login.example:99999/"},
        {"sso_url": "https://login.example/#saml"},
        {"sso_url": 'https://login.example/"><x'},
        {"sso_url": "https://login.example/" + "x" * 2_000},
        {"idp_entity_id": ""},
        {"idp_entity_id": "urn:\n"},
        {"idp_entity_id": "x" * 1_025},
        {"certificates": []},
        {"certificates": [PEM] * 6},
        {"certificates": ["nonsense"]},
        {"certificates": [PEM + OTHER_PEM]},
        {"certificates": [PEM.replace("A", "B", 1)]},
        {"domains": ["acme"]},
        {"domains": ["ac me.test"]},
        {"domains": ["-acme.test"]},
        {"domains": ["acme.test", "gmail.com"]},
        {"domains": [f"{number}.test" for number in range(6)]},
    ],
)
async def test_invalid_sso_setup_is_refused(keysvc: Replica, changes: dict):
    acme = await keysvc.create()
    with refused("INVALID_FIELD"):
        await update(keysvc, acme, **changes)
    assert (await get(keysvc, acme)).etag == "0"


async def test_expired_or_weak_certificate_is_refused(keysvc: Replica, clock: MovableClock):
    acme = await keysvc.create()
    for pem in (certificate(end=clock()), certificate(bits=1_024)):
        with refused("INVALID_FIELD"):
            await update(keysvc, acme, certificates=[pem])


async def test_identity_provider_on_loopback_needs_no_tls(keysvc: Replica):
    acme = await keysvc.create()
    assert (await update(keysvc, acme, sso_url="http://127.0.0.1:8443/sso")).sso_url
