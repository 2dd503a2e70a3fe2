"""The limits on the number of concurrent outgoing requests."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from chassis.concurrency.fair_semaphore import FairSemaphore
from gateway.outbound.errors import OutboundError, OutboundReason

MAX_REQUESTS: Final = 128
MAX_REQUESTS_PER_HOST: Final = 16
MAX_REQUESTS_PER_ORGANIZATION: Final = 8
"""Counts requests in progress, and those that wait for a slot of a host."""


class OutboundSlots:
    """Slots of outgoing requests: in total, by host, and by organization.

    Requests to a slow host occupy only that host's slots. Further requests to it wait for one of
    them, for up to WAIT_SECONDS of `chassis.concurrency.fair_semaphore`. An organization at its
    limit is refused at once, so that no request holds a host's slot while it waits for the
    organization's.
    """

    def __init__(self) -> None:
        self._hosts = FairSemaphore(MAX_REQUESTS, _busy_host, share=MAX_REQUESTS_PER_HOST)
        self._of_organization: Counter[str] = Counter()

    @property
    def in_use(self) -> int:
        """The number of requests in progress."""
        return self._hosts.in_use

    @asynccontextmanager
    async def slot(self, organization_id: str, host: str) -> AsyncIterator[None]:
        """Hold a slot for the duration of an `async with` block; refuses (BUSY) without one."""
        if self._of_organization[organization_id] >= MAX_REQUESTS_PER_ORGANIZATION:
            raise OutboundError(
                OutboundReason.BUSY,
                f"{MAX_REQUESTS_PER_ORGANIZATION} requests of the organization are in progress",
            )
        self._of_organization[organization_id] += 1
        try:
            async with self._hosts.slot(host):
                yield
        finally:
            self._of_organization[organization_id] -= 1
            if not self._of_organization[organization_id]:
                del self._of_organization[organization_id]


def _busy_host() -> OutboundError:
    return OutboundError(OutboundReason.BUSY, "too many requests to the host are in progress")
