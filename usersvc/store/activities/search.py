"""Searches of the log by name, as SQL statements.

A text of three or more characters matches any part of a name. A shorter text, or one that the
trigram index cannot find, matches only the beginning.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from usersvc.domain.activities import Query, Result
from usersvc.domain.case_folding import fold
from usersvc.store.activities import page_sql
from usersvc.store.activities.page_sql import (
    NEWEST_FIRST,
    all_of,
    change_types,
    reads_changes,
    reads_refusals,
    union,
)
from usersvc.store.activities.rows import CHANGES, REFUSALS
from usersvc.store.listing.filter_sql import PREFIX_END, Where
from usersvc.store.listing.trigrams import MIN_SUBSTRING, has_trigram

RECENT_ENTRIES: Final = 1_000
"""The number of newest entries that a search reads first, before it looks up names."""
MAX_RESOURCES: Final = 2_000
"""Up to this many matching users and groups, a search reads their entries; else the whole log."""


@dataclass(frozen=True, slots=True)
class _NameMatch:
    """The conditions under which a folded name matches a text."""

    where: Where
    query_text: str
    text: str
    """The SQL parameter (`$n`) with `query_text`."""
    is_substring: bool

    def matches(self, name: str) -> str:
        """The exact condition."""
        folded = f"fold({self.text}::text)"
        if self.is_substring:
            return f"position({folded} IN {name}) > 0"
        return f"starts_with({name}, {folded})"

    def by_index(self, name: str) -> str:
        """The exact condition, and one for the name index, so that the planner uses that index."""
        if self.is_substring:
            return f"""
                ARRAY[organization_id] @> ARRAY[$1::uuid]
                AND searchable({name}) LIKE part_pattern({self.text}::text)
                AND {self.matches(name)}
            """
        end = self.where.argument(self.query_text + PREFIX_END)
        range_ = f"{name} >= fold({self.text}::text) AND {name} < fold({end}::text)"
        if name == "name":
            return f"ARRAY[organization_id] = ARRAY[$1::uuid] AND {range_}"
        return f"organization_id = $1 AND {range_} ORDER BY {name}"


def recent_statement(where: Where, query: Query) -> str:
    """The matches among the newest entries. Each row also has the number of entries read.

    Without a match, the statement returns one row whose `number` is NULL.
    """
    match = _name_match(where, query)
    result = query.result if reads_changes(query) else Result.REFUSED
    window = replace(query, text="", actions=frozenset(), result=result, size=RECENT_ENTRIES - 1)
    # The subquery finds entries of a renamed resource, if its name is not rolled up yet.
    by_name = match.matches("fold(resource_name)")
    conditions = [
        f"""({_has_matching_name("entry", match)}
             OR resource_id IN (SELECT resource_id FROM entry WHERE {by_name}))"""  # noqa: S608
    ]
    if query.actions:
        types, actions = change_types(query), list(query.actions)
        conditions.append(
            f"""CASE WHEN method IS NULL THEN kind = ANY({where.argument(types)}::smallint[])
                     ELSE kind = ANY({where.argument(actions)}::smallint[]) END"""
        )
    return f"""
        WITH entry AS MATERIALIZED ({page_sql.page_statement(where, window)})
        SELECT entries_read, matched.*
          FROM (SELECT count(*) AS entries_read FROM entry) AS read
          LEFT JOIN (SELECT * FROM entry WHERE {all_of(conditions)}) AS matched ON true
         {NEWEST_FIRST}
    """  # noqa: S608


def resources_statement(where: Where, query: Query) -> str:
    """The users and groups that have or had a matching name.

    If more than MAX_RESOURCES match, the statement returns at least MAX_RESOURCES + 1. Names that
    are not rolled up yet are read from the log.
    """
    match = _name_match(where, query)
    limit = where.argument(MAX_RESOURCES + 1)
    parts = [f"SELECT resource_id FROM logged_names WHERE {match.by_index('name')} LIMIT {limit}"]  # noqa: S608
    if reads_changes(query):
        parts.append(
            f"""
            SELECT DISTINCT resource_id
              FROM (SELECT resource_id, resource_name
                      FROM changes
                     WHERE organization_id = $1 AND number > (SELECT rolled_up FROM change_feed)
                    OFFSET 0) AS entry
             WHERE {match.matches("fold(resource_name)")}
             LIMIT {limit}
            """  # noqa: S608
        )
    return union(parts)


def page_statement(where: Where, query: Query, resource_ids: Iterable[UUID]) -> str:
    """A page of the entries of these users and groups, and of the refusals with a matching name."""
    limit = f"LIMIT {where.argument(query.size + 1)}"
    ids = where.argument(list(resource_ids))
    conditions = page_sql.entry_conditions(where, query)
    parts = []
    if reads_changes(query):
        own = [*conditions, *page_sql.change_only_conditions(where, query)]
        parts.append(_of_resources("changes", ids, own, limit))
    if reads_refusals(query):
        own = [*conditions, *page_sql.refusal_only_conditions(where, query)]
        parts.append(_of_resources("refusals", ids, own, limit))
        parts.append(_refusals_by_name(_name_match(where, query), own, limit))
    return f"""
        WITH found AS (
            SELECT DISTINCT number FROM ({union(parts)}) AS matched {NEWEST_FIRST} {limit}
        )
        SELECT entry.*
          FROM found
         CROSS JOIN LATERAL (
            {CHANGES} WHERE organization_id = $1 AND number = found.number
            UNION ALL
            {REFUSALS} WHERE organization_id = $1 AND number = found.number
         ) AS entry
         {NEWEST_FIRST}
    """  # noqa: S608


def scan_statement(where: Where, query: Query) -> str:
    """A page of the entries with a matching name, found by a scan of the log."""
    match = _name_match(where, query)
    limit = f"LIMIT {where.argument(query.size + 1)}"
    conditions = page_sql.entry_conditions(where, query)
    parts = []
    if reads_changes(query):
        own = [*conditions, *page_sql.change_only_conditions(where, query)]
        own.append(_has_matching_name("changes", match))
        parts.append(f"{CHANGES} WHERE {all_of(own)} {NEWEST_FIRST} {limit}")
    if reads_refusals(query):
        own = [*conditions, *page_sql.refusal_only_conditions(where, query)]
        own.append(_has_matching_name("refusals", match))
        parts.append(f"{REFUSALS} WHERE {all_of(own)} {NEWEST_FIRST} {limit}")
    return f"SELECT * FROM ({union(parts)}) AS activity {NEWEST_FIRST} {limit}"  # noqa: S608


def _name_match(where: Where, query: Query) -> _NameMatch:
    is_substring = len(query.text) >= MIN_SUBSTRING and has_trigram(fold(query.text))
    return _NameMatch(where, query.text, where.argument(query.text), is_substring)


def _of_resources(table: str, ids: str, conditions: list[str], limit: str) -> str:
    own = [*conditions, "resource_id = wanted"]
    return f"""
        SELECT latest.number
          FROM unnest({ids}::uuid[]) AS wanted
         CROSS JOIN LATERAL (SELECT number FROM {table} WHERE {all_of(own)} {NEWEST_FIRST} {limit})
                 AS latest
         {NEWEST_FIRST} {limit}
    """  # noqa: S608


def _refusals_by_name(match: _NameMatch, conditions: list[str], limit: str) -> str:
    """`OFFSET 0` makes the planner choose the index by the name only, not by other conditions."""
    named = match.by_index("fold(resource_name)")
    return f"""
        SELECT number
          FROM (SELECT * FROM refusals WHERE {named} OFFSET 0) AS named
         WHERE {all_of(conditions)}
         {NEWEST_FIRST} {limit}
    """  # noqa: S608


def _has_matching_name(table: str, match: _NameMatch) -> str:
    """The condition that an entry has a matching name, or that its user or group has or had one."""
    return f"""
        (coalesce({match.matches("fold(resource_name)")}, false)
         OR coalesce((SELECT bool_or({match.matches("name")})
                        FROM logged_names
                       WHERE organization_id = $1 AND resource_id = {table}.resource_id), false))
    """  # noqa: S608
