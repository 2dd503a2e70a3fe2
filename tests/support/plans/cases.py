"""What a case of the plan tests says: a statement, its arguments, and how much it may read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

NOW: Final = datetime(2026, 3, 1, tzinfo=UTC)

Arguments = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Organization:
    """An organization of the test data. The scripts `*_rows.sql` compute the same ids and names."""

    number: int
    users: int
    groups: int

    @property
    def id(self) -> UUID:
        return _id("0a", self.number, 0)

    def user_id(self, number: int) -> UUID:
        return _id("0b", self.number, number)

    def user_ids(self, count: int) -> list[UUID]:
        """Ids of some users, and of nobody if there are fewer."""
        return [self.user_id(1 + 3 * number) for number in range(count)]

    def user_name(self, number: int) -> str:
        return f"user{number}@o{self.number}.test"

    def group_id(self, number: int) -> UUID:
        return _id("0c", self.number, number)

    def walk_id(self, number: int) -> UUID:
        return _id("0d", self.number, number)


LARGE: Final = Organization(0, 30_000, 5_000)
SMALL: Final = Organization(500, 30, 10)


@dataclass(frozen=True, slots=True)
class Case:
    """A statement with the arguments of an organization.

    It may read `buffers` pages, indexes and triggers included. `text` is that of the statement
    `name` unless the statement is built. `before` runs first, in the same transaction.
    """

    name: str
    arguments: Callable[[Organization], Arguments]
    buffers: int
    condition: str = ""
    text: Callable[[Organization], str] | None = None
    before: Callable[[Organization], tuple[str, Arguments]] | None = None
    custom_plan: bool = False

    @property
    def title(self) -> str:
        return f"{self.name}: {self.condition}" if self.condition else self.name


async def buffers_read(
    db: asyncpg.Connection, case: Case, text: str, organization: Organization
) -> dict[str, int]:
    """The pages that a statement reads, by table and index. The transaction is rolled back.

    The statement runs twice and the second run counts, because the first one also plans it.
    """
    statement = await db.prepare(text)
    for _ in range(2):
        transaction = db.transaction()
        await transaction.start()
        try:
            if case.custom_plan:
                await db.execute(_CUSTOM_PLANS)
            if case.before:
                before_text, before_arguments = case.before(organization)
                await db.execute(before_text, *before_arguments)
            before = dict(await db.fetch(_BUFFERS))
            await statement.fetch(*case.arguments(organization))
            after = dict(await db.fetch(_BUFFERS))
        finally:
            await transaction.rollback()
    return {name: read for name, total in after.items() if (read := total - before[name])}


def _id(kind: str, organization: int, number: int) -> UUID:
    return UUID(f"{kind}{organization:06x}-0000-7000-8000-{number:012x}")


# The same as `Lists` sets.
_CUSTOM_PLANS: Final = (
    "SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL enable_seqscan = on"
)

# Counted by PostgreSQL for this session, and not yet reported to the shared statistics. They are
# reported between transactions only, so differences within a transaction are exact.
_BUFFERS: Final = """
    SELECT relname, pg_stat_get_xact_blocks_fetched(oid)
      FROM pg_class
     WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i', 'p')
"""
