"""Rate limits and admission control for pages.

A signed-in request is charged to its organization, any other to its client address. Pages
have their own rate limiters and slots, so that page traffic and SCIM traffic cannot block each
other.
"""

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from chassis.concurrency.fair_semaphore import FairSemaphore
from chassis.networks import network_of
from gateway.http.body import BodyMemory, BodyReservation
from gateway.limits.rate_limiter import Monotonic, Rate, RateLimiter
from gateway.limits.rejections import (
    RETRY_AFTER_SECONDS,
    RejectedError,
    RejectionStats,
    RejectReason,
)

ANONYMOUS_SLOTS: Final = 16
"""Concurrent requests without a session; one address or IPv6 /48 gets at most half of them."""
SITE_MULTIPLE: Final = 8
"""The rate of an IPv6 /48 as a multiple of the rate of one address, before sign-in."""
FILE_SLOTS: Final = 8
FILE_SLOTS_PER_ORGANIZATION: Final = 2
"""Concurrent downloads, in total and per organization. One lasts as long as its client reads."""
MAX_KNOWN_SESSIONS: Final = 10_000


@dataclass(frozen=True, slots=True)
class PageLimits:
    """The rate limits for pages, and the number of concurrent requests."""

    organization: Rate
    address: Rate
    """Per client address, for requests without a session."""
    max_concurrent: int
    """For all organizations together; one organization gets at most half."""


@dataclass(frozen=True, slots=True)
class Client:
    """The subject of the limits: an organization, or an address (IPv6: the /64)."""

    name: str
    is_signed_in: bool
    """Whether `name` is the organization of a session."""
    site: str = field(default="", compare=False)
    """For an address: the address itself, or the IPv6 /48."""

    @property
    def limit_key(self) -> str:
        """The key for slots and memory. The /64s of an IPv6 /48 share one."""
        return self.site or self.name


class PageLimiter:
    """Rate limits and slots for pages. Raises RejectedError: 429 over the rate, 503 when full."""

    def __init__(
        self,
        limits: PageLimits,
        bodies: BodyMemory,
        stats: RejectionStats,
        monotonic: Monotonic = time.monotonic,
    ) -> None:
        self._bodies = bodies
        self._stats = stats
        self._organizations = RateLimiter(limits.organization, monotonic)
        self._addresses = RateLimiter(limits.address, monotonic)
        site_rate = Rate(
            limits.address.per_second * SITE_MULTIPLE, limits.address.burst * SITE_MULTIPLE
        )
        self._sites = RateLimiter(site_rate, monotonic)
        self._pages = FairSemaphore(limits.max_concurrent, _full)
        self._anonymous = FairSemaphore(ANONYMOUS_SLOTS, _full)
        self._files = FairSemaphore(FILE_SLOTS, _no_file, share=FILE_SLOTS_PER_ORGANIZATION)
        self._sessions: OrderedDict[bytes, str] = OrderedDict()

    def admit(self, address: str, session_token: str = "") -> Client:
        """Charge a request to its organization if its session is known here, else to its address.

        So others at the same address cannot block a signed-in user, and a session of one
        organization cannot use up the limits of another. Raises RejectedError (429).
        """
        organization_id = self._sessions.get(_digest(session_token), "")
        if organization_id:
            client = Client(organization_id, is_signed_in=True)
        else:
            source = network_of(address)
            client = Client(source.host, is_signed_in=False, site=source.site)
        self._charge(client)
        return client

    def signed_in(self, session_token: str, organization_id: str, client: Client) -> Client:
        """Record a valid session: its requests are charged to the organization from now on."""
        known = Client(organization_id, is_signed_in=True)
        if client != known:
            self._charge(known)
        digest = _digest(session_token)
        self._sessions[digest] = organization_id
        self._sessions.move_to_end(digest)
        if len(self._sessions) > MAX_KNOWN_SESSIONS:
            self._sessions.popitem(last=False)
        return known

    def signed_out(self, session_token: str) -> None:
        """Forget a session that has ended: its requests are charged to their address again."""
        self._sessions.pop(_digest(session_token), None)

    @contextmanager
    def body(self, client: Client) -> Iterator[BodyReservation]:
        """Account for the memory of a form until the response. Raises RejectedError (503)."""
        try:
            with self._bodies.reservation(client.limit_key) as reservation:
                yield reservation
        except RejectedError as error:
            if error.reason is not RejectReason.NO_SLOT:  # raised by the caller, not here
                raise
            self._count_rejection(RejectReason.NO_FORM_MEMORY, client)
            raise _no_memory() from None

    @asynccontextmanager
    async def slot(self, client: Client, *, for_file: bool = False) -> AsyncIterator[None]:
        """Hold a slot; waits for it briefly. Raises RejectedError (503) when full."""
        slots = self._pages if client.is_signed_in else self._anonymous
        if for_file:
            slots = self._files
        try:
            await slots.acquire(client.limit_key)
        except RejectedError as error:
            self._count_rejection(error.reason, client)
            raise
        try:
            yield
        finally:
            slots.release(client.limit_key)

    def _charge(self, client: Client) -> None:
        if client.is_signed_in:
            wait = self._organizations.try_charge(client.name)
        else:
            wait = max(self._addresses.try_charge(client.name), self._sites.try_charge(client.site))
        if wait:
            self._count_rejection(RejectReason.PAGE_RATE_LIMIT, client)
            raise _too_many(wait)

    def _count_rejection(self, reason: RejectReason, client: Client) -> None:
        self._stats.count(reason, client.name if client.is_signed_in else "")


def _digest(session_token: str) -> bytes:
    return sha256(session_token.encode(errors="replace")).digest()


def _too_many(seconds: float) -> RejectedError:
    return RejectedError(RejectReason.PAGE_RATE_LIMIT, 429, "Too many pages were opened.", seconds)


def _full() -> RejectedError:
    return _later(RejectReason.NO_PAGE_SLOT, "Too many pages are opened at the moment.")


def _no_file() -> RejectedError:
    return _later(RejectReason.NO_EXPORT_SLOT, "Too many files are sent at the moment.")


def _no_memory() -> RejectedError:
    return _later(RejectReason.NO_FORM_MEMORY, "Too many forms are sent at the moment.")


def _later(reason: RejectReason, detail: str) -> RejectedError:
    return RejectedError(reason, 503, detail, RETRY_AFTER_SECONDS)
