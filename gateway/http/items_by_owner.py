"""Items grouped by owner; the owner with the most items loses its oldest first."""

from typing import Generic, TypeVar

Item = TypeVar("Item")


class ItemsByOwner(Generic[Item]):
    """Items by owner. The time of each operation does not depend on the number of items.

    Owners are grouped by their number of items, so the owner with the most is known without a
    search: each operation changes a count, and so the largest count, by at most one.
    """

    def __init__(self) -> None:
        self._items: dict[str, dict[Item, None]] = {}
        self._by_count: list[dict[str, None]] = [{}]
        """The owners, by their number of items."""
        self._largest_count = 0

    @property
    def largest_count(self) -> int:
        """The number of items of the owner with the most."""
        return self._largest_count

    def add(self, owner: str, item: Item) -> None:
        """Add an item as the newest of its owner."""
        items = self._items.get(owner)
        if items is None:
            items = self._items[owner] = {}
        items[item] = None
        count = len(items)
        if count == len(self._by_count):
            self._by_count.append({})
        if count > 1:
            del self._by_count[count - 1][owner]
        self._by_count[count][owner] = None
        self._largest_count = max(self._largest_count, count)

    def discard(self, owner: str, item: Item) -> None:
        """Remove an item, which must be present."""
        items = self._items[owner]
        count = len(items)
        del items[item]
        del self._by_count[count][owner]
        if count > 1:
            self._by_count[count - 1][owner] = None
        else:
            del self._items[owner]
        if count == self._largest_count and not self._by_count[count]:
            self._largest_count = count - 1

    def move_to_end(self, owner: str, item: Item) -> None:
        """Make a present item the newest of its owner."""
        items = self._items[owner]
        del items[item]
        items[item] = None

    def oldest(self, owner: str | None = None) -> Item | None:
        """The oldest item of an owner; by default of the owner with the most items."""
        if owner is None:
            if not self._largest_count:
                return None
            owner = next(iter(self._by_count[self._largest_count]))
        return next(iter(self._items.get(owner, ())), None)
