"""The servicer of AuditService."""
# ruff: noqa: N802 - names of the contract

from typing import TypeAlias
from uuid import uuid5

import grpc
from cloudacademy.keys.v1 import audit_pb2, audit_pb2_grpc

from chassis.clock import Clock
from chassis.errors import InvalidField
from chassis.rpc.uuids import read_uuid
from keysvc.domain.audit import REPORTED_ACTIONS, AuditEvent
from keysvc.domain.pages import AFTER_ALL, Position
from keysvc.rpc import convert, page_tokens
from keysvc.store.audit import AuditStore

Context: TypeAlias = "grpc.aio.ServicerContext[object, object]"


class AuditServicer(audit_pb2_grpc.AuditServiceServicer):
    """The audit trail of each organization."""

    def __init__(self, store: AuditStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def RecordAuditEvent(
        self, request: audit_pb2.RecordAuditEventRequest, context: Context
    ) -> audit_pb2.RecordAuditEventResponse:
        organization_id = read_uuid("organization_id", request.organization_id)
        action = convert.read_action("action", request.action)
        if action not in REPORTED_ACTIONS:
            raise InvalidField("action", "is recorded by the service itself")
        actor = convert.read_actor(request.actor)
        if not actor.actor_id:
            raise InvalidField("actor.id", "is required")
        user_id = read_uuid("user_id", request.user_id) if request.user_id else None
        await self._store.record(organization_id, action, actor, self._clock(), user_id)
        return audit_pb2.RecordAuditEventResponse()

    async def ListAuditEvents(
        self, request: audit_pb2.ListAuditEventsRequest, context: Context
    ) -> audit_pb2.ListAuditEventsResponse:
        organization_id = read_uuid("organization_id", request.organization_id)
        size = convert.read_page_size(request.page_size)
        actions = [convert.read_action("actions", each) for each in request.actions]
        # Refuses page tokens of the list of keys, and of other actions.
        scope = uuid5(organization_id, " ".join(["audit", *sorted(actions)]))
        start = page_tokens.from_token(scope, request.page_token, AFTER_ALL)
        events = await self._store.list_before(organization_id, start, size + 1, actions)
        page, next_page_token = convert.cut_page(scope, events, size, _position)
        return audit_pb2.ListAuditEventsResponse(
            events=[convert.audit_event_message(event) for event in page],
            next_page_token=next_page_token,
        )


def _position(event: AuditEvent) -> Position:
    return Position(event.create_time, event.event_id)
