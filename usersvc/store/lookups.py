"""Lookups of several users at once by id, user name or external id."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg

from usersvc.domain.lookups import MAX_MATCHES, KeyKind, Match, UserKey
from usersvc.domain.users import User
from usersvc.store.id_lookups import look_up
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


def _match(key: UserKey, users: list[User]) -> Match:
    users = sorted(users, key=lambda user: user.user_id)
    return Match(key, tuple(users[:MAX_MATCHES]), len(users) > MAX_MATCHES)


# --- statements -------------------------------------------------------------------------

BY_IDS: Final = look_up(COLUMNS, "users", "user_id")


def _by_keys(condition: str) -> str:
    """LIMIT makes the planner look up each key by index; without it, it would read all users."""
    return f"""
        SELECT found.*, wanted.key
          FROM unnest($2::text[]) AS wanted (key)
         CROSS JOIN LATERAL (SELECT {COLUMNS}
                               FROM users
                              WHERE organization_id = $1 AND {condition}
                              LIMIT $3) AS found
    """  # noqa: S608


BY_KEYS: Final = {
    KeyKind.USER_NAME: _by_keys("fold(user_name) = fold(wanted.key)"),
    KeyKind.EXTERNAL_ID: _by_keys("external_id = wanted.key"),
}
