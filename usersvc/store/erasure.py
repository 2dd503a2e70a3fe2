"""The SQL that erases a person from every table. Each statement names the organization first."""

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
from usersvc.store import users as user_store
from usersvc.store.rows import user as user_rows
from usersvc.store.rows.user import COLUMNS

PATIENCE_SECONDS: Final = 3_600.0
"""A log of a month is read whole."""
MAX_NAMED: Final = 100


class ErasureStore:
    """Erases people. `bell` rings once a user who was there has gone."""

    def __init__(self, database: Database, bell: Notifier) -> None:
        self._database = database
        self._bell = bell

    async def erase(
        self,
        organization_id: UUID,
        sought: UUID | str,
        also: Sequence[str],
        now: datetime,
        origin: Origin,
    ) -> Erasure:
        """Erase the user who has the id, or the user name, and all that names the person.

        What the person is called `also` finds no user: another may have inherited the name.
        All or nothing, so it can be repeated; also of somebody who was deleted before.
        """
        async with self._database.transaction() as db:
            found = await _person(db, organization_id, sought, also)
            erased = await _erase(db, organization_id, found, now, origin)
        self._bell.notify()
        await self._sweep()
        # Not in the transaction, which would hold up the feed for as long.
        async with self._database.transaction() as db:
            users = await _named_by(db, _USERS, organization_id, found)
            groups = await _named_by(db, _GROUPS, organization_id, found)
        return Erasure(found.user_id, erased, users, groups)

    async def _sweep(self) -> None:
        """Take what was erased out of the tables' pages, and out of the planner's samples."""
        async with self._database.connection() as db:
            await db.execute(f"VACUUM (ANALYZE) {', '.join(_TABLES)}", timeout=PATIENCE_SECONDS)


async def _person(
    db: asyncpg.Connection, organization_id: UUID, sought: UUID | str, also: Sequence[str]
) -> Person:
    """Who is meant, with the user locked: from here on nobody makes it a member of anything."""
    by_id = isinstance(sought, UUID)
    row = await db.fetchrow(_LOCK_ID if by_id else _LOCK_NAME, organization_id, sought)
    names = [str(sought), *also]
    if row is None:
        return erasure.stranger(sought if isinstance(sought, UUID) else None, names)
    user = user_rows.user(row)
    linked_to = await db.fetchval(_LINKED_TO, organization_id, user.user_id)
    former = await db.fetch(_FORMER, organization_id, user.user_id)
    return erasure.person(user, linked_to or "", [each for (each,) in former], names)


async def _erase(
    db: asyncpg.Connection, organization_id: UUID, person: Person, now: datetime, origin: Origin
) -> dict[str, int]:
    whose = (organization_id, person.user_id)
    names = await _folded(db, person.names)
    holders = [row[0] for row in await _run(db, _HOLDERS, *whose, names)]
    told = (now, origin.request_id)
    # What takes long comes first: from the first change that is told on, the feed waits for us.
    erased = {
        "refusals": await _erase_refusals(db, organization_id, person, names, holders),
        "log_of_others": await _erase_log_of_others(db, organization_id, person, names, holders),
        "log": await _count(db, _LOG, *whose),
        "managers": await _count(db, _MANAGERS, *whose, names, *told),
        "unknown_members": await _count(db, _UNKNOWN_MEMBERS, *whose, names, *told),
        "create_requests": await _count(db, _CREATE_REQUESTS, *whose),
        **{what: await _count(db, statement, *whose) for what, statement in _WITH_THE_USER.items()},
    }
    if erased["users"]:
        user_id = person.user_id
        assert user_id is not None  # noqa: S101 - somebody was found
        await user_store.delete(db, organization_id, user_id, None, now=now, origin=origin)
    # Last, since deleting leaves them.
    erased["deleted_identities"] = await _count(db, _DIGESTS, organization_id, names)
    return erased


async def _erase_refusals(
    db: asyncpg.Connection,
    organization_id: UUID,
    person: Person,
    names: Sequence[str],
    holders: Sequence[UUID],
) -> int:
    """Empty what was refused about the person, and what names the person; how many it was.

    What was refused about one of the holders of a name is theirs.
    """
    known = person.names | person.labels
    arguments = (organization_id, person.user_id, names, holders)
    found = [
        number
        async for number, is_about, *texts in db.cursor(_REFUSALS, *arguments)
        if is_about or erasure.is_named("\n".join(texts), known)
    ]
    return await _count(db, _EMPTY_REFUSALS, organization_id, found)


async def _erase_log_of_others(
    db: asyncpg.Connection,
    organization_id: UUID,
    person: Person,
    names: Sequence[str],
    holders: Sequence[UUID],
) -> int:
    """Empty the values that name the person in what is told of others; how many rows it was.

    What is told of one of the holders of a name is theirs.
    """
    arguments = (organization_id, person.user_id, names, erasure.spellings(names), holders)
    name_goes: dict[int, bool] = {}
    async for number, name, values in db.cursor(
        _LOG_OF_OTHERS, *arguments, timeout=PATIENCE_SECONDS
    ):
        by_name = erasure.is_named(name, person.names)
        if by_name or any(erasure.is_named(value, person.names) for value in values if value):
            name_goes[number] = by_name
    return await _count(
        db, _EMPTY_LOG_OF_OTHERS, organization_id, [*name_goes], [*name_goes.values()]
    )


async def _named_by(
    db: asyncpg.Connection, statement: str, organization_id: UUID, person: Person
) -> Sequence[UUID]:
    """Whose record still names the person: the first of them."""
    spellings = erasure.spellings(await _folded(db, person.names))
    found: list[UUID] = []
    async for each, record in db.cursor(
        statement, organization_id, spellings, timeout=PATIENCE_SECONDS
    ):
        if erasure.is_named(record, person.names):
            found.append(each)
        if len(found) == MAX_NAMED:
            break
    return found


async def _folded(db: asyncpg.Connection, names: frozenset[str]) -> list[str]:
    rows = await db.fetch("SELECT DISTINCT fold(name) FROM unnest($1::text[]) AS name", [*names])
    return [row[0] for row in rows]


async def _run(db: asyncpg.Connection, statement: str, *arguments: object) -> list[asyncpg.Record]:
    rows: list[asyncpg.Record] = await db.fetch(statement, *arguments, timeout=PATIENCE_SECONDS)
    return rows


async def _count(db: asyncpg.Connection, statement: str, *arguments: object) -> int:
    """How many rows a statement changed or found: each returns one row for one."""
    return len(await _run(db, statement, *arguments))


# --- statements -------------------------------------------------------------------------

_TABLES: Final = (
    "users", "user_email", "groups", "changes", "refusals", "sessions", "sign_in_links",
    "linked_identities", "deleted_identities", "create_requests",
)  # fmt: skip

_LOCK: Final = f"SELECT {COLUMNS} FROM users WHERE organization_id = $1 AND"  # noqa: S608
_LOCK_ID: Final = f"{_LOCK} user_id = $2 FOR UPDATE"
_LOCK_NAME: Final = f"{_LOCK} fold(user_name) = fold($2) FOR UPDATE"

# Who lives and has one of the names: as a rule somebody who came after the person.
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

_FORMER: Final = """
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

# As the manager of somebody, as a member that was not there, as the name of a group.
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
       SET resource_name = CASE WHEN name_goes THEN NULL ELSE resource_name END,
           old_values = NULL, new_values = NULL
      FROM unnest($2::bigint[], $3::boolean[]) AS found (found_number, name_goes)
     WHERE organization_id = $1 AND number = found_number
    RETURNING number
"""

# Other people's records, changed and told like any other change.
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

# The groups that the user is in are locked as well, in the one order of all groups.
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

# What goes with the user, counted.
_WITH_THE_USER: Final = {
    table: f"SELECT user_id FROM {table} WHERE organization_id = $1 AND user_id = $2"  # noqa: S608
    for table in ("users", "group_users", "sessions", "sign_in_links", "linked_identities")
}

_DIGESTS: Final = """
    DELETE FROM deleted_identities
     WHERE organization_id = $1
       AND digest = ANY(ARRAY(SELECT identity_digest($1, name) FROM unnest($2::text[]) AS name))
    RETURNING digest
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
