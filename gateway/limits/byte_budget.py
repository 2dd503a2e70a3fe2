"""A limit on bytes in memory that names share fairly."""

from collections import Counter


class ByteBudget:
    """Counts bytes by name: `limit` in total, and at most half of it for one name.

    A name that uses at most `floor` bytes may exceed the total by up to a quarter, so that names
    that use everything cannot lock it out.
    """

    def __init__(self, limit: int, floor: int = 0) -> None:
        self._limit = limit
        self._floor = floor
        self._used_by: Counter[str] = Counter()
        self.largest = limit // 2
        """The most bytes that one name can use."""
        self.in_use = 0

    def used_by(self, name: str) -> int:
        """The bytes that a name uses."""
        return self._used_by[name]

    def fits(self, name: str, size: int) -> bool:
        """Whether `acquire` would succeed now."""
        used = self._used_by[name] + size
        limit = self._limit if used > self._floor else self._limit + self._limit // 4
        return self.in_use + size <= limit and used <= self.largest

    def acquire(self, name: str, size: int) -> bool:
        """Count more bytes of a name, if they fit; return whether they do."""
        if not self.fits(name, size):
            return False
        self.in_use += size
        self._used_by[name] += size
        return True

    def release(self, name: str, size: int) -> None:
        """Release bytes of a name."""
        self.in_use -= size
        self._used_by[name] -= size
        if not self._used_by[name]:
            del self._used_by[name]
