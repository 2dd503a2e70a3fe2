"""A limit on bytes in memory, shared fairly between keys such as organizations."""

from collections import Counter


class ByteBudget:
    """Counts the bytes of each key: `limit` in total, and at most half of it for one key.

    A key that uses at most `floor` bytes may exceed the total by up to a quarter, so that keys
    that use everything cannot lock it out.
    """

    def __init__(self, limit: int, floor: int = 0) -> None:
        self._limit = limit
        self._floor = floor
        self._used_by: Counter[str] = Counter()
        self.largest = limit // 2
        """The most bytes that one key can use."""
        self.in_use = 0

    def used_by(self, key: str) -> int:
        """The bytes that a key uses."""
        return self._used_by[key]

    def fits(self, key: str, size: int) -> bool:
        """Whether `acquire` would succeed now."""
        used = self._used_by[key] + size
        limit = self._limit if used > self._floor else self._limit + self._limit // 4
        return self.in_use + size <= limit and used <= self.largest

    def acquire(self, key: str, size: int) -> bool:
        """Count more bytes of a key, if they fit; return whether they do."""
        if not self.fits(key, size):
            return False
        self.in_use += size
        self._used_by[key] += size
        return True

    def release(self, key: str, size: int) -> None:
        """Release bytes of a key."""
        self.in_use -= size
        self._used_by[key] -= size
        if not self._used_by[key]:
            del self._used_by[key]
