"""The servicer of DomainService."""
# ruff: noqa: N802 - names of the contract

from typing import Final, TypeAlias

import grpc
from cloudacademy.keys.v1 import audit_pb2, domains_pb2, domains_pb2_grpc

from chassis.clock import Clock
from chassis.errors import InvalidField
from chassis.rpc.uuids import read_uuid
from keysvc.domain import sso_domains
from keysvc.domain.sso_domains import RECORD_PREFIX, DomainCheck, Outcome
from keysvc.rpc import convert
from keysvc.store.sso_domains import SsoDomainStore

Context: TypeAlias = "grpc.aio.ServicerContext[object, object]"

MAX_LEASES: Final = 100
_OUTCOMES: Final = {
    domains_pb2.RecordDomainCheckRequest.RESULT_FOUND: Outcome.FOUND,
    domains_pb2.RecordDomainCheckRequest.RESULT_NOT_FOUND: Outcome.NOT_FOUND,
    domains_pb2.RecordDomainCheckRequest.RESULT_UNAVAILABLE: Outcome.UNAVAILABLE,
}


class DomainServicer(domains_pb2_grpc.DomainServiceServicer):
    """The proofs of e-mail domains."""

    def __init__(self, store: SsoDomainStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def LeaseDomainChecks(
        self, request: domains_pb2.LeaseDomainChecksRequest, context: Context
    ) -> domains_pb2.LeaseDomainChecksResponse:
        if not 0 <= request.limit <= MAX_LEASES:
            raise InvalidField("limit", "must be 0 to 100")
        now = self._clock()
        leased = await self._store.lease(request.limit or MAX_LEASES, now)
        return domains_pb2.LeaseDomainChecksResponse(
            domains=[convert.domain_message(each, now) for each in leased]
        )

    async def RecordDomainCheck(
        self, request: domains_pb2.RecordDomainCheckRequest, context: Context
    ) -> domains_pb2.RecordDomainCheckResponse:
        organization_id = read_uuid("organization_id", request.organization_id)
        outcome = _OUTCOMES.get(request.result)
        if outcome is None:
            raise InvalidField("result", "is required")
        actor = None
        if request.actor != audit_pb2.Actor():
            actor = convert.read_actor(request.actor)
        token = request.record_value.removeprefix(RECORD_PREFIX)
        check = DomainCheck(organization_id, request.domain, token, outcome, actor)
        domain = await self._store.record_check(check, self._clock)
        return domains_pb2.RecordDomainCheckResponse(
            domain=convert.domain_message(domain, self._clock()) if domain else None
        )

    async def VerifyDomain(
        self, request: domains_pb2.VerifyDomainRequest, context: Context
    ) -> domains_pb2.VerifyDomainResponse:
        organization_id = read_uuid("organization_id", request.organization_id)
        domain = request.domain.strip().lower()
        sso_domains.check_domain("domain", domain)
        sso_domains.check_reason(request.reason)
        verified = await self._store.verify(
            organization_id, domain, request.reason, convert.read_actor(request.actor), self._clock
        )
        return domains_pb2.VerifyDomainResponse(
            domain=convert.domain_message(verified, self._clock())
        )
