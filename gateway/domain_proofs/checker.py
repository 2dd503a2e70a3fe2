"""Checks e-mail domains: regularly, and when an administrator asks for a check."""

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from cloudacademy.keys.v1.audit_pb2 import Actor
from cloudacademy.keys.v1.domains_pb2 import (
    Domain,
    LeaseDomainChecksRequest,
    RecordDomainCheckRequest,
)

from chassis.observability.log import Logger
from chassis.observability.metrics import Metrics
from gateway.backend.client import Origin, call
from gateway.backend.errors import RefusedError
from gateway.outbound.errors import OutboundError, OutboundReason
from gateway.outbound.resolver import TxtLookups

if TYPE_CHECKING:
    from cloudacademy.keys.v1.domains_pb2_grpc import DomainServiceAsyncStub

POLL_SECONDS: Final = 5.0
"""The time between two leases, unless more checks are due."""
MAX_CHECKS: Final = 20
"""The maximum number of domains in a lease. They are checked at the same time. The time limits of a
lookup and of recording its result end well before the lease."""

Result = RecordDomainCheckRequest.Result


class DomainChecker:
    """Looks up the TXT records of domains, and records the results in keysvc."""

    def __init__(
        self,
        stub: "DomainServiceAsyncStub",
        txt_lookups: TxtLookups,
        log: Logger,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._stub = stub
        self._txt_lookups = txt_lookups
        self._log = log
        self._poll_seconds = poll_seconds
        self._results: Counter[str] = Counter()

    def observe(self, metrics: Metrics) -> None:
        """Publish the metrics."""
        metrics.counters(
            "domain_checks",
            "Checks of the TXT records that prove e-mail domains.",
            "result",
            lambda: {
                name.removeprefix("RESULT_").lower(): self._results[name]
                for name, number in Result.items()
                if number
            },
        )

    async def run(self) -> None:
        """Check the domains that are due, until it is cancelled."""
        while True:
            try:
                is_full = await self._check_due()
            except RefusedError as error:
                # A domain whose check was not recorded becomes due again.
                self._log.warning("domain checks not leased", reason=error.reason)
                is_full = False
            if not is_full:
                await asyncio.sleep(self._poll_seconds)

    async def check(
        self, domain: Domain, request_id: str, actor: Actor | None = None
    ) -> "tuple[Result, Domain]":
        """Check a domain now. Returns the result, and the domain as keysvc has updated it.

        Raises RefusedError, with SSO_DOMAIN_TAKEN if another organization has proven the domain.
        """
        result = await self._look_up(domain)
        self._results[Result.Name(result)] += 1
        request = RecordDomainCheckRequest(
            organization_id=domain.organization_id,
            domain=domain.name,
            record_value=domain.record_value,
            result=result,
            actor=actor,
        )
        response = await call(self._stub.RecordDomainCheck, request, Origin(request_id))
        return result, response.domain

    async def _check_due(self) -> bool:
        """Check a batch of domains. Returns whether more may be due."""
        origin = Origin(str(uuid4()))
        request = LeaseDomainChecksRequest(limit=MAX_CHECKS)
        leased = (await call(self._stub.LeaseDomainChecks, request, origin)).domains
        await asyncio.gather(*(self._check_leased(each, origin.request_id) for each in leased))
        return len(leased) == MAX_CHECKS

    async def _check_leased(self, domain: Domain, request_id: str) -> None:
        try:
            await self.check(domain, request_id)
        except RefusedError as error:
            if error.reason != "SSO_DOMAIN_TAKEN":  # keysvc has recorded this result
                self._log.warning("domain check not recorded", reason=error.reason)

    async def _look_up(self, domain: Domain) -> "Result":
        try:
            records = await self._txt_lookups.txt_records(
                domain.organization_id, domain.record_name
            )
        except OutboundError as error:
            if error.reason in (OutboundReason.DNS_UNAVAILABLE, OutboundReason.BUSY):
                return RecordDomainCheckRequest.RESULT_UNAVAILABLE
            return RecordDomainCheckRequest.RESULT_NOT_FOUND
        # Some DNS consoles store the quotation marks that an administrator enters.
        if any(record.strip(' "') == domain.record_value for record in records):
            return RecordDomainCheckRequest.RESULT_FOUND
        return RecordDomainCheckRequest.RESULT_NOT_FOUND
