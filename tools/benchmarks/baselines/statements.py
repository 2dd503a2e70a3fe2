"""The statements that the service runs for a request, for those who run nothing else."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from tools.benchmarks.work import Work
from usersvc.domain import changes
from usersvc.domain.filters import Comparison, Operator, Query
from usersvc.domain.users import Name, Profile, TypedValue
from usersvc.store import users as user_store
from usersvc.store.listing import list_sql
from usersvc.store.listing.filter_sql import Where
from usersvc.store.listing.user_fields import USERS
from usersvc.store.rows import user as user_rows
from usersvc.store.rows.user import PROFILE_COLUMNS

Row = Any  # asyncpg is untyped


@dataclass(frozen=True)
class Statement:
    """A statement, what it is run with, and whether its row is right."""

    sql: str
    arguments: Callable[[], tuple[object, ...]]
    right: Callable[[tuple[object, ...], Row], bool]


def get(organization_id: UUID, work: Work) -> Statement:
    """What GET of a user runs."""

    def arguments() -> tuple[object, ...]:
        return organization_id, UUID(work.random.choice(work.people)[0])

    return Statement(
        user_store._SELECT_ONE_AND_WHETHER_IN_GROUPS,
        arguments,
        lambda given, row: row is not None and row["user_id"] == given[1],
    )


def filter_(organization_id: UUID, work: Work) -> Statement:
    """What a filter by userName runs."""

    def made(name: str) -> tuple[str, tuple[object, ...]]:
        where = Where(organization_id)
        query = Query(organization_id, 100, Comparison("user_name", Operator.EQUAL, name))
        return list_sql.page_statement(where, query, USERS), tuple(where.arguments)

    return Statement(
        made("")[0],
        lambda: made(work.random.choice(work.people)[1])[1],
        lambda given, row: row is not None and row["user_name"] in given,
    )


def create(organization_id: UUID, _: Work) -> Statement:
    """The row of a user, with what triggers keep beside it, and no word of it in the change log."""
    columns = len(user_rows.columns(_profile("")))
    values = ", ".join(f"${number}" for number in range(3, columns + 3))
    return Statement(
        f"INSERT INTO users (organization_id, create_time, update_time, {PROFILE_COLUMNS})"
        f" VALUES ($1, $2, $2, {values}) RETURNING user_id",
        lambda: _row(organization_id, f"{uuid4().hex}@bench.test"),
        lambda _, row: row is not None,
    )


def create_and_tell(organization_id: UUID, _: Work) -> Statement:
    """What POST of a user runs: the row, and its change in the log."""

    def arguments() -> tuple[object, ...]:
        name = f"{uuid4().hex}@bench.test"
        fields = changes.given_fields(_profile(name))
        return *_row(organization_id, name), fields, str(uuid4()), uuid4()

    return Statement(user_store._INSERT, arguments, lambda _, row: row is not None)


def _row(organization_id: UUID, name: str) -> tuple[object, ...]:
    return organization_id, datetime.now(UTC), *user_rows.columns(_profile(name))


def _profile(name: str) -> Profile:
    """The person of `work.person`."""
    return Profile(
        user_name=name,
        external_id=name.partition("@")[0],
        active=True,
        name=Name("Ann Li", "Li", "Ann"),
        emails=(TypedValue(value=name, type="work", primary=True),),
    )
