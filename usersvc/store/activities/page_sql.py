"""Pages of the log as SQL statements.

The entries of both tables are ordered by their number alone, which begins with the minute
(docs/adr/0026). A time range becomes a range of numbers, so that nothing outside of it is read.
"""

from collections.abc import Sequence
from typing import Final

from usersvc.domain.activities import ACTION_OF_CHANGE, Query, Result
from usersvc.domain.changes import ChangeType
from usersvc.store.activities.rows import CHANGES, REFUSALS
from usersvc.store.listing.filter_sql import Where

NEWEST_FIRST: Final = "ORDER BY number DESC"
_CUT_MINUTES: Final = 22
"""Counts have the minute of the time, and the order is that of the numbers. These may be five
minutes apart in both directions, at the beginning and at the end of a page."""


def page_statement(where: Where, query: Query) -> str:
    """The page of a query without a text, and one more row if there is another page."""
    limit = f"LIMIT {where.argument(query.size + 1)}"
    conditions = entry_conditions(where, query)
    parts = []
    if reads_changes(query):
        change_conditions = [*conditions, *change_only_conditions(where, query)]
        if query.actions and not (query.resource_id or query.request_id):
            parts += _changes_by_minute(where, query, change_conditions, limit)
        else:
            parts.append(f"{CHANGES} WHERE {all_of(change_conditions)} {NEWEST_FIRST} {limit}")
    if reads_refusals(query):
        parts.append(_refusals_page(where, query, conditions, limit))
    return f"SELECT * FROM ({union(parts)}) AS activity {NEWEST_FIRST} {limit}"  # noqa: S608


def reads_changes(query: Query) -> bool:
    """Whether the query can match changes. Some actions occur in refused requests only."""
    if query.result is Result.REFUSED:
        return False
    return not query.actions or bool(change_types(query))


def reads_refusals(query: Query) -> bool:
    """Whether the query can match refused requests."""
    return query.result is not Result.SUCCESS


def entry_conditions(where: Where, query: Query) -> list[str]:
    """The conditions for both tables of the log, except those on text and action."""
    conditions = ["organization_id = $1"]
    if query.resource_id:
        conditions.append(f"resource_id = {where.argument(query.resource_id)}")
    if query.request_id:
        conditions.append(f"request_id = {where.argument(query.request_id)}")
    if query.start_time:
        start = where.argument(query.start_time)
        conditions += [
            f"number >= (SELECT first_change_since({start}))",
            f"create_time >= {start}",
        ]
    if query.end_time:
        conditions.append(f"create_time < {where.argument(query.end_time)}")
    if query.after is not None:
        conditions.append(f"number < {where.argument(query.after)}")
    return conditions


def change_only_conditions(where: Where, query: Query) -> list[str]:
    """The further conditions for changes."""
    conditions = []
    if query.end_time:
        # A number is taken after the time, but perhaps by a clock that is some minutes behind. A
        # refusal can be recorded much later than it happened, so that it has no such limit.
        end = where.argument(query.end_time)
        conditions.append(
            f"number < (SELECT change_number_at({end}::timestamptz + interval '5 minutes'))"
        )
    if query.actions:
        conditions.append(f"type = ANY({where.argument(change_types(query))}::smallint[])")
    return conditions


def change_types(query: Query) -> list[ChangeType]:
    """The types of the changes that have one of the actions."""
    return [each for each, action in ACTION_OF_CHANGE.items() if action in query.actions]


def refusal_only_conditions(where: Where, query: Query) -> list[str]:
    """The further conditions for refusals."""
    if not query.actions:
        return []
    return [f"action = ANY({where.argument(list(query.actions))}::smallint[])"]


def _changes_by_minute(
    where: Where, query: Query, conditions: Sequence[str], limit: str
) -> list[str]:
    """Changes with some actions: of the minutes that have any, and those not rolled up yet.

    Every minute but those that the page's limits cut has a matching change.
    """
    types = sum(1 << change_type for change_type in change_types(query))
    minutes = [
        f"organization_id = $1 AND minutes = 1 AND types & {where.argument(types)}::integer <> 0"
    ]
    if query.start_time:
        start = where.argument(query.start_time)
        minutes.append(f"start_time >= date_trunc('minute', {start}::timestamptz)")
    if query.end_time:
        minutes.append(f"start_time < {where.argument(query.end_time)}")
    if query.after is not None:
        minutes.append(f"first_number < {where.argument(query.after)}")
    enough = where.argument(query.size + 1 + _CUT_MINUTES)
    own = [*conditions, "number BETWEEN first_number AND last_number"]
    return [
        f"""
        SELECT latest.*
          FROM (SELECT first_number, last_number
                  FROM activity_counts
                 WHERE {all_of(minutes)}
                 ORDER BY start_time DESC
                 LIMIT {enough}) AS minute
         CROSS JOIN LATERAL ({CHANGES} WHERE {all_of(own)} {NEWEST_FIRST} {limit}) AS latest
         {NEWEST_FIRST} {limit}
        """,  # noqa: S608
        f"""
        {CHANGES} WHERE {all_of(conditions)} AND number > (SELECT rolled_up FROM change_feed)
        {NEWEST_FIRST} {limit}
        """,  # noqa: S608
    ]


def _refusals_page(where: Where, query: Query, conditions: Sequence[str], limit: str) -> str:
    if not query.actions or query.resource_id:
        conditions = [*conditions, *refusal_only_conditions(where, query)]
        return f"{REFUSALS} WHERE {all_of(conditions)} {NEWEST_FIRST} {limit}"
    # One index range per action, each of them in the order of numbers.
    actions = where.argument(list(query.actions))
    one = f"{REFUSALS} WHERE {all_of([*conditions, 'action = wanted'])} {NEWEST_FIRST} {limit}"
    return f"""
        SELECT latest.*
          FROM unnest({actions}::smallint[]) AS wanted
         CROSS JOIN LATERAL ({one}) AS latest
         {NEWEST_FIRST} {limit}
    """  # noqa: S608


def all_of(conditions: Sequence[str]) -> str:
    """The conjunction of conditions."""
    return " AND ".join(conditions)


def union(parts: Sequence[str]) -> str:
    """The rows of all parts."""
    return " UNION ALL ".join(f"({part})" for part in parts)
