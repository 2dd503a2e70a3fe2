"""Memory for large responses: reserved before it is needed, shared fairly by organization."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from chassis.observability.metrics import Metrics
from gateway.limits.byte_budget import ByteBudget
from gateway.limits.rejections import RETRY_AFTER_SECONDS, RejectedError, RejectReason

MEBIBYTE: Final = 1024 * 1024
LIMIT_BYTES: Final = 128 * MEBIBYTE
FLOOR_BYTES: Final = 4 * MEBIBYTE
"""An organization that uses no more than this may exceed the limit by up to a quarter."""
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

    Small responses reserve nothing and are not counted. A reservation that does not fit waits up to
    `wait_seconds`; released memory goes to the organization that has the least.
    """

    def __init__(
        self,
        limit: int = LIMIT_BYTES,
        *,
        floor: int = FLOOR_BYTES,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._budget = ByteBudget(limit, floor)
        self._wait_seconds = wait_seconds
        self._waiters: list[_Waiter] = []

    @property
    def in_use(self) -> int:
        """The bytes that all organizations have reserved."""
        return self._budget.in_use

    @property
    def largest(self) -> int:
        """The most bytes that one organization can reserve."""
        return self._budget.largest

    def observe(self, metrics: Metrics) -> None:
        """Publish the metrics."""
        metrics.gauge(
            "http_server_reserved_response_bytes",
            "Memory reserved for large responses.",
            lambda: self.in_use,
        )

    def reservation(self, organization_id: str) -> "ResponseReservation":
        """An empty reservation of an organization."""
        return ResponseReservation(self, organization_id)

    async def acquire(self, name: str, size: int) -> None:
        """Reserve bytes; raises RejectedError (503) if none become free in time."""
        is_next = not any(each.name == name for each in self._waiters)
        if is_next and self._budget.acquire(name, size):
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

    def release(self, name: str, size: int) -> None:
        """Release bytes, and grant them to waiting requests."""
        self._budget.release(name, size)
        self._wake()

    def _wake(self) -> None:
        while (waiter := self._next()) is not None:
            self._waiters.remove(waiter)
            self._budget.acquire(waiter.name, waiter.size)
            waiter.granted.set_result(None)

    def _next(self) -> _Waiter | None:
        """The longest waiting request of the organization that has the least, if it fits."""
        first: dict[str, _Waiter] = {}
        for each in self._waiters:
            if not each.granted.done():
                first.setdefault(each.name, each)
        fitting = [each for each in first.values() if self._budget.fits(each.name, each.size)]
        return min(fitting, key=lambda each: self._budget.used_by(each.name), default=None)

    def _give_up(self, waiter: _Waiter) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)
            self._wake()  # a smaller reservation of the same organization may fit
        elif waiter.granted.done() and not waiter.granted.cancelled():
            self.release(waiter.name, waiter.size)  # granted in the same moment


class ResponseReservation:
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

    async def acquire(self, size: int) -> None:
        """Reserve more bytes; raises RejectedError (503) if none become free in time."""
        if not size:
            return
        await self._memory.acquire(self._organization_id, size)
        self.size += size

    def release(self, size: int) -> None:
        """Release `size` bytes, at most all that are reserved; a negative size does nothing."""
        size = min(size, self.size)
        if size > 0:
            self.size -= size
            self._memory.release(self._organization_id, size)

    def release_all_but(self, size: int) -> None:
        """Release all but `size` bytes."""
        self.release(self.size - size)

    def release_all(self) -> None:
        """Release all bytes."""
        self.release(self.size)

    @asynccontextmanager
    async def for_part(self) -> AsyncIterator["ResponseReservation"]:
        """A reservation for one part of the request, released at the end of the part."""
        part = ResponseReservation(self._memory, self._organization_id)
        try:
            yield part
        finally:
            part.release_all()


def _no_memory() -> RejectedError:
    return RejectedError(
        RejectReason.NO_RESPONSE_MEMORY,
        503,
        "Too many large responses are in progress. Nothing was done for this request; "
        "send it again, with a smaller count or fewer attributes.",
        RETRY_AFTER_SECONDS,
    )
