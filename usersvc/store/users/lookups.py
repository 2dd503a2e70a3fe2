"""Lookups of several users at once by id, user name or external id.

The functions `…_across` read users of several organizations in one statement.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg

from usersvc.domain.lookups import MAX_MATCHES, KeyKind, Match, UserKey
from usersvc.domain.users import User
from usersvc.store.id_lookups import columns_of, look_up, look_up_across
from usersvc.store.rows import user as user_rows
from usersvc.store.rows.user import COLUMNS


async def by_ids(
    db: asyncpg.Connection, organization_id: UUID, user_ids: Sequence[UUID]
) -> list[User]:
    """The existing users among the ids, in any order."""
    return [user_rows.user(row) for row in await db.fetch(BY_IDS, organization_id, user_ids)]


async def by_keys(
    db: asyncpg.Connection, organization_id: UUID, keys: Sequence[UserKey]
) -> list[Match]:
    """The users that match each key, in the order of creation."""
    found: dict[UserKey, list[User]] = {}
    for kind, statement in BY_KEYS.items():
        texts = list({key.text for key in keys if key.kind is kind})
        if not texts:
            continue
        for row in await db.fetch(statement, organization_id, texts, MAX_MATCHES + 1):
            found.setdefault(UserKey(kind, row["key"]), []).append(user_rows.user(row))
    return [_match(key, found.get(key, [])) for key in keys]


async def by_ids_across(db: asyncpg.Connection, wanted: Sequence[tuple[UUID, UUID]]) -> list[User]:
    """The existing users among pairs of an organization and an id, in any order."""
    return [user_rows.user(row) for row in await db.fetch(BY_IDS_ACROSS, *columns_of(wanted))]


async def by_keys_across(
    db: asyncpg.Connection, wanted: Sequence[tuple[UUID, UserKey]]
) -> dict[tuple[UUID, UserKey], Match]:
    """The users of each organization that match its key."""
    found: dict[tuple[UUID, UserKey], list[User]] = {each: [] for each in wanted}
    for kind, statement in BY_KEYS_ACROSS.items():
        texts = [(each, key.text) for each, key in wanted if key.kind is kind]
        if not texts:
            continue
        for row in await db.fetch(statement, *columns_of(texts), MAX_MATCHES + 1):
            found[row["organization_id"], UserKey(kind, row["key"])].append(user_rows.user(row))
    return {(each, key): _match(key, users) for (each, key), users in found.items()}


def _match(key: UserKey, users: list[User]) -> Match:
    users = sorted(users, key=lambda user: user.user_id)
    return Match(key, tuple(users[:MAX_MATCHES]), len(users) > MAX_MATCHES)


# --- statements -------------------------------------------------------------------------

BY_IDS: Final = look_up(COLUMNS, "users", "user_id")


BY_IDS_ACROSS: Final = look_up_across(COLUMNS, "users", "user_id")


def _by_keys(condition: str, wanted: str, organization: str) -> str:
    """LIMIT makes the planner look up each key by index; without it, it would read all users."""
    return f"""
        SELECT found.*, wanted.key
          FROM {wanted}
         CROSS JOIN LATERAL (SELECT {COLUMNS}
                               FROM users
                              WHERE organization_id = {organization} AND {condition}
                              LIMIT $3) AS found
    """  # noqa: S608


_CONDITIONS: Final = {
    KeyKind.USER_NAME: "fold(user_name) = fold(wanted.key)",
    KeyKind.EXTERNAL_ID: "external_id = wanted.key",
}
_KEYS: Final = "unnest($2::text[]) AS wanted (key)"
_KEYS_ACROSS: Final = "unnest($1::uuid[], $2::text[]) AS wanted (organization_id, key)"

BY_KEYS: Final = {kind: _by_keys(condition, _KEYS, "$1") for kind, condition in _CONDITIONS.items()}
BY_KEYS_ACROSS: Final = {
    kind: _by_keys(condition, _KEYS_ACROSS, "wanted.organization_id")
    for kind, condition in _CONDITIONS.items()
}
