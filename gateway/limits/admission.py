"""Who may come in: an organization within its rate, and as many at once as there are places."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from math import ceil
from typing import Final

from chassis.concurrency.fair_semaphore import FairSemaphore
from chassis.observability.metrics import Metrics
from gateway.limits.rate_limiter import Rate, RateLimiter
from gateway.limits.rejections import RejectedError, RejectionStats, RejectReason, full

BYTES_PER_REQUEST: Final = 32 * 1024
"""Each full 32 KiB of a body counts as one more request. Entra's bodies are smaller."""
CPU_SECONDS_PER_REQUEST: Final = 0.0025
"""Each full 2.5 ms of CPU time after the first counts as one more request; an ordinary one takes
0.3 ms. An organization so has a quarter of a gateway's event loop at most in the long run."""

_POLICY: Final = "organization"

Before = Callable[[], Awaitable[None]]
"""What a request waits for before it needs a place."""


class AdmissionControl:
    """Lets requests of organizations in, and tells them how many more may come.

    The headers are those of draft-ietf-httpapi-ratelimit-headers-11.
    """

    def __init__(self, limiter: RateLimiter, places: FairSemaphore, tally: RejectionStats) -> None:
        self._limiter = limiter
        self._places = places
        self._tally = tally
        self._coming: Counter[str] = Counter()
        self._full = full()  # told to many, raised to nobody
        rate = limiter.rate
        self._policy = f'"{_POLICY}";q={rate.burst};w={ceil(rate.window)}'

    def observe(self, metrics: Metrics) -> None:
        """Let the metrics tell who is in, who waits and who was turned away."""
        places = self._places
        metrics.gauge(
            "admission_control_slots_in_use", "Requests with a slot.", lambda: places.in_use
        )
        metrics.gauge(
            "admission_control_queue_depth",
            "Requests that wait for a slot.",
            lambda: places.waiting,
        )
        self._tally.observe(metrics)

    @property
    def nothing_left(self) -> Mapping[str, str]:
        """The headers for an organization that is over its rate."""
        return self._headers(0)

    @property
    def is_pressed(self) -> bool:
        """Whether somebody waits, or was over a rate a moment ago."""
        return bool(self._places.waiting) or self._limiter.is_pressed

    def refusal(self, organization_id: str) -> RejectedError | None:
        """Why a request would be turned away at once, if it would.

        Those who are coming count as if they were here: of a hundred that are read in
        one moment, while one place is free, only one is to come.
        """
        of_it = self._coming[organization_id]
        wait = self._limiter.retry_after(organization_id, of_it)
        if wait:
            return _too_many(self._limiter.rate, wait)
        has_room = self._places.would_admit(organization_id, self._coming.total(), of_it)
        return None if has_room else self._full

    def comes(self, organization_id: str) -> None:
        """Count a request that will ask to enter."""
        self._coming[organization_id] += 1

    def came(self, organization_id: str) -> None:
        """It does, or never will."""
        self._coming[organization_id] -= 1
        if not self._coming[organization_id]:
            del self._coming[organization_id]

    def entered(self, organization_id: str, first: Before | None = None) -> "_Entered":
        """Count a request and give it a place once `first` is done, for `async with`.

        Refuses RejectedError: 429 over the organization's rate, 503 when there is no place.
        """
        return _Entered(self, organization_id, first)

    async def enter(self, organization_id: str, first: Before | None = None) -> None:
        """Count a request, do what takes no place, and give it one."""
        wait = self._limiter.try_charge(organization_id)
        if wait:
            raise _too_many(self._limiter.rate, wait)
        if first is not None:
            self._check_room(organization_id)
            await first()  # whatever comes of it, it was work: it counts
        try:
            await self._places.acquire(organization_id)
        except BaseException:
            self._limiter.refund(organization_id)
            raise

    def _check_room(self, organization_id: str) -> None:
        """Refuse at once, before anything is done, who would find no place now."""
        if not self._places.would_admit(organization_id):
            self._limiter.refund(organization_id)
            raise full()

    def leave(self, organization_id: str) -> None:
        """Give the place back."""
        self._places.release(organization_id)

    def count_more(self, organization_id: str, requests: int) -> None:
        """Count what came inside another request; what is too much is held against later ones."""
        self._limiter.charge(organization_id, requests)

    def charge_bytes(self, organization_id: str, size: int) -> None:
        """Charge what a body cost to receive, even one that is refused."""
        self._charge(organization_id, size // BYTES_PER_REQUEST)

    def charge_cpu(self, organization_id: str, seconds: float) -> None:
        """Charge the CPU time that a request took, even one that is refused."""
        self._charge(organization_id, max(0, int(seconds / CPU_SECONDS_PER_REQUEST) - 1))

    def _charge(self, organization_id: str, requests: int) -> None:
        if requests:
            self._limiter.charge(organization_id, requests)

    def turned_away(self, error: RejectedError, organization_id: str) -> None:
        """Count a rejected request of an organization."""
        if error.why is RejectReason.RATE:
            self._limiter.note_rejection()
        self._tally.note(error.why, organization_id)

    def headers(self, organization_id: str) -> Mapping[str, str]:
        """The policy, and what is left of it.

        `t` is the time in which `r` is used up at the policy's rate: whoever
        sends no more than `r` within it never has to wait.
        """
        return self._headers(self._limiter.remaining(organization_id))

    def _headers(self, left: int) -> Mapping[str, str]:
        seconds = max(1, ceil(left / self._limiter.rate.per_second))
        return {
            "RateLimit-Policy": self._policy,
            "RateLimit": f'"{_POLICY}";r={left};t={seconds}',
        }


class _Entered:
    """A request that is in, until it is answered."""

    __slots__ = ("_first", "_gate", "_organization_id")

    def __init__(self, gate: AdmissionControl, organization_id: str, first: Before | None) -> None:
        self._gate = gate
        self._organization_id = organization_id
        self._first = first

    async def __aenter__(self) -> None:
        await self._gate.enter(self._organization_id, self._first)

    async def __aexit__(self, *_: object) -> None:
        self._gate.leave(self._organization_id)


def _too_many(rate: Rate, seconds: float) -> RejectedError:
    return RejectedError(
        RejectReason.RATE,
        429,
        f"Your organization sends more than {rate.per_second:g} requests a second; a large one "
        "counts as several. Nothing was done for this one; send it again after the seconds in "
        "Retry-After.",
        seconds,
    )
