"""Who may open pages: an organization within its rate, an address before it has signed in.

Pages have buckets and places of their own, so they and SCIM cannot keep each other out.
"""

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from chassis.concurrency.fair_semaphore import FairSemaphore
from chassis.networks import source_of
from gateway.http.body import Bodies, Holder
from gateway.limits.rate_limiter import Monotonic, Rate, RateLimiter
from gateway.limits.rejections import (
    RETRY_AFTER_SECONDS,
    RejectedError,
    RejectionStats,
    RejectReason,
)

ANONYMOUS_SLOTS: Final = 16
"""How many who have not signed in are served at once, half of them of one address or /48."""
SITE_MULTIPLE: Final = 8
"""How many times as many pages an IPv6 /48 may open as an address, before signing in."""
FILE_SLOTS: Final = 8
FILE_SLOTS_PER_ORGANIZATION: Final = 2
"""How many files are sent at once, and to one organization: each takes as long as its reader."""
MAX_KNOWN_SESSIONS: Final = 10_000


@dataclass(frozen=True, slots=True)
class PageLimits:
    """How many pages may be opened, and how many at once."""

    organization: Rate
    address: Rate
    """Of an address, by whoever has not signed in."""
    max_concurrent: int
    """Of all organizations, half of them of one."""


@dataclass(frozen=True, slots=True)
class Client:
    """Whom a request counts for: an organization, or an address (of IPv6 a /64)."""

    name: str
    is_signed_in: bool
    """Whether the name is the organization of a session."""
    site: str = field(default="", compare=False)
    """Of an address: itself, or of IPv6 its /48."""

    @property
    def limit_key(self) -> str:
        """The name that slots and memory are counted by: an IPv6 /48 has no share for each /64."""
        return self.site or self.name


class PageLimiter:
    """Counts visitors and gives them places. Refuses RejectedError: 429 and 503."""

    def __init__(
        self,
        limits: PageLimits,
        bodies: Bodies,
        tally: RejectionStats,
        monotonic: Monotonic = time.monotonic,
    ) -> None:
        self._bodies = bodies
        self._tally = tally
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
        """Count a request: for the organization of a session that was seen here, else its address.

        So no neighbour of an address keeps out who has signed in, and whoever has a
        session of one organization uses up nothing of another's.
        """
        organization_id = self._sessions.get(_digest(session_token), "")
        if organization_id:
            client = Client(organization_id, is_signed_in=True)
        else:
            source = source_of(address)
            client = Client(source.host, is_signed_in=False, site=source.site)
        self._count(client)
        return client

    def signed_in(self, session_token: str, organization_id: str, client: Client) -> Client:
        """The session is good: from now on it counts for its organization."""
        known = Client(organization_id, is_signed_in=True)
        if client != known:
            self._count(known)
        digest = _digest(session_token)
        self._sessions[digest] = organization_id
        self._sessions.move_to_end(digest)
        if len(self._sessions) > MAX_KNOWN_SESSIONS:
            self._sessions.popitem(last=False)
        return known

    def signed_out(self, session_token: str) -> None:
        """The session is over: who goes on to send it is a stranger."""
        self._sessions.pop(_digest(session_token), None)

    @contextmanager
    def body(self, client: Client) -> Iterator[Holder]:
        """Holds what a form has sent so far, until it is answered, in the room of all bodies."""
        try:
            with self._bodies.of(client.limit_key) as hold:
                yield hold
        except RejectedError as error:
            if error.why is not RejectReason.FULL:  # it was no body that found no room
                raise
            self._note(RejectReason.FORMS_FULL, client)
            raise _no_memory() from None

    @asynccontextmanager
    async def slot(self, client: Client, *, for_file: bool = False) -> AsyncIterator[None]:
        """A place, after a moment's wait at most, for `async with`."""
        slots = self._pages if client.is_signed_in else self._anonymous
        if for_file:
            slots = self._files
        try:
            await slots.acquire(client.limit_key)
        except RejectedError as error:
            self._note(error.why, client)
            raise
        try:
            yield
        finally:
            slots.release(client.limit_key)

    def _count(self, client: Client) -> None:
        if client.is_signed_in:
            wait = self._organizations.try_charge(client.name)
        else:
            wait = max(self._addresses.try_charge(client.name), self._sites.try_charge(client.site))
        if wait:
            self._note(RejectReason.PAGES_RATE, client)
            raise _too_many(wait)

    def _note(self, why: RejectReason, client: Client) -> None:
        self._tally.note(why, client.name if client.is_signed_in else "")


def _digest(session_token: str) -> bytes:
    return sha256(session_token.encode(errors="replace")).digest()


def _too_many(seconds: float) -> RejectedError:
    return RejectedError(RejectReason.PAGES_RATE, 429, "Too many pages were opened.", seconds)


def _full() -> RejectedError:
    return _later(RejectReason.PAGES_FULL, "Too many pages are opened at the moment.")


def _no_file() -> RejectedError:
    return _later(RejectReason.FILES_FULL, "Too many files are sent at the moment.")


def _no_memory() -> RejectedError:
    return _later(RejectReason.FORMS_FULL, "Too many forms are sent at the moment.")


def _later(why: RejectReason, detail: str) -> RejectedError:
    return RejectedError(why, 503, detail, RETRY_AFTER_SECONDS)
