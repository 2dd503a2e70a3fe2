"""A bounded queue with fair shares: owners take turns, and none can fill it."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Entry(Generic[Item]):
    """A queued item, its owner, and its size in bytes."""

    owner: str
    item: Item
    size: int


@dataclass(slots=True)
class _OwnerQueue(Generic[Item]):
    """The queued entries of one owner."""

    entries: deque[Entry[Item]] = field(default_factory=deque)
    size: int = 0


class FairQueue(Generic[Item]):
    """Holds up to `max_entries` entries and `max_bytes` bytes; one owner may use half of each.

    An owner that exceeds its half loses its newest entry. When the whole queue is too long, the
    owner with the largest share loses its newest entry.
    """

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._queues: dict[str, _OwnerQueue[Item]] = {}
        self.length = 0
        self.bytes = 0
        self.dropped = 0

    def put(self, owner: str, item: Item, size: int) -> None:
        """Append an item of `size` bytes after the owner's other items."""
        queue = self._queues.setdefault(owner, _OwnerQueue())
        queue.entries.append(Entry(owner, item, size))
        self._count(queue, 1, size)
        self._fit(owner)

    def put_back(self, entries: Sequence[Entry[Item]]) -> None:
        """Return taken entries to the front of their owners' queues."""
        for entry in reversed(entries):
            queue = self._queues.setdefault(entry.owner, _OwnerQueue())
            queue.entries.appendleft(entry)
            self._count(queue, 1, entry.size)
        for owner in {entry.owner for entry in entries}:
            self._fit(owner)

    def take(self, max_entries: int, max_bytes: int) -> list[Entry[Item]]:
        """Remove the oldest entries, one of each owner in turn.

        At most `max_entries`, and at most `max_bytes` bytes unless the first entry alone has more.
        """
        taken: list[Entry[Item]] = []
        remaining = max_bytes
        while self._queues and len(taken) < max_entries:
            owner, queue = next(iter(self._queues.items()))
            remaining -= queue.entries[0].size
            if taken and remaining < 0:
                break
            taken.append(queue.entries.popleft())
            self._count(queue, -1, -taken[-1].size)
            del self._queues[owner]
            if queue.entries:
                self._queues[owner] = queue  # to the end: other owners are next
        return taken

    def _fit(self, owner: str) -> None:
        """Drop entries over the limits: first those of this owner, then those of all owners."""
        while owner in self._queues and self._share(owner) > 0.5:
            self._drop(owner)
        while self.length > self._max_entries or self.bytes > self._max_bytes:
            self._drop(max(self._queues, key=self._share))

    def _share(self, owner: str) -> float:
        queue = self._queues[owner]
        return max(len(queue.entries) / self._max_entries, queue.size / self._max_bytes)

    def _drop(self, owner: str) -> None:
        queue = self._queues[owner]
        self._count(queue, -1, -queue.entries.pop().size)
        self.dropped += 1
        if not queue.entries:
            del self._queues[owner]

    def _count(self, queue: _OwnerQueue[Item], entries: int, size: int) -> None:
        queue.size += size
        self.bytes += size
        self.length += entries
