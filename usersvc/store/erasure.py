"""The SQL that erases a person from every table. Each statement is limited to one organization."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from chassis.concurrency.notifier import Notifier
from chassis.database.pool import Database
from usersvc.domain import erasure
from usersvc.domain.changes import Origin
from usersvc.domain.erasure import Erasure, Person
from usersvc.store.activities import rollup
from usersvc.store.rows import user as user_rows
from usersvc.store.rows.user import COLUMNS
from usersvc.store.users import deletion

STATEMENT_SECONDS: Final = 3_600.0
"""The time limit of a statement, which may read the log of a month."""
MAX_NAMED: Final = 100
"""The maximum number of reported users, and of groups, that still name the person."""


class ErasureStore:
    """Erases people. `notifier` is notified once the deletion of a user has committed."""

    def __init__(self, database: Database, notifier: Notifier) -> None:
        self._database = database
        self._notifier = notifier

    async def erase(
        self,
        organization_id: UUID,
        id_or_user_name: UUID | str,
        also: Sequence[str],
        now: datetime,
        origin: Origin,
    ) -> Erasure:
        """Erase the user with the id or user name, and every mention of the person.

        The names in `also` are used for mentions only, never to find the user: another person may
        have inherited the name. The erasure is one transaction and can be repeated. It also erases
        a person whose user was deleted before.
        """
        async with self._database.transaction() as db:
            found = await _lock_person(db, organization_id, id_or_user_name, also)
            erased = await _erase(db, organization_id, found, now, origin)
        self._notifier.notify()
        # Not in the same transaction: the roll-up must not stand still for that long. Once it has
        # committed, the roll-up finds the person's names no more.
        async with self._database.transaction() as db:
            await rollup.pause(db)
            erased["logged_names"] = await _erase_logged_names(db, organization_id, found)
        await self._vacuum()
        # In a separate transaction, because a long one would delay the change feed.
        async with self._database.transaction() as db:
            users = await _named_by(db, _USERS, organization_id, found)
            groups = await _named_by(db, _GROUPS, organization_id, found)
        return Erasure(found.user_id, erased, users, groups)

    async def _vacuum(self) -> None:
        """Remove erased data from the tables' pages and from the planner's statistics."""
        async with self._database.writer() as db:
            await db.execute(f"VACUUM (ANALYZE) {', '.join(_TABLES)}", timeout=STATEMENT_SECONDS)


async def _lock_person(
    db: asyncpg.Connection, organization_id: UUID, id_or_user_name: UUID | str, also: Sequence[str]
) -> Person:
    """Find the person and lock the user, so that no transaction adds the user to a group."""
    is_id = isinstance(id_or_user_name, UUID)
    row = await db.fetchrow(_LOCK_ID if is_id else _LOCK_NAME, organization_id, id_or_user_name)
    names = [str(id_or_user_name), *also]
    if row is None:
        return erasure.unknown_person(
            id_or_user_name if isinstance(id_or_user_name, UUID) else None, names
        )
    user = user_rows.user(row)
    linked_to = await db.fetchval(_LINKED_TO, organization_id, user.user_id)
    former = await db.fetch(_FORMER_VALUES, organization_id, user.user_id)
    return erasure.person_of(user, linked_to or "", [each for (each,) in former], names)


async def _erase(
    db: asyncpg.Connection, organization_id: UUID, person: Person, now: datetime, origin: Origin
) -> dict[str, int]:
    keys = (organization_id, person.user_id)
    names = await _folded(db, person.names)
    holders = [row[0] for row in await _fetch(db, _HOLDERS, *keys, names)]
    change_values = (now, origin.request_id)
    # The slow statements come first, because the first written change makes the change feed wait.
    erased = {
        "refusals": await _erase_refusals(db, organization_id, person, names, holders),
        "log_of_others": await _erase_log_of_others(db, organization_id, person, names, holders),
        "log": await _count_rows(db, _LOG, *keys),
        "managers": await _count_rows(db, _MANAGERS, *keys, names, *change_values),
        "unknown_members": await _count_rows(db, _UNKNOWN_MEMBERS, *keys, names, *change_values),
        "create_requests": await _count_rows(db, _CREATE_REQUESTS, *keys),
        "list_walks": await _count_rows(db, _LIST_WALKS, organization_id),
        **{
            table: await _count_rows(db, statement, *keys)
            for table, statement in _DELETED_WITH_USER.items()
        },
    }
    if erased["users"]:
        user_id = person.user_id
        assert user_id is not None  # noqa: S101 - a user was found
        await deletion.delete(db, organization_id, user_id, None, now=now, origin=origin)
    # Last, because the deletion of the user adds such rows.
    erased["deleted_identities"] = await _count_rows(
        db, _DELETED_IDENTITIES, organization_id, names
    )
    return erased


async def _erase_refusals(
    db: asyncpg.Connection,
    organization_id: UUID,
    person: Person,
    names: Sequence[str],
    holders: Sequence[UUID],
) -> int:
    """Empty the refusals about the person or with the person's name. Returns their number.

    Refusals about a `holder`, another user who has one of the names today, are kept.
    """
    known = person.names | person.labels
    arguments = (organization_id, person.user_id, names, holders)
    found = [
        number
        async for number, is_about, *texts in db.cursor(_REFUSALS, *arguments)
        if is_about or erasure.is_named("\n".join(texts), known)
    ]
    return await _count_rows(db, _EMPTY_REFUSALS, organization_id, found)


async def _erase_log_of_others(
    db: asyncpg.Connection,
    organization_id: UUID,
    person: Person,
    names: Sequence[str],
    holders: Sequence[UUID],
) -> int:
    """Empty values with the person's name in changes of other resources. Returns the row count.

    Changes of a `holder`, another user who has one of the names today, are kept.
    """
    arguments = (organization_id, person.user_id, names, erasure.spellings(names), holders)
    clear_name: dict[int, bool] = {}
    async for number, name, values in db.cursor(
        _LOG_OF_OTHERS, *arguments, timeout=STATEMENT_SECONDS
    ):
        by_name = erasure.is_named(name, person.names)
        if by_name or any(erasure.is_named(value, person.names) for value in values if value):
            clear_name[number] = by_name
    return await _count_rows(
        db, _EMPTY_LOG_OF_OTHERS, organization_id, [*clear_name], [*clear_name.values()]
    )


async def _erase_logged_names(db: asyncpg.Connection, organization_id: UUID, person: Person) -> int:
    """Delete the logged names of others, such as groups, that name the person.

    The deletion of the user deletes the user's own names. A user who has one of the names today
    keeps it.
    """
    names = await _folded(db, person.names)
    arguments = (organization_id, erasure.spellings(names), names)
    found = [
        (resource_id, name)
        async for resource_id, name in db.cursor(
            _LOGGED_NAMES, *arguments, timeout=STATEMENT_SECONDS
        )
        if erasure.is_named(name, person.names)
    ]
    return await _count_rows(
        db,
        _DELETE_LOGGED_NAMES,
        organization_id,
        [resource_id for resource_id, _ in found],
        [name for _, name in found],
    )


async def _named_by(
    db: asyncpg.Connection, statement: str, organization_id: UUID, person: Person
) -> Sequence[UUID]:
    """The ids of the first MAX_NAMED records that still name the person."""
    spellings = erasure.spellings(await _folded(db, person.names))
    found: list[UUID] = []
    async for each, record in db.cursor(
        statement, organization_id, spellings, timeout=STATEMENT_SECONDS
    ):
        if erasure.is_named(record, person.names):
            found.append(each)
        if len(found) == MAX_NAMED:
            break
    return found


async def _folded(db: asyncpg.Connection, names: frozenset[str]) -> list[str]:
    rows = await db.fetch("SELECT DISTINCT fold(name) FROM unnest($1::text[]) AS name", [*names])
    return [row[0] for row in rows]


async def _fetch(
    db: asyncpg.Connection, statement: str, *arguments: object
) -> list[asyncpg.Record]:
    rows: list[asyncpg.Record] = await db.fetch(statement, *arguments, timeout=STATEMENT_SECONDS)
    return rows


async def _count_rows(db: asyncpg.Connection, statement: str, *arguments: object) -> int:
    """The number of rows that a statement returns, which is one for each changed or found row."""
    return len(await _fetch(db, statement, *arguments))


# --- statements -------------------------------------------------------------------------

_TABLES: Final = (
    "users", "user_email", "groups", "changes", "refusals", "sessions", "sign_in_links",
    "linked_identities", "deleted_identities", "create_requests", "logged_names",
    "list_walks",
)  # fmt: skip

_LOCK: Final = f"SELECT {COLUMNS} FROM users WHERE organization_id = $1 AND"  # noqa: S608
_LOCK_ID: Final = f"{_LOCK} user_id = $2 FOR UPDATE"
_LOCK_NAME: Final = f"{_LOCK} fold(user_name) = fold($2) FOR UPDATE"

# Other users with one of the names: usually a successor who inherited the name.
_HOLDERS: Final = """
    SELECT user_id
      FROM users
     WHERE organization_id = $1 AND user_id IS DISTINCT FROM $2
       AND (fold(user_name) = ANY($3) OR fold(external_id) = ANY($3))
    UNION
    SELECT user_id
      FROM user_email
     WHERE organization_id = $1 AND user_id IS DISTINCT FROM $2
       AND address_hash = ANY(ARRAY(SELECT address_hash(name) FROM unnest($3::text[]) AS name))
"""

_LINKED_TO: Final = """
    SELECT object_identifier FROM linked_identities WHERE organization_id = $1 AND user_id = $2
"""

_FORMER_VALUES: Final = """
    SELECT resource_name
      FROM changes
     WHERE organization_id = $1 AND resource_id = $2 AND resource_name IS NOT NULL
    UNION
    SELECT value
      FROM changes,
           LATERAL unnest(fields || fields, old_values || new_values) AS logged (field, value)
     WHERE organization_id = $1 AND resource_id = $2 AND value IS NOT NULL
       AND field IN ('user_name', 'external_id', 'emails')
"""

_REFUSALS: Final = """
    SELECT number, coalesce(resource_id = $2, false) OR mentions && $3,
           coalesce(resource_name, ''), target, body, detail
      FROM refusals
     WHERE organization_id = $1 AND coalesce(resource_id <> ALL($4), true)
       AND (resource_name IS NOT NULL OR target || body || detail <> '')
"""

_EMPTY_REFUSALS: Final = """
    UPDATE refusals
       SET resource_name = NULL, target = '', body = '', detail = '', mentions = '{}'
     WHERE organization_id = $1 AND number = ANY($2::bigint[])
    RETURNING number
"""

_LOG: Final = """
    UPDATE changes
       SET resource_name = NULL, old_values = NULL, new_values = NULL
     WHERE organization_id = $1 AND resource_id = $2
       AND (resource_name IS NOT NULL OR old_values IS NOT NULL OR new_values IS NOT NULL)
    RETURNING number
"""

# The person as another user's manager, as an unknown member, or in the name of a group.
_LOG_OF_OTHERS: Final = """
    SELECT number, coalesce(resource_name, ''), coalesce(old_values || new_values, '{}')
      FROM changes,
           LATERAL (SELECT fold(concat_ws(' ', resource_name, array_to_string(old_values, ' '),
                                          array_to_string(new_values, ' '))) AS text
                    OFFSET 0) AS folded
     WHERE organization_id = $1 AND resource_id IS DISTINCT FROM $2 AND resource_id <> ALL($5)
       AND (EXISTS (SELECT FROM unnest($4::text[]) AS name WHERE strpos(folded.text, name) > 0)
            OR EXISTS (SELECT
                         FROM unnest(old_values || new_values) AS value
                        WHERE fold(value) = ANY($3)))
"""

_EMPTY_LOG_OF_OTHERS: Final = """
    UPDATE changes
       SET resource_name = CASE WHEN clear_name THEN NULL ELSE resource_name END,
           old_values = NULL, new_values = NULL
      FROM unnest($2::bigint[], $3::boolean[]) AS found (found_number, clear_name)
     WHERE organization_id = $1 AND number = found_number
    RETURNING number
"""

# Updates of other users' records are written to the change feed like any other change.
_MANAGERS: Final = """
    WITH locked AS MATERIALIZED (
        SELECT user_id
          FROM users
         WHERE organization_id = $1 AND user_id IS DISTINCT FROM $2
           AND fold(manager_value) = ANY($3)
         ORDER BY user_id
           FOR NO KEY UPDATE
    ), written AS (
        UPDATE users
           SET manager_value = NULL, version = version + 1, update_time = $4
         WHERE organization_id = $1 AND user_id = ANY(ARRAY(SELECT user_id FROM locked))
        RETURNING user_id, user_name, version, active
    )
    INSERT INTO changes
        (organization_id, number, type, resource_id, version, fields, active, create_time,
         request_id, resource_name)
    SELECT $1, next_change(), 2, user_id, version, '{enterprise.manager}', active IS TRUE, $4, $5,
           user_name
      FROM (SELECT * FROM written ORDER BY user_id) AS written
    RETURNING number
"""

# The user's groups are locked as well, in the order in which every transaction locks groups.
_UNKNOWN_MEMBERS: Final = """
    WITH locked AS MATERIALIZED (
        SELECT group_id, display_name, unknown_members,
               ARRAY(SELECT member
                       FROM unnest(unknown_members) AS member
                      WHERE fold(member) <> ALL($3)) AS others
          FROM groups
         WHERE organization_id = $1
           AND (EXISTS (SELECT FROM unnest(unknown_members) AS member WHERE fold(member) = ANY($3))
                OR group_id = ANY(ARRAY(SELECT group_id
                                          FROM group_users
                                         WHERE organization_id = $1 AND user_id = $2)))
         ORDER BY group_id
           FOR NO KEY UPDATE
    ), written AS (
        UPDATE groups
           SET unknown_members = others, version = version + 1, update_time = $4
          FROM locked
         WHERE groups.organization_id = $1 AND groups.group_id = locked.group_id
           AND locked.unknown_members <> others
        RETURNING groups.group_id, groups.version, groups.display_name
    )
    INSERT INTO changes
        (organization_id, number, type, resource_id, version, fields, create_time, request_id,
         resource_name)
    SELECT $1, next_change(), 7, group_id, version, '{unknown_members}', $4, $5, display_name
      FROM (SELECT * FROM written ORDER BY group_id) AS written
    RETURNING number
"""

_CREATE_REQUESTS: Final = """
    DELETE FROM create_requests
     WHERE organization_id = $1 AND resource_id = $2
    RETURNING request_id
"""

# A position in a sorted list contains a value of a user, in a form that only the gateway knows.
_LIST_WALKS: Final = """
    DELETE FROM list_walks
     WHERE organization_id = $1
    RETURNING walk_id
"""

# Count the rows that the deletion of the user will delete.
_DELETED_WITH_USER: Final = {
    table: f"SELECT user_id FROM {table} WHERE organization_id = $1 AND user_id = $2"  # noqa: S608
    for table in ("users", "group_users", "sessions", "sign_in_links", "linked_identities")
}

_DELETED_IDENTITIES: Final = """
    DELETE FROM deleted_identities
     WHERE organization_id = $1
       AND digest = ANY(ARRAY(SELECT identity_digest($1, name) FROM unnest($2::text[]) AS name))
    RETURNING digest
"""

_LOGGED_NAMES: Final = """
    SELECT resource_id, name
      FROM logged_names
     WHERE organization_id = $1
       AND (name = ANY($3)
            OR EXISTS (SELECT FROM unnest($2::text[]) AS part WHERE strpos(name, part) > 0))
       AND NOT EXISTS (SELECT
                         FROM users
                        WHERE organization_id = $1 AND user_id = resource_id
                          AND fold(user_name) = name)
"""

_DELETE_LOGGED_NAMES: Final = """
    DELETE FROM logged_names AS logged
     USING unnest($2::uuid[], $3::text[]) AS found (resource_id, name)
     WHERE organization_id = $1
       AND logged.resource_id = found.resource_id AND logged.name = found.name
    RETURNING logged.name
"""

_NAMED_BY: Final = """
    SELECT {id}, record.text
      FROM {table}, LATERAL (SELECT to_jsonb({table})::text AS text OFFSET 0) AS record,
           LATERAL (SELECT fold(record.text) AS text OFFSET 0) AS folded
     WHERE organization_id = $1
       AND EXISTS (SELECT FROM unnest($2::text[]) AS name WHERE strpos(folded.text, name) > 0)
     ORDER BY {id}
"""
_USERS: Final = _NAMED_BY.format(table="users", id="user_id")
_GROUPS: Final = _NAMED_BY.format(table="groups", id="group_id")
