"""The sizes of the database: one large organization beside many small ones."""

from dataclasses import dataclass

PEOPLE = 100
"""The people of a small organization."""
GROUPS = 5
"""The ordinary groups of a small organization."""
GROUP_MEMBERS = 20
"""The members of an ordinary group."""
LARGE_GROUPS = 1_000
"""The ordinary groups of the large organization."""
DAYS = 30
"""The changes are spread over this many days."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """The size of the database. All other numbers follow from these three."""

    organizations: int = 10_000
    """Small organizations."""
    large_people: int = 1_000_000
    changes: int = 10_000_000
    """Changes of all organizations."""

    @property
    def with_schemas(self) -> int:
        """Further organizations with as many custom schemas as possible: 60 at full size."""
        return min(60, self.organizations // 20)

    @property
    def refusals(self) -> int:
        """Refused requests of all organizations."""
        return self.changes // 10

    @property
    def large_refusals(self) -> int:
        """Refused requests of the large organization: at full size 20,000, the most kept."""
        return self.changes // 500

    @property
    def large_entries(self) -> int:
        """Log entries of the large organization: 3,000,000 at full size."""
        return self.changes * 3 // 10

    @property
    def disk_bytes(self) -> int:
        """The space on disk that the databases and the write-ahead log need."""
        return 2_500 * self.changes + 2_000 * self.large_people

    @property
    def large_group(self) -> int:
        """Members of the largest group: 100,000 at full size."""
        return self.large_people // 10

    @property
    def groups_of_one_user(self) -> int:
        """The groups of some users of the large organization: 5,000 at full size."""
        return self.large_people // 200
