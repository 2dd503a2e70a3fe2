"""The servicer of AuditService."""
# ruff: noqa: N802 - names of the contract

from typing import TypeAlias
from uuid import uuid5

import grpc
from cloudacademy.keys.v1 import audit_pb2, audit_pb2_grpc

from chassis.rpc.uuids import read_uuid
from keysvc.domain.audit import AuditEvent
from keysvc.domain.pages import AFTER_ALL, Position
from keysvc.rpc import convert, page_tokens
from keysvc.store.audit import AuditStore

Context: TypeAlias = "grpc.aio.ServicerContext[object, object]"


class AuditServicer(audit_pb2_grpc.AuditServiceServicer):
    """The audit trail of each organization."""

    def __init__(self, store: AuditStore) -> None:
        self._store = store

    async def ListAuditEvents(
        self, request: audit_pb2.ListAuditEventsRequest, context: Context
    ) -> audit_pb2.ListAuditEventsResponse:
        organization_id = read_uuid("organization_id", request.organization_id)
        size = convert.read_page_size(request.page_size)
        scope = uuid5(organization_id, "audit")  # refuses page tokens of the list of keys
        start = page_tokens.from_token(scope, request.page_token, AFTER_ALL)
        events = await self._store.list_before(organization_id, start, size + 1)
        page, next_page_token = convert.cut_page(scope, events, size, _position)
        return audit_pb2.ListAuditEventsResponse(
            events=[convert.audit_event_message(event) for event in page],
            next_page_token=next_page_token,
        )


def _position(event: AuditEvent) -> Position:
    return Position(event.create_time, event.event_id)
