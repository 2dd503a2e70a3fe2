"""A collection that gives up what belongs to the name that has the most."""

from typing import Generic, TypeVar

Item = TypeVar("Item")


class MostFirst(Generic[Item]):
    """Items by name. Each operation takes the same time, however many items there are.

    Names are kept by how many items they have, so the name with the most is known without a
    search: a count changes by one at a time, so the highest count does, too.
    """

    def __init__(self) -> None:
        self._items: dict[str, dict[Item, None]] = {}
        self._names: dict[int, dict[str, None]] = {}
        self._most = 0

    def add(self, name: str, item: Item) -> None:
        """Put an item behind the others of its name."""
        items = self._items.setdefault(name, {})
        self._recount(name, len(items), len(items) + 1)
        items[item] = None

    def discard(self, name: str, item: Item) -> None:
        """Take an item out, which has to be there."""
        items = self._items[name]
        self._recount(name, len(items), len(items) - 1)
        del items[item]
        if not items:
            del self._items[name]

    def renew(self, name: str, item: Item) -> None:
        """Put an item that is there behind the others of its name."""
        items = self._items[name]
        del items[item]
        items[item] = None

    def first(self, name: str | None = None) -> Item | None:
        """The oldest item of a name, of the one that has the most if none is given."""
        if name is None:
            if not self._most:
                return None
            name = next(iter(self._names[self._most]))
        return next(iter(self._items.get(name, ())), None)

    def _recount(self, name: str, before: int, after: int) -> None:
        if before:
            names = self._names[before]
            del names[name]
            if not names:
                del self._names[before]
        if after:
            self._names.setdefault(after, {})[name] = None
        if after > self._most or self._most not in self._names:
            self._most = after
