"""Items grouped by owner; the owner with the most items loses its oldest first."""

from typing import Generic, TypeVar

Item = TypeVar("Item")


class ItemsByOwner(Generic[Item]):
    """Items by name. Each operation takes the same time, however many items there are.

    Names are kept by how many items they have, so the name with the most is known without a
    search: a count changes by one at a time, so the highest count does, too.
    """

    def __init__(self) -> None:
        self._items: dict[str, dict[Item, None]] = {}
        self._names: list[dict[str, None]] = [{}]
        """The names, by how many items they have."""
        self._most = 0

    @property
    def most(self) -> int:
        """How many items the name with the most has."""
        return self._most

    def add(self, name: str, item: Item) -> None:
        """Put an item behind the others of its name."""
        items = self._items.get(name)
        if items is None:
            items = self._items[name] = {}
        items[item] = None
        number = len(items)
        if number == len(self._names):
            self._names.append({})
        if number > 1:
            del self._names[number - 1][name]
        self._names[number][name] = None
        self._most = max(self._most, number)

    def discard(self, name: str, item: Item) -> None:
        """Remove an item, which must be present."""
        items = self._items[name]
        number = len(items)
        del items[item]
        del self._names[number][name]
        if number > 1:
            self._names[number - 1][name] = None
        else:
            del self._items[name]
        if number == self._most and not self._names[number]:
            self._most = number - 1

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
