"""Memory for large responses: reserved before it is needed, shared fairly by organization."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from chassis.observability.metrics import Metrics
from gateway.limits.rejections import RETRY_AFTER_SECONDS, RejectedError, RejectReason

MEBIBYTE: Final = 1024 * 1024
LIMIT_BYTES: Final = 128 * MEBIBYTE
FLOOR_BYTES: Final = 4 * MEBIBYTE
"""An organization with no more than this may use the extra quarter above the limit."""
WAIT_SECONDS: Final = 4.0
MEMORY_PER_LISTED_BYTE: Final = 4
"""Memory to reserve for each byte of a list: its resources are serialized one by one."""


@dataclass(eq=False, slots=True)
class _Waiter:
    name: str
    size: int
    granted: asyncio.Future[None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class ResponseMemory:
    """Limits the memory of large responses; one organization has at most half of it.

    Small responses reserve nothing and are not counted. An organization with FLOOR_BYTES or less
    may take them from an extra quarter when everything is reserved. A reservation that does not
    fit waits up to `wait_seconds`; freed memory goes to the organization that has the least.
    """

    def __init__(
        self,
        limit: int = LIMIT_BYTES,
        *,
        floor: int = FLOOR_BYTES,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._limit = limit
        self._floor = floor
        self._wait_seconds = wait_seconds
        self._reserved_by: Counter[str] = Counter()
        self._waiters: list[_Waiter] = []
        self.reserved = 0

    @property
    def largest(self) -> int:
        """The most bytes that one organization can reserve."""
        return self._limit // 2

    def observe(self, metrics: Metrics) -> None:
        """Publish the metrics."""
        metrics.gauge(
            "http_server_reserved_response_bytes",
            "Memory reserved for large responses.",
            lambda: self.reserved,
        )

    def reservation(self, organization_id: str) -> "Reservation":
        """A reservation of an organization, which holds nothing yet."""
        return Reservation(self, organization_id)

    async def take(self, name: str, size: int) -> None:
        """Reserve bytes; raises RejectedError (503) if none become free in time."""
        if self._fits(name, size) and not any(each.name == name for each in self._waiters):
            self._grant(name, size)
            return
        waiter = _Waiter(name, size)
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(self._wait_seconds):
                await waiter.granted
        except BaseException as error:
            self._give_up(waiter)
            if isinstance(error, TimeoutError):
                raise _no_memory() from None
            raise

    def give_back(self, name: str, size: int) -> None:
        """Free bytes, and grant them to those that wait."""
        self.reserved -= size
        self._reserved_by[name] -= size
        if not self._reserved_by[name]:
            del self._reserved_by[name]
        self._wake()

    def _wake(self) -> None:
        while (waiter := self._next()) is not None:
            self._waiters.remove(waiter)
            self._grant(waiter.name, waiter.size)
            waiter.granted.set_result(None)

    def _next(self) -> _Waiter | None:
        """The longest waiting request of the organization that has the least, if it fits."""
        first: dict[str, _Waiter] = {}
        for each in self._waiters:
            if not each.granted.done():
                first.setdefault(each.name, each)
        fitting = [each for each in first.values() if self._fits(each.name, each.size)]
        return min(fitting, key=lambda each: self._reserved_by[each.name], default=None)

    def _fits(self, name: str, size: int) -> bool:
        of_one = self._reserved_by[name] + size
        room = self._limit if of_one > self._floor else self._limit + self._limit // 4
        return self.reserved + size <= room and of_one <= self.largest

    def _grant(self, name: str, size: int) -> None:
        self.reserved += size
        self._reserved_by[name] += size

    def _give_up(self, waiter: _Waiter) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)
            self._wake()  # a smaller one of the same organization may have waited behind it
        elif waiter.granted.done() and not waiter.granted.cancelled():
            self.give_back(waiter.name, waiter.size)  # granted in the same moment


class Reservation:
    """The memory that one request has reserved for its response."""

    __slots__ = ("_memory", "_organization_id", "size")

    def __init__(self, memory: ResponseMemory, organization_id: str) -> None:
        self._memory = memory
        self._organization_id = organization_id
        self.size = 0

    @property
    def largest(self) -> int:
        """The most bytes that can be reserved at all."""
        return self._memory.largest

    async def grow(self, size: int) -> None:
        """Reserve more bytes; raises RejectedError (503) if none become free in time."""
        if not size:
            return
        await self._memory.take(self._organization_id, size)
        self.size += size

    def shrink(self, size: int) -> None:
        """Give back `size` bytes, at most all that are reserved; a negative size does nothing."""
        size = min(size, self.size)
        if size > 0:
            self.size -= size
            self._memory.give_back(self._organization_id, size)

    def keep(self, size: int) -> None:
        """Give back all but `size` bytes."""
        self.shrink(self.size - size)

    def release(self) -> None:
        """Give back everything."""
        self.shrink(self.size)

    @asynccontextmanager
    async def for_part(self) -> AsyncIterator["Reservation"]:
        """A reservation of the same organization for one part of the request."""
        part = Reservation(self._memory, self._organization_id)
        try:
            yield part
        finally:
            part.release()


def _no_memory() -> RejectedError:
    return RejectedError(
        RejectReason.RESPONSES,
        503,
        "Too many large responses are in progress. Nothing was done for this request; "
        "send it again, with a smaller count or fewer attributes.",
        RETRY_AFTER_SECONDS,
    )
