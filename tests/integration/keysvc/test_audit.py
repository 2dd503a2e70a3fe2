"""The audit trail: its events, their order, and who may list them."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest
from cloudacademy.keys.v1 import audit_pb2
from cloudacademy.keys.v1 import keys_pb2 as pb

from chassis.rpc.timestamps import to_timestamp
from tests.support.keysvc.replicas import MovableClock, Replica, refused, running_replica

ANN = audit_pb2.Actor(id="u1", display_name="ann@acme.test", address="192.0.2.1")
UNKNOWN_ID = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e11"
Event = audit_pb2.AuditEvent


def actions(events: Sequence[audit_pb2.AuditEvent]) -> list[str]:
    """The actions, oldest first."""
    return [Event.Action.Name(event.action).removeprefix("ACTION_") for event in reversed(events)]


async def test_audit_event_has_actor_and_address(keysvc: Replica, clock: MovableClock):
    acme = await keysvc.create()
    clock.advance(seconds=1)
    fields = {"organization_id": acme, "actor": ANN}
    await keysvc.integrations.DeactivateIntegration(pb.DeactivateIntegrationRequest(**fields))
    await keysvc.integrations.ActivateIntegration(pb.ActivateIntegrationRequest(**fields))
    generated = (await keysvc.keys.GenerateKey(pb.GenerateKeyRequest(**fields))).key
    revoke = pb.RevokeKeyRequest(key_id=generated.id, **fields)
    revoked = (await keysvc.keys.RevokeKey(revoke)).key

    events = (await keysvc.audit_events(acme))[:4]

    common = {"organization_id": acme, "create_time": to_timestamp(clock()), "actor": ANN}
    assert events[::-1] == [
        Event(id=event.id, action=action, key_id=key_id, **common)
        for event, action, key_id in zip(
            events[::-1],
            (
                Event.ACTION_INTEGRATION_DEACTIVATED,
                Event.ACTION_INTEGRATION_ACTIVATED,
                Event.ACTION_KEY_GENERATED,
                Event.ACTION_KEY_REVOKED,
            ),
            ("", "", generated.id, generated.id),
            strict=True,
        )
    ]
    assert {UUID(event.id).version for event in events} == {7}
    assert (generated.created_by, generated.created_by_name) == ("u1", "ann@acme.test")
    assert (revoked.revoked_by, revoked.revoked_by_name) == ("u1", "ann@acme.test")


async def test_missing_actor_is_replaced_by_the_author_of_the_key(keysvc: Replica):
    acme = await keysvc.create()
    await keysvc.revoke((await keysvc.generate(acme, created_by="ann")).key)

    assert [event.actor for event in await keysvc.audit_events(acme)] == [
        audit_pb2.Actor(id="bob", display_name="bob"),
        audit_pb2.Actor(id="ann", display_name="ann"),
        audit_pb2.Actor(),
    ]


async def test_audit_trail_omits_refused_and_ineffective_requests(keysvc: Replica):
    acme = await keysvc.create()
    generated = await keysvc.generate(acme)
    await keysvc.activate(acme)
    await keysvc.revoke(generated.key)
    await keysvc.revoke(generated.key)
    await keysvc.deactivate(acme)
    await keysvc.deactivate(acme)
    with refused("INTEGRATION_NOT_ACTIVE"):
        await keysvc.generate(acme)
    with refused("KEY_NOT_FOUND"):
        await keysvc.revoke(pb.Key(organization_id=acme, id=UNKNOWN_ID))

    assert actions(await keysvc.audit_events(acme)) == [
        "INTEGRATION_ACTIVATED",
        "KEY_GENERATED",
        "KEY_REVOKED",
        "INTEGRATION_DEACTIVATED",
    ]


async def test_concurrent_actions_are_recorded_in_their_order(
    keysvc: Replica, keys_url: str, clock: MovableClock
):
    acme = await keysvc.create()
    generated = await keysvc.generate(acme)
    async with running_replica(keys_url, clock) as second_replica:
        calls = [
            replica.revoke(generated.key) for replica in (keysvc, second_replica) for _ in range(4)
        ]
        calls += [
            switch(acme)
            for replica in (keysvc, second_replica)
            for switch in (replica.deactivate, replica.activate) * 4
        ]
        await asyncio.gather(*calls)

    recorded = actions(await keysvc.audit_events(acme))
    switches = [action for action in recorded if action.startswith("INTEGRATION")]
    alternating = ["INTEGRATION_ACTIVATED", "INTEGRATION_DEACTIVATED"] * 20
    assert recorded.count("KEY_REVOKED") == 1
    assert switches == alternating[: len(switches)]


async def test_audit_events_are_invisible_to_other_organizations(keysvc: Replica):
    acme, initech = await keysvc.create("Acme"), await keysvc.create("Initech")
    await keysvc.generate(initech)

    assert actions(await keysvc.audit_events(acme)) == ["INTEGRATION_ACTIVATED"]
    assert {event.organization_id for event in await keysvc.audit_events(initech)} == {initech}


async def test_audit_events_are_listed_newest_first_in_pages(keysvc: Replica, clock: MovableClock):
    acme = await keysvc.create()
    for _ in range(2):
        await keysvc.deactivate(acme)
        await keysvc.activate(acme)  # at the same clock time
        clock.advance(seconds=1)
    sizes, events = [], []
    request = audit_pb2.ListAuditEventsRequest(organization_id=acme, page_size=2)

    while not sizes or request.page_token:
        page = await keysvc.audit.ListAuditEvents(request)
        sizes.append(len(page.events))
        events += page.events
        request.page_token = page.next_page_token

    assert sizes == [2, 2, 1]
    assert events == await keysvc.audit_events(acme)
    assert actions(events) == [
        "INTEGRATION_ACTIVATED",
        "INTEGRATION_DEACTIVATED",
        "INTEGRATION_ACTIVATED",
        "INTEGRATION_DEACTIVATED",
        "INTEGRATION_ACTIVATED",
    ]


async def test_a_page_token_of_another_list_is_refused(keysvc: Replica):
    acme, initech = await keysvc.create("Acme"), await keysvc.create("Initech")
    await keysvc.generate(acme)
    await keysvc.generate(acme)
    keys = await keysvc.keys.ListKeys(pb.ListKeysRequest(organization_id=acme, page_size=1))
    request = audit_pb2.ListAuditEventsRequest(organization_id=acme, page_size=1)
    events = await keysvc.audit.ListAuditEvents(request)

    for organization_id, token in (
        (acme, keys.next_page_token),
        (initech, events.next_page_token),
    ):
        with refused("INVALID_PAGE_TOKEN"):
            await keysvc.audit.ListAuditEvents(
                audit_pb2.ListAuditEventsRequest(organization_id=organization_id, page_token=token)
            )


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (audit_pb2.ListAuditEventsRequest(organization_id=UNKNOWN_ID), "ORGANIZATION_NOT_FOUND"),
        (audit_pb2.ListAuditEventsRequest(organization_id="acme"), "INVALID_FIELD"),
        (
            audit_pb2.ListAuditEventsRequest(organization_id=UNKNOWN_ID, page_size=-1),
            "INVALID_FIELD",
        ),
    ],
)
async def test_invalid_list_request_is_refused(keysvc: Replica, request_: object, reason: str):
    with refused(reason):
        await keysvc.audit.ListAuditEvents(request_)


@pytest.mark.parametrize(
    "actor",
    [
        audit_pb2.Actor(id="x" * 201),
        audit_pb2.Actor(display_name="x" * 1_025),
        audit_pb2.Actor(address="here"),
    ],
)
async def test_request_with_an_invalid_actor_is_refused_without_effect(
    keysvc: Replica, actor: audit_pb2.Actor
):
    acme = await keysvc.create()

    with refused("INVALID_FIELD"):
        await keysvc.keys.GenerateKey(pb.GenerateKeyRequest(organization_id=acme, actor=actor))

    assert await keysvc.list(acme) == []


async def test_reported_actions_are_recorded_and_listed_by_kind(keysvc: Replica):
    acme, globex = await keysvc.create(), await keysvc.create()
    user_id = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e12"
    for action, target in ((Event.ACTION_SIGNED_IN, ""), (Event.ACTION_SESSIONS_ENDED, user_id)):
        request = audit_pb2.RecordAuditEventRequest(
            organization_id=acme, actor=ANN, action=action, user_id=target
        )
        await keysvc.audit.RecordAuditEvent(request)

    async def listed(organization_id: str, *kinds: Event.Action) -> list[tuple[str, str]]:
        request = audit_pb2.ListAuditEventsRequest(organization_id=organization_id, actions=kinds)
        events = (await keysvc.audit.ListAuditEvents(request)).events
        return [
            (Event.Action.Name(event.action).removeprefix("ACTION_"), event.user_id)
            for event in events
        ]

    assert (await listed(acme))[:2] == [("SESSIONS_ENDED", user_id), ("SIGNED_IN", "")]
    assert await listed(acme, Event.ACTION_SIGNED_IN) == [("SIGNED_IN", "")]
    assert await listed(acme, Event.ACTION_LOG_EXPORTED) == []
    both = (Event.ACTION_SIGNED_IN, Event.ACTION_SESSIONS_ENDED, Event.ACTION_SIGNED_IN)
    assert await listed(acme, *both) == [("SESSIONS_ENDED", user_id), ("SIGNED_IN", "")]
    assert await listed(globex, Event.ACTION_SIGNED_IN, Event.ACTION_SESSIONS_ENDED) == []


async def test_page_token_of_other_actions_is_refused(keysvc: Replica):
    acme = await keysvc.create()
    for _ in range(3):
        await keysvc.deactivate(acme)
        await keysvc.activate(acme)
    request = audit_pb2.ListAuditEventsRequest(organization_id=acme, page_size=2)
    request.page_token = (await keysvc.audit.ListAuditEvents(request)).next_page_token
    request.actions.append(Event.ACTION_INTEGRATION_ACTIVATED)
    with refused("INVALID_PAGE_TOKEN"):
        await keysvc.audit.ListAuditEvents(request)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"action": Event.ACTION_KEY_GENERATED}, "action"),
        ({"action": Event.ACTION_UNSPECIFIED}, "action"),
        ({"action": 99}, "action"),
        ({"actor": audit_pb2.Actor()}, "actor.id"),
        ({"user_id": "ann"}, "user_id"),
    ],
)
async def test_invalid_report_is_refused_and_not_recorded(
    keysvc: Replica, changes: dict[str, object], field: str
):
    acme = await keysvc.create()
    before = await keysvc.audit_events(acme)
    values = {"organization_id": acme, "actor": ANN, "action": Event.ACTION_SIGNED_IN} | changes
    with refused("INVALID_FIELD") as refusal:
        await keysvc.audit.RecordAuditEvent(audit_pb2.RecordAuditEventRequest(**values))
    assert refusal().metadata["field"] == field
    assert await keysvc.audit_events(acme) == before
