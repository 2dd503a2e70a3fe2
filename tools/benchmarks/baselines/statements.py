"""The SQL statements that the service runs for a request, for the lower bounds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from tools.benchmarks.work import Work
from usersvc.domain import changes
from usersvc.domain.filters import Comparison, Operator, Query
from usersvc.domain.users import Name, Profile, TypedValue
from usersvc.store.listing import list_sql
from usersvc.store.listing.filter_sql import Where
from usersvc.store.listing.user_fields import USERS
from usersvc.store.rows import user as user_rows
from usersvc.store.rows.user import PROFILE_COLUMNS
from usersvc.store.users import shared_reads
from usersvc.store.users import writes as user_writes

Row = Any  # asyncpg is untyped


@dataclass(frozen=True)
class Statement:
    """A statement, its arguments, and the check of its row."""

    sql: str
    arguments: Callable[[], tuple[object, ...]]
    check: Callable[[tuple[object, ...], Row], bool]
    unique: frozenset[int] = frozenset()
    """Numbers of the arguments that differ in each execution: the names of the person."""


def get(organization_id: UUID, work: Work) -> Statement:
    """The statement of GET of a user."""

    def arguments() -> tuple[object, ...]:
        return organization_id, UUID(work.random.choice(work.people)[0])

    return Statement(
        shared_reads.SELECT_ONE_AND_WHETHER_IN_GROUPS,
        arguments,
        lambda arguments, row: row is not None and row["user_id"] == arguments[1],
    )


def filter_(organization_id: UUID, work: Work) -> Statement:
    """The statement of a filter by userName."""

    def page_query(name: str) -> tuple[str, tuple[object, ...]]:
        where = Where(organization_id)
        query = Query(organization_id, 100, Comparison("user_name", Operator.EQUAL, name))
        return list_sql.page_statement(where, query, USERS), tuple(where.arguments)

    return Statement(
        page_query("")[0],
        lambda: page_query(work.random.choice(work.people)[1])[1],
        lambda arguments, row: row is not None and row["user_name"] in arguments,
    )


def create(organization_id: UUID, _: Work) -> Statement:
    """INSERT of a user, with the work of triggers but without an entry in the change log."""
    columns = len(user_rows.columns(_profile("")))
    values = ", ".join(f"${number}" for number in range(3, columns + 3))
    return Statement(
        f"INSERT INTO users (organization_id, create_time, update_time, {PROFILE_COLUMNS})"
        f" VALUES ($1, $2, $2, {values}) RETURNING user_id",
        lambda: _row(organization_id, f"{uuid4().hex}@bench.test"),
        lambda _, row: row is not None,
        _names(("organization_id", "now")),
    )


def create_with_change(organization_id: UUID, _: Work) -> Statement:
    """The statement of POST of a user: the row and its entry in the change log."""

    def arguments() -> tuple[object, ...]:
        name = f"{uuid4().hex}@bench.test"
        profile = _profile(name)
        first = user_writes._InsertArguments(
            organization_id=organization_id,
            now=datetime.now(UTC),
            assigned_fields=changes.assigned_fields(profile),
            request_id=str(uuid4()),
            key_id=uuid4(),
            client="Microsoft Entra ID",
        )
        return *first, *user_rows.columns(profile)

    unique = _names(user_writes._InsertArguments._fields)
    return Statement(user_writes._INSERT, arguments, lambda _, row: row is not None, unique)


def _names(first: Sequence[str]) -> frozenset[int]:
    """The numbers of the person's names among the arguments; `first` comes before the columns."""
    arguments = (*first, *user_rows.ProfileRow._fields)
    return frozenset(arguments.index(name) + 1 for name in ("user_name", "external_id"))


def _row(organization_id: UUID, name: str) -> tuple[object, ...]:
    return organization_id, datetime.now(UTC), *user_rows.columns(_profile(name))


def _profile(name: str) -> Profile:
    """The same person as `work.person`."""
    return Profile(
        user_name=name,
        external_id=name.partition("@")[0],
        active=True,
        name=Name("Ann Li", "Li", "Ann"),
        emails=(TypedValue(value=name, type="work", primary=True),),
    )
