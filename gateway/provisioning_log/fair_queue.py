"""A bounded queue that many share: taken from in turns, and full for whoever fills it."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Entry(Generic[Item]):
    """Something that waits: whose it is, and how many bytes it takes."""

    name: str
    item: Item
    size: int


@dataclass(slots=True)
class _Line(Generic[Item]):
    """What waits of one name."""

    entries: deque[Entry[Item]] = field(default_factory=deque)
    size: int = 0


class FairQueue(Generic[Item]):
    """Up to `number` entries with `size` bytes in all, and of one name half of each at most.

    Whoever is over its half loses its newest entry; when all together are too many, the
    name that has the most loses its newest.
    """

    def __init__(self, number: int, size: int) -> None:
        self._number = number
        self._size = size
        self._lines: dict[str, _Line[Item]] = {}
        self.waiting = 0
        self.bytes = 0
        self.dropped = 0

    def put(self, name: str, item: Item, size: int) -> None:
        """Let something wait behind what waits of the same name."""
        line = self._lines.setdefault(name, _Line())
        line.entries.append(Entry(name, item, size))
        self._count(line, 1, size)
        self._fit(name)

    def put_back(self, entries: Sequence[Entry[Item]]) -> None:
        """Let what was taken wait again, before what waits of the same names."""
        for entry in reversed(entries):
            line = self._lines.setdefault(entry.name, _Line())
            line.entries.appendleft(entry)
            self._count(line, 1, entry.size)
        for name in {entry.name for entry in entries}:
            self._fit(name)

    def take(self, number: int, size: int) -> list[Entry[Item]]:
        """Up to so many of the oldest, with so many bytes unless it is one alone; in turns."""
        taken: list[Entry[Item]] = []
        room = size
        while self._lines and len(taken) < number:
            name, line = next(iter(self._lines.items()))
            room -= line.entries[0].size
            if taken and room < 0:
                break
            taken.append(line.entries.popleft())
            self._count(line, -1, -taken[-1].size)
            del self._lines[name]
            if line.entries:
                self._lines[name] = line  # to the end: others are next
        return taken

    def _fit(self, name: str) -> None:
        """Drop what is too much, of a name and in all."""
        while name in self._lines and self._share(name) > 0.5:
            self._drop(name)
        while self.waiting > self._number or self.bytes > self._size:
            self._drop(max(self._lines, key=self._share))

    def _share(self, name: str) -> float:
        line = self._lines[name]
        return max(len(line.entries) / self._number, line.size / self._size)

    def _drop(self, name: str) -> None:
        line = self._lines[name]
        self._count(line, -1, -line.entries.pop().size)
        self.dropped += 1
        if not line.entries:
            del self._lines[name]

    def _count(self, line: _Line[Item], number: int, size: int) -> None:
        line.size += size
        self.bytes += size
        self.waiting += number
