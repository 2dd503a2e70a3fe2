"""Slots that client networks share fairly."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from chassis.concurrency.fair_semaphore import FairSemaphore
from chassis.networks import ClientNetwork

QUEUE_PER_SITE: Final = 256
"""The most callers of one site that wait; one host has at most half of them."""


@dataclass(slots=True)
class _Site:
    slots: FairSemaphore
    users: int = 0


class NetworkSlots:
    """`number` slots; a site has at most `per_site` of them, a host at most `per_host`.

    A site is an IPv6 /48, a host an IPv6 /64; an IPv4 address is both.

    A free slot goes to the site that has the fewest, and within a site to the host that has the
    fewest. So an IPv6 /48 cannot get more than its share by using many /64 networks, and one /64
    cannot lock out the others of its /48. At each level a caller waits for up to WAIT_SECONDS of
    `chassis.concurrency.fair_semaphore`; then the exception that `rejection` creates is raised.
    """

    def __init__(
        self, number: int, rejection: Callable[[], Exception], *, per_site: int, per_host: int
    ) -> None:
        self._rejection = rejection
        self._per_site = per_site
        self._per_host = per_host
        self._slots = FairSemaphore(number, rejection, share=per_site)
        self._sites: dict[str, _Site] = {}

    def __len__(self) -> int:
        """The number of sites that hold a slot or wait for one."""
        return len(self._sites)

    async def acquire(self, network: ClientNetwork) -> None:
        """Acquire a slot; raises the rejection if there is none in time, or the queue is full."""
        site = self._acquire_site(network.site)
        try:
            await site.slots.acquire(network.host)
        except BaseException:
            self._release_site(network.site)
            raise
        try:
            await self._slots.acquire(network.site)
        except BaseException:
            site.slots.release(network.host)
            self._release_site(network.site)
            raise

    def release(self, network: ClientNetwork) -> None:
        """Release a slot."""
        self._slots.release(network.site)
        self._sites[network.site].slots.release(network.host)
        self._release_site(network.site)

    def _acquire_site(self, name: str) -> _Site:
        site = self._sites.get(name)
        if site is None:
            slots = FairSemaphore(
                self._per_site, self._rejection, share=self._per_host, queue=QUEUE_PER_SITE
            )
            site = self._sites[name] = _Site(slots)
        site.users += 1
        return site

    def _release_site(self, name: str) -> None:
        site = self._sites[name]
        site.users -= 1
        if not site.users:
            del self._sites[name]
