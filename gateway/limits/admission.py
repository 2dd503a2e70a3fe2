"""Admission control: the rate of each organization, and the number of concurrent requests."""

from collections.abc import Awaitable, Callable, Mapping
from math import ceil
from typing import Final

from chassis.concurrency.fair_semaphore import FairSemaphore
from chassis.observability.metrics import Metrics
from gateway.limits.rate_limiter import Rate, RateLimiter
from gateway.limits.rejections import RejectedError, RejectionStats, RejectReason, no_slot

BYTES_PER_REQUEST: Final = 32 * 1024
"""Each full 32 KiB of a body counts as one more request. Entra's bodies are smaller."""
CPU_SECONDS_PER_REQUEST: Final = 0.0025
"""Each full 2.5 ms of CPU time after the first counts as one more request; an ordinary request
takes 0.3 ms. So in the long run, one organization uses at most a quarter of the event loop."""

_POLICY: Final = "organization"

Prepare = Callable[[], Awaitable[None]]
"""Work of a request that needs no slot, such as receiving its body."""


class AdmissionControl:
    """Admits requests within the rate and the slots of their organization.

    `headers` tells clients how many more requests they may send
    (draft-ietf-httpapi-ratelimit-headers-11).
    """

    def __init__(self, limiter: RateLimiter, slots: FairSemaphore, stats: RejectionStats) -> None:
        self._limiter = limiter
        self._slots = slots
        self._stats = stats
        rate = limiter.rate
        self._policy = f'"{_POLICY}";q={rate.burst};w={ceil(rate.window)}'

    def observe(self, metrics: Metrics) -> None:
        """Publish the metrics."""
        slots = self._slots
        metrics.gauge(
            "admission_control_slots_in_use", "Requests with a slot.", lambda: slots.in_use
        )
        metrics.gauge(
            "admission_control_queue_depth",
            "Requests that wait for a slot.",
            lambda: slots.waiting,
        )
        self._stats.observe(metrics)

    def slot(self, organization_id: str, prepare: Prepare | None = None) -> "_Slot":
        """An async context manager that acquires a slot and releases it; see `acquire`."""
        return _Slot(self, organization_id, prepare)

    async def acquire(self, organization_id: str, prepare: Prepare | None = None) -> None:
        """Charge a request to the rate, await `prepare`, and acquire a slot.

        Refuses RejectedError: 429 over the organization's rate, 503 if there is no slot.
        """
        wait = self._limiter.try_charge(organization_id)
        if wait:
            raise _over_rate(self._limiter.rate, wait)
        if prepare is not None:
            self._check_room(organization_id)
            await prepare()  # no refund if it fails: the attempt was work, too
        try:
            await self._slots.acquire(organization_id)
        except BaseException:
            self._limiter.refund(organization_id)
            raise

    def try_acquire_extra(self, organization_id: str) -> bool:
        """Take one more slot for a request that has one, if a slot is free and no request waits.

        The rate is not charged; `charge_requests` does that for the parts of a request.
        """
        return self._slots.try_acquire(organization_id)

    def _check_room(self, organization_id: str) -> None:
        """Refuse a request before its preparation if there is no slot and no room in the queue."""
        if not self._slots.would_admit(organization_id):
            self._limiter.refund(organization_id)
            raise no_slot()

    def release(self, organization_id: str) -> None:
        """Release the slot of a request."""
        self._slots.release(organization_id)

    def charge_requests(self, organization_id: str, requests: int) -> None:
        """Charge further operations of a request; an excess delays later requests."""
        self._limiter.charge(organization_id, requests)

    def charge_bytes(self, organization_id: str, size: int) -> None:
        """Charge the cost of receiving a body, even if the request is refused."""
        self._charge(organization_id, size // BYTES_PER_REQUEST)

    def charge_cpu(self, organization_id: str, seconds: float) -> None:
        """Charge the CPU time of a request, even if it is refused."""
        self._charge(organization_id, max(0, int(seconds / CPU_SECONDS_PER_REQUEST) - 1))

    def _charge(self, organization_id: str, requests: int) -> None:
        if requests:
            self._limiter.charge(organization_id, requests)

    def count_rejection(self, error: RejectedError, organization_id: str) -> None:
        """Count a rejected request of an organization."""
        self._stats.count(error.reason, organization_id)

    def headers(self, organization_id: str) -> Mapping[str, str]:
        """The rate policy, and the remaining requests.

        `t` is the time in which `r` requests may be sent at the rate of the policy: a client that
        sends no more than `r` requests in this time is never rejected.
        """
        remaining = self._limiter.remaining(organization_id)
        seconds = max(1, ceil(remaining / self._limiter.rate.per_second))
        return {
            "RateLimit-Policy": self._policy,
            "RateLimit": f'"{_POLICY}";r={remaining};t={seconds}',
        }


class _Slot:
    """The slot of a request. A class is cheaper here than `asynccontextmanager`."""

    __slots__ = ("_admission", "_organization_id", "_prepare")

    def __init__(
        self, admission: AdmissionControl, organization_id: str, prepare: Prepare | None
    ) -> None:
        self._admission = admission
        self._organization_id = organization_id
        self._prepare = prepare

    async def __aenter__(self) -> None:
        await self._admission.acquire(self._organization_id, self._prepare)

    async def __aexit__(self, *_: object) -> None:
        self._admission.release(self._organization_id)


def _over_rate(rate: Rate, seconds: float) -> RejectedError:
    return RejectedError(
        RejectReason.RATE_LIMIT,
        429,
        f"Your organization sends more than {rate.per_second:g} requests a second; a large request "
        "counts as several. Nothing was done for this one; send it again after the seconds in "
        "Retry-After.",
        seconds,
    )
