"""Slots that are shared fairly between the networks that requests come from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from chassis.concurrency.fair_semaphore import FairSemaphore
from chassis.networks import ClientNetwork

WAITING_OF_SITE: Final = 256
"""The most callers of one site that wait; one host has half at most."""


@dataclass(slots=True)
class _Site:
    slots: FairSemaphore
    users: int = 0


class NetworkSlots:
    """Holds `number` slots; a site takes at most `of_site`, and a host at most `of_host`.

    A site is an IPv6 /48, a host an IPv6 /64; an IPv4 address is both.

    A free slot goes to the site that has the fewest, and within a site to the host that has
    the fewest: an IPv6 /48 cannot take more than its share by using many /64 networks, and one
    of these cannot keep out the others of its /48. At each level a caller waits for at most the
    WAIT_SECONDS of `chassis.concurrency.fair_semaphore`; `refusal` makes the exception that is
    raised then.
    """

    def __init__(
        self, number: int, refusal: Callable[[], Exception], *, of_site: int, of_host: int
    ) -> None:
        self._refusal = refusal
        self._of_site = of_site
        self._of_host = of_host
        self._slots = FairSemaphore(number, refusal, share=of_site)
        self._sites: dict[str, _Site] = {}

    def __len__(self) -> int:
        """How many sites hold a slot or wait for one."""
        return len(self._sites)

    async def acquire(self, source: ClientNetwork) -> None:
        """Take a slot; raises the refusal if there is none in time, or too many wait."""
        site = self._site(source.site)
        try:
            await site.slots.acquire(source.host)
        except BaseException:
            self._leave(source.site)
            raise
        try:
            await self._slots.acquire(source.site)
        except BaseException:
            site.slots.release(source.host)
            self._leave(source.site)
            raise

    def release(self, source: ClientNetwork) -> None:
        """Release a slot."""
        self._slots.release(source.site)
        self._sites[source.site].slots.release(source.host)
        self._leave(source.site)

    def _site(self, name: str) -> _Site:
        site = self._sites.get(name)
        if site is None:
            slots = FairSemaphore(
                self._of_site, self._refusal, share=self._of_host, queue=WAITING_OF_SITE
            )
            site = self._sites[name] = _Site(slots)
        site.users += 1
        return site

    def _leave(self, name: str) -> None:
        site = self._sites[name]
        site.users -= 1
        if not site.users:
            del self._sites[name]
